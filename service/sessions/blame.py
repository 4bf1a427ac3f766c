"""Whether it was the app, or what a client sent, that made handling a message fail.

An app's author wants the traceback of what its callbacks raise. What comes from outside is worth one line,
however it fails: nobody but the client can mend it, and whoever wants to could fill the log with tracebacks.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import FrameType

__all__ = ("brief", "raised_by_app")

_READERS = sys.stdlib_module_names | {"bokeh", "numpy", "pandas", "service", "store", "svc", "tornado"}
"""Packages whose code reads, checks and applies what clients send."""

MAX_BRIEF = 200
"""Characters of an error in a log line."""


def raised_by_app(error: BaseException) -> bool:
    """Whether code of the app, or of a library that it uses, took part."""
    packages = {str(frame.f_globals.get("__name__", "")).partition(".")[0] for frame in _frames(error)}
    return not packages <= _READERS


def _frames(error: BaseException) -> Iterator[FrameType]:
    here = error.__traceback__
    while here is not None:
        yield here.tb_frame
        here = here.tb_next


def brief(error: BaseException) -> str:
    """The error in one line that is not long, whatever a client put into it."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    shown = "".join(character if character.isprintable() else "?" for character in text)
    return shown if len(shown) <= MAX_BRIEF else shown[: MAX_BRIEF - 1] + "…"
