"""Shortcuts for what Bokeh checks about models and callbacks again and again (bokeh 3.9 and 3.10)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from types import CodeType, FunctionType, MethodType, SimpleNamespace
from typing import Any
from weakref import WeakKeyDictionary

import bokeh.util.callback_manager as bokeh_callbacks
from bokeh.core.validation import check as bokeh_check
from bokeh.model import Model

__all__: tuple[str, ...] = ()

bokeh = SimpleNamespace(
    _check_callback=bokeh_callbacks._check_callback, check_integrity=bokeh_check.check_integrity
)

_VARIADIC = 0x04 | 0x08
"""Flags of code objects that take ``*args`` or ``**kwargs``."""
_PLACEHOLDER = getattr(functools, "Placeholder", object())  # Python 3.14


def check_integrity(models: Iterable[Model]) -> Any:
    """Bokeh's own lists all attributes of each model to find those few that are checks."""
    issues = bokeh_check.ValidationIssues()
    for model in models:
        names = _checks_of(type(model))
        if any(name.startswith("_check") for name in vars(model)):
            names = [name for name in dir(model) if name.startswith("_check")]
        checks = [getattr(model, name) for name in names]
        for check in [each for each in checks if getattr(each, "validator_type", None)]:
            kind = issues.error if check.validator_type == "error" else issues.warning
            kind.extend(check())
    return issues


_checks: WeakKeyDictionary[type, list[str]] = WeakKeyDictionary()


def _checks_of(cls: type[Model]) -> list[str]:
    found = _checks.get(cls)
    if found is None:
        found = _checks[cls] = [name for name in dir(cls) if name.startswith("_check")]
    return found


def _check_callback(
    callback: Callable[..., Any], fargs: Sequence[str], what: str = "Callback functions"
) -> None:
    """Bokeh's own makes a signature for each callback, to count what it takes."""
    if _required(callback) != len(fargs):
        bokeh._check_callback(callback, fargs, what)


def _required(callback: Any) -> int | None:
    """How many arguments Bokeh's own would count; None where that is not plain to see."""
    bound = 0
    if type(callback) is functools.partial:
        if callback.keywords or vars(callback) or any(each is _PLACEHOLDER for each in callback.args):
            return None
        bound, callback = len(callback.args), callback.func
    if type(callback) is MethodType:
        bound, callback = bound + 1, callback.__func__
    if type(callback) is not FunctionType or vars(callback):  # such as __wrapped__ or __signature__
        return None
    code: CodeType = callback.__code__
    if code.co_flags & _VARIADIC or code.co_kwonlyargcount or bound > code.co_argcount:
        return None
    left = code.co_argcount - bound
    return left - min(left, len(callback.__defaults__ or ()))
