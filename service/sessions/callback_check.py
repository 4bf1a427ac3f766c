"""``--dev``: tells an author of callbacks that will be lost when their session moves to another replica.

A move brings back what inputs of clients made, by repeating those inputs. What the clock or a thread made is
not made again.
"""

from __future__ import annotations

import inspect
import logging
import sysconfig
import threading
from pathlib import Path
from typing import Any

from service.documents.wiring import is_missed, label_of, place_of_code

__all__ = ("CallbackCheck",)

log = logging.getLogger(__name__)

_NOT_OF_APPS = tuple({
    str(Path(__file__).parents[1]),
    *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
})  # fmt: skip


class CallbackCheck:
    """Says it once for each place in an app's code."""

    def __init__(self) -> None:
        self._said: set[tuple[str, str]] = set()

    def look(self, model: Any, callbacks: tuple[Any, ...], *, has_lock: bool) -> None:
        """These callbacks of ``model`` were just added, on this thread, and not because of an input.

        ``has_lock`` says that the code has the Document's lock: threads of apps have not.
        """
        place = _place_of_app()
        for callback in callbacks:
            code = place_of_code(callback, full=True)
            if is_missed(model, callback) and (place, code) not in self._said:
                self._said.add((place, code))
                log.warning(
                    "%s: this callback will not survive a move of its session: %s adds it to %s, no input, "
                    "in %s (see docs/durability.md)",
                    code, _by(has_lock), label_of(model), place,
                )  # fmt: skip


def _by(has_lock: bool) -> str:
    on_loop = threading.current_thread() is threading.main_thread()
    return "a timer" if on_loop or has_lock else "a thread"


def _place_of_app() -> str:
    """File, line and function of the innermost code that is the app's."""
    frame = inspect.currentframe()
    while frame is not None:
        path = frame.f_code.co_filename
        if not path.startswith((*_NOT_OF_APPS, "<")):
            return f"{path}:{frame.f_lineno} {frame.f_code.co_qualname}"
        frame = frame.f_back
    return "a library that the app uses"
