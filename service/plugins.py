"""Operators' own code in the server, as ``panel serve`` (1.9 and 1.10) has it: setup scripts, plugins."""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from service.errors import ConfigError

__all__ = ("plugin_routes", "run_setup")

log = logging.getLogger(__name__)

_MODULE = "svc_setup_module"


def run_setup(path: str) -> None:
    """Run the script; what it defines stays. Raises ConfigError."""
    module = ModuleType(_MODULE)
    module.__file__ = str(Path(path).resolve())
    sys.modules[_MODULE] = module
    try:
        exec(compile(Path(path).read_bytes(), path, "exec"), vars(module))
    except Exception as error:
        # Whatever the script raises, it is the script that cannot be used.
        log.debug("the setup script failed", exc_info=error)
        raise ConfigError(f"--setup {path}: {type(error).__name__}: {error}") from error


def plugin_routes(modules: Iterable[str]) -> list[tuple[Any, ...]]:
    """The ``ROUTES`` of all of them. Raises ConfigError."""
    return [route for name in modules for route in _routes(name)]


@contextmanager
def _here() -> Iterator[None]:
    """Modules in the working directory are found, too."""
    sys.path.insert(0, "")
    try:
        yield
    finally:
        sys.path.remove("")


def _routes(name: str) -> list[tuple[Any, ...]]:
    try:
        with _here():
            module = importlib.import_module(name)
    except Exception as error:
        raise ConfigError(f"--plugins {name}: {type(error).__name__}: {error}") from error
    routes = getattr(module, "ROUTES", None)
    if not routes or not all(isinstance(route, tuple) and len(route) in (2, 3) for route in routes):
        raise ConfigError(f"--plugins {name}: it needs ROUTES, a list of (path, Tornado handler, arguments)")
    return list(routes)
