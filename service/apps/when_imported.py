"""Doing something to a module of somebody else's right after it was imported, whoever imports it and when.

So nothing is imported for apps that do not use it, and the first session that does is like all later ones.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

__all__ = ("imported", "when_imported")

Action = Callable[[ModuleType], None]

_actions: dict[str, list[Action]] = {}


def when_imported(name: str, action: Action) -> None:
    """Call ``action`` with the module ``name``: now if it was imported, else as soon as it is. Idempotent."""
    if action in _actions.setdefault(name, []):
        return
    _actions[name].append(action)
    module = imported(name)
    if module is not None:
        action(module)
    elif _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)


def imported(name: str) -> Any:
    """The module, if its import is over. While another thread is at it, ``sys.modules`` has a part of it."""
    module = sys.modules.get(name)
    return None if module is None or _is_being_imported(module) else module


def _is_being_imported(module: ModuleType) -> bool:
    return bool(getattr(module.__spec__, "_initializing", False))  # CPython 3.11 to 3.14


class _Finder:
    """Finds nothing itself: it sees to it that the actions follow when others have found a module."""

    def __init__(self) -> None:
        self._looking = threading.local()

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in _actions or getattr(self._looking, "for_name", None) == name:
            return None
        self._looking.for_name = name
        try:
            spec = self._found_by_others(name, path, target)
        finally:
            self._looking.for_name = None
        if spec is not None and spec.loader is not None:
            # An attribute of this module's own loader, which hides that of its class.
            spec.loader.exec_module = partial(_load, name, spec.loader.exec_module)  # type: ignore[method-assign]
        return spec

    def _found_by_others(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None
    ) -> ModuleSpec | None:
        for finder in list(sys.meta_path):
            spec = None if finder is self else finder.find_spec(name, path, target)
            if spec is not None:
                return spec
        return None


_finder = _Finder()


def _load(name: str, execute: Callable[[ModuleType], None], module: ModuleType) -> None:
    execute(module)
    for action in _actions[name]:
        action(module)
