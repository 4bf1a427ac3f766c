"""Where app code stands right now: the frames of a thread that are not Python's, Bokeh's or ours."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Iterator
from types import FrameType

__all__ = ("where",)

_OTHERS = sys.stdlib_module_names | {"bokeh", "panel", "param", "service", "store", "svc", "tornado"}
_INSTALLED = tuple({sysconfig.get_path(name) for name in ("purelib", "platlib", "stdlib")})


def where(thread: int | None) -> str:
    """The app's innermost function on that thread, as ``function (file:line)``; "" when there is none."""
    frame = None if thread is None else sys._current_frames().get(thread)
    frames = list(_outwards(frame))
    found = next(filter(_is_apps, frames), None) or next((f for f in frames if not _is_ours(f)), None)
    if found is None:
        return ""
    code = found.f_code
    return f"{code.co_qualname} ({code.co_filename}:{found.f_lineno})"


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _is_ours(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0] in _OTHERS


def _is_apps(frame: FrameType) -> bool:
    """Apps are run from files that are not installed."""
    return not _is_ours(frame) and not frame.f_code.co_filename.startswith(_INSTALLED)
