"""Constant and read-only parameters as Panel, HoloViews and Param change them, for several threads at once.

They (``edit_readonly`` of panel 1.9 and 1.10, ``edit_constant`` of param 2, and ``disable_constant`` of
holoviews 1.22 and 1.23, by which streams take what a user did) clear the flags of an object's parameters and
later set them to what they were. Most of these are the parameters of the class, which the widgets and streams
of all sessions share: with two threads at it, one sets a flag while the other has yet to change the value,
which raises TypeError and loses an input; or the other finds the flag cleared and leaves it so for good.
Here objects have copies of these parameters, and a flag is cleared until nobody needs that any more.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import wraps
from types import ModuleType
from typing import Any

from service.apps.when_imported import when_imported

__all__ = ("install",)

_CONSTANT = ("constant",)
_BOTH = ("constant", "readonly")

_lock = threading.RLock()  # who watches a flag may clear others
_cleared: dict[tuple[int, str], int] = {}
"""By the ``id`` of a parameter, which lives meanwhile, and the flag: for how many blocks it is cleared."""


def install() -> None:
    """Idempotent."""
    when_imported("param.parameterized", _replace_edit_constant)
    when_imported("panel.util.parameters", _replace_edit_readonly)
    when_imported("holoviews.core.util", _replace_disable_constant)


def _replace_edit_constant(module: ModuleType) -> None:
    _replace(module, "edit_constant", _CONSTANT)


def _replace_edit_readonly(module: ModuleType) -> None:
    _replace(module, "edit_readonly", _BOTH)


def _replace_disable_constant(module: ModuleType) -> None:
    _replace(module, "disable_constant", _CONSTANT)


def _replace(module: ModuleType, name: str, flags: Sequence[str]) -> None:
    original: Callable[[Any], AbstractContextManager[None]] = getattr(module, name)
    if hasattr(original, "replaces"):
        return

    @wraps(original)
    def edit(parameterized: Any) -> AbstractContextManager[None]:
        return _without_flags(parameterized, flags)

    edit.replaces = original  # type: ignore[attr-defined]
    for holder in list(sys.modules.values()):  # those that have imported it before this server was made
        if getattr(holder, "__dict__", {}).get(name) is original:
            setattr(holder, name, edit)


@contextmanager
def _without_flags(parameterized: Any, flags: Sequence[str]) -> Iterator[None]:
    cleared = _clear(parameterized, flags)
    try:
        yield
    finally:
        _set_again(cleared)


def _clear(parameterized: Any, flags: Sequence[str]) -> list[tuple[Any, str]]:
    """The parameters whose flags are cleared for this block, perhaps also for others."""
    cleared = []
    with _lock:
        for name, shared in parameterized.param.objects("existing").items():
            if any(_is_set(shared, flag) for flag in flags):
                parameter = _own(parameterized, name, shared)
                cleared += [(parameter, flag) for flag in flags if _is_set(parameter, flag)]
        for parameter, flag in cleared:
            key = (id(parameter), flag)
            _cleared[key] = _cleared.get(key, 0) + 1
            setattr(parameter, flag, False)
    return cleared


def _is_set(parameter: Any, flag: str) -> bool:
    return getattr(parameter, flag) or (id(parameter), flag) in _cleared


def _own(parameterized: Any, name: str, shared: Any) -> Any:
    """A copy that only this object has, which Param makes when the value is set; classes and objects in their
    ``__init__`` have none.
    """
    is_made = not isinstance(parameterized, type) and parameterized._param__private.initialized
    return parameterized.param[name] if is_made else shared


def _set_again(cleared: Sequence[tuple[Any, str]]) -> None:
    with _lock:
        for parameter, flag in cleared:
            key = (id(parameter), flag)
            _cleared[key] -= 1
            if not _cleared[key]:
                del _cleared[key]
                setattr(parameter, flag, True)
