"""All that differs between the lines of Bokeh that this server runs on.

One module per line, with the same names in each; :mod:`service.lines.contract` says what every line
has to provide. Everybody else imports :data:`line` from here and never asks for a version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from service.lines.choice import check_bokeh, load, refuse_unsupported
from service.lines.contract import Line

if TYPE_CHECKING:
    line: Line

__all__ = ("Line", "check_bokeh", "line", "refuse_unsupported")


def __getattr__(name: str) -> Any:
    # Late: versions are checked, and the command line answers, without an import of bokeh.
    if name == "line":
        return load()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
