"""Shorter ways to what Panel (1.9 and 1.10) looks up thousands of times for each page.

As with those for Bokeh (:mod:`service.documents.shortcuts`), each takes the place of one function, gives the
same results, and is put in only while that function is the one it was written for. One differs: a session's
busy indicator shows what that session does, not what all do.
"""

from __future__ import annotations

import copy
import importlib
import logging
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from service.apps.when_imported import when_imported
from service.documents.shortcuts.table import digest_of

__all__ = ("apply_shortcuts", "install")

log = logging.getLogger(__name__)

_ALWAYS_OWN = frozenset({"_param__private", "_globals", "_parameter_set", "__class__", "param"})
_COPIED = frozenset({"raw_css", "global_css", "css_files", "js_files", "js_modules"})


def install() -> None:
    """Put each in as soon as the app's Panel is imported. Idempotent."""
    for name, put in _SHORTCUTS.items():
        when_imported(name, put)


def apply_shortcuts() -> None:
    """Put them in now, in those modules that are imported."""
    for name, put in _SHORTCUTS.items():
        if name in sys.modules:
            put(sys.modules[name])


def _put(owner: Any, name: str, digest: str, made: Callable[..., Any]) -> None:
    panels = vars(owner)[name]
    if digest_of(panels) == digest:
        made.panels = panels  # type: ignore[attr-defined]  # to compare with
        setattr(owner, name, made)
    else:
        log.debug("Panel has changed %s.%s, which runs at its own speed", owner.__name__, name)


def _quicken_config(module: ModuleType) -> None:
    """Values of ``pn.config``: Panel's own imports a module, and asks for a session's table, with each."""
    config = module._config
    inherited = module._base_config.__getattribute__

    def __getattribute__(self: Any, attr: str) -> Any:  # noqa: N807
        if attr in _ALWAYS_OWN or module._config_uninitialized:
            return inherited(self, attr)
        own: dict[str, Any] | None = None
        document = _curdoc()
        if document:
            sessions = inherited(self, "_session_config")
            own = sessions.get(document)
            if own is None:
                own = sessions[document] = {}
            if attr in _COPIED and attr not in own:
                setattr(self, attr, copy.copy(inherited(self, attr)))
        if attr in config._globals or attr == "theme":
            return inherited(self, attr)
        if own is not None and attr in own:
            return own[attr]
        if f"_{attr}" in config._parameter_set and (value := inherited(self, f"_{attr}_")) is not None:
            return value
        return inherited(self, attr)

    _put(config, "__getattribute__", "531eeb67dbfb86a7", __getattribute__)


def _curdoc() -> Any:
    state = sys.modules.get("panel.io.state") or importlib.import_module("panel.io.state")
    return state.state.curdoc


def _quicken_extensions(module: ModuleType) -> None:
    """Panel's own (1.10) turns a table round for each of a thousand classes of models."""

    def extension_declared(cls: type) -> bool:
        extensions = module.state._extensions
        if extensions is None:
            return True
        named = [name for name, of in module.extension._imports.items() if of == cls.__module__]
        return not named or named[-1] in extensions

    if hasattr(module, "extension_declared"):
        _put(module, "extension_declared", "39e80459b80043f3", extension_declared)


def _quicken_specs(module: ModuleType) -> None:
    """Panel's own (1.10) asks a generator for each base class of each class of models."""
    names = module._RESOURCE_ATTRS

    def _has_resources(cls: type) -> bool:
        for base in getattr(cls, "__mro__", (cls,)):
            attributes = base.__dict__
            for name in names:
                if name in attributes:
                    return True
        return False

    _put(module, "_has_resources", "7d8badaae85ad1b6", _has_resources)


def _confine_busy_indicators(module: ModuleType) -> None:
    """Panel's own switches the indicators of all sessions on and off with each event of any of them.

    So they show what others do, and an event costs the more the more sessions there are.
    """
    digest = "db06327549c189c4"
    if digest_of(vars(module._state)["_update_busy"]) == digest:
        module._state._indicators = _Indicators(module._state._indicators)
    else:
        log.debug("Panel has changed _state._update_busy, which shows all sessions that one is busy")


class _Indicators(list[Any]):
    """Those of the session whose code runs, and those that were left on, as another was busy still."""

    def __iter__(self) -> Iterator[Any]:
        document = _curdoc()
        return iter([each for each in super().__iter__() if _concerns(each, document)])


def _concerns(indicator: Any, document: Any) -> bool:
    documents = [model.document for model, _ in list(indicator._models.values())]
    is_own = document is None or not documents or None in documents or document in documents
    return is_own or (bool(indicator.value) and not sys.modules["panel.io.state"].state.busy)


_SHORTCUTS: dict[str, Callable[[ModuleType], None]] = {
    "panel.config": _quicken_config,
    "panel.io.state": _confine_busy_indicators,
    "panel.io.resources": _quicken_extensions,
    "panel.io.resource_spec": _quicken_specs,
}
