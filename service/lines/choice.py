"""Which line of Bokeh is installed, and what to say of one that we do not know.

Asks the package's metadata, as ``bokeh.__version__`` does (3.9 and 3.10): what cannot work is refused
before any of it is imported.
"""

from __future__ import annotations

import logging
import re
from functools import cache
from importlib import import_module
from importlib.metadata import version as version_of_package

from service.errors import ConfigError
from service.lines.contract import Line

__all__ = ("check_bokeh", "is_proven", "load", "refuse_unsupported")

log = logging.getLogger(__name__)

OLDEST = (3, 9)
NEWEST = (3, 10)


def check_bokeh() -> None:
    """Warn of a Bokeh newer than the lines that were tested. Raises ConfigError for one that cannot work."""
    installed = refuse_unsupported()
    if not is_proven(installed):
        log.warning(
            "bokeh %s is newer than the versions tested with this server (%s to %s): sessions are unproven, "
            "and slower where Bokeh's functions have changed",
            installed, _text(OLDEST), _text(NEWEST),
        )  # fmt: skip


def is_proven(installed: str) -> bool:
    """Whether this version, which is supported, is none that came after those tested."""
    return version_of(installed) <= NEWEST


@cache
def refuse_unsupported() -> str:
    """The Bokeh that is installed. Raises ConfigError for an older line or a later major version."""
    installed = version_of_package("bokeh")
    version = version_of(installed)
    if version < OLDEST or version[0] > NEWEST[0]:
        raise ConfigError(
            f"bokeh {installed} is not supported: install bokeh>={_text(OLDEST)},<{NEWEST[0]}.{NEWEST[1] + 1}"
        )
    return installed


def version_of(text: str) -> tuple[int, int]:
    """Major and minor of a version such as ``3.10.2`` or ``3.11.0.dev2``."""
    match = re.match(r"(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else (0, 0)


@cache
def load() -> Line:
    """The line that is installed; the newest that we know for a newer one. Raises ConfigError."""
    major, minor = min(version_of(refuse_unsupported()), NEWEST)
    module: Line = import_module(f"service.lines.bokeh_{major}_{minor}")
    return module


def _text(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))
