"""Which frames of a stack are an app's own: those that its author can do something about."""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path
from types import TracebackType

__all__ = ("exc_info_of_app", "is_of_app")

_ROOT = Path(__file__).parents[2]
_PACKAGES = [str(_ROOT / package) for package in ("service", "store", "svc")]
_LIBRARIES = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
_NOT_APPS = ("<", *(os.path.join(path, "") for path in (*_PACKAGES, *_LIBRARIES)))
"""How the files begin that are surely no app's."""

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]


def is_of_app(file: str) -> bool:
    """Whether a code object with this ``co_filename`` is an app's: no library's and not this server's."""
    return not file.startswith(_NOT_APPS)


def exc_info_of_app(error: BaseException) -> ExcInfo:
    """For a log line: the traceback from the app's first frame on, all of it if there is none."""
    here = error.__traceback__
    while here is not None and not is_of_app(here.tb_frame.f_code.co_filename):
        here = here.tb_next
    return type(error), error, here or error.__traceback__
