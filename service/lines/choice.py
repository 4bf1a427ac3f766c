"""Which line of Bokeh is installed, and what to say of one that we do not know."""

from __future__ import annotations

import logging
import re
from importlib import import_module

import bokeh

from service.errors import ConfigError
from service.lines.contract import Line

__all__ = ("check_bokeh", "line")

log = logging.getLogger(__name__)

OLDEST = (3, 9)
NEWEST = (3, 10)


def version_of(text: str) -> tuple[int, int]:
    """Major and minor of a version such as ``3.10.2`` or ``3.11.0.dev2``."""
    match = re.match(r"(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def module_for(version: tuple[int, int]) -> str:
    """The module of the line; a newer Bokeh is taken for the newest line that we know."""
    major, minor = min(version, NEWEST)
    return f"service.lines.bokeh_{major}_{minor}"


def check_bokeh(installed: str = bokeh.__version__) -> None:
    """Warn of a Bokeh newer than the lines that were tested. Raises ConfigError for one that cannot work."""
    version = version_of(installed)
    if version < OLDEST or version[0] > NEWEST[0]:
        raise ConfigError(
            f"bokeh {installed} is not supported: install bokeh>={_text(OLDEST)},<{NEWEST[0]}.{NEWEST[1] + 1}"
        )
    if version > NEWEST:
        log.warning(
            "bokeh %s is newer than the versions tested with this server (%s to %s): sessions are unproven, "
            "and slower where Bokeh's functions have changed",
            installed, _text(OLDEST), _text(NEWEST),
        )  # fmt: skip


def _text(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))


def _load() -> Line:
    version = version_of(bokeh.__version__)
    module: Line = import_module(module_for(max(version, OLDEST)))
    return module


line = _load()
