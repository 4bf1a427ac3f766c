"""Streaming while another thread imports pandas for the first time: it waits until that is over.

Bokeh (3.9 and 3.10) takes pandas out of ``sys.modules``, where it is from the beginning of its import on,
without its classes: rows of whatever kind that are streamed just then would be lost with an AttributeError.
"""

from __future__ import annotations

import sys
from typing import Any

from bokeh.models import ColumnDataSource

__all__ = ("install",)

_Source: Any = ColumnDataSource
bokeh_stream = _Source._stream


def install() -> None:
    """For all Documents of this process, for good."""
    _Source._stream = _stream


def _stream(self: ColumnDataSource, *args: Any, **options: Any) -> None:
    if "pandas" in sys.modules:
        import pandas  # type: ignore[import-untyped]  # noqa: F401 - which waits for whoever is at it
    bokeh_stream(self, *args, **options)
