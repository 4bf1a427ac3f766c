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
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from operator import itemgetter
from types import ModuleType
from typing import Any

from bokeh.model import Model

from service.apps.when_imported import when_imported
from service.documents.shortcuts.table import is_as_read

__all__ = ("apply_shortcuts", "install")

log = logging.getLogger(__name__)

_ALWAYS_OWN = frozenset({"_param__private", "_globals", "_parameter_set", "__class__", "param"})
_MOST_PATHS = 256
"""Of style sheets whose place is remembered."""
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


def _put(owner: Any, name: str, digest: str | Sequence[str], made: Callable[..., Any]) -> bool:
    panels = vars(owner)[name]
    is_known = is_as_read(panels, name, [digest] if isinstance(digest, str) else digest)
    if is_known:
        made.panels = panels  # type: ignore[attr-defined]  # to compare with
        setattr(owner, name, made)
    else:
        log.debug("Panel has changed %s.%s, which runs at its own speed", owner.__name__, name)
    return is_known


def _shorten_config(module: ModuleType) -> None:
    """Values of ``pn.config``: Panel's own imports a module, and asks for a session's table, with each."""
    config = module._config
    inherited = module._base_config.__getattribute__

    def __getattribute__(self: Any, attr: str) -> Any:  # noqa: N807
        if attr in _ALWAYS_OWN or module._config_uninitialized:
            return inherited(self, attr)
        return value(self, attr, values_of_session(self))

    def values_of_session(self: Any) -> dict[str, Any] | None:
        own: dict[str, Any] | None = None
        document = _curdoc()
        if document:
            sessions = inherited(self, "_session_config")
            own = sessions.get(document)
            if own is None:
                own = sessions[document] = {}
        return own

    def value(self: Any, attr: str, own: dict[str, Any] | None) -> Any:
        if own is not None and attr in _COPIED and attr not in own:
            setattr(self, attr, copy.copy(inherited(self, attr)))
        if attr in config._globals or attr == "theme":
            return inherited(self, attr)
        if own is not None and attr in own:
            return own[attr]
        if f"_{attr}" in config._parameter_set and (other := inherited(self, f"_{attr}_")) is not None:
            return other
        return inherited(self, attr)

    @contextmanager
    def set_for_a_while(self: Any, **kwargs: Any) -> Iterator[None]:
        own, names = values_of_session(self), list(self.param)
        values = [(name, value(self, name, own)) for name in names if name != "name"]
        overrides = [
            (f"{name}_", value(self, f"{name}_", own))
            for name in config._parameter_set
            if name.startswith("_") and name[1:] not in config._globals
        ]
        for name, new in kwargs.items():
            setattr(self, name, new)
        try:
            yield
        finally:
            own = values_of_session(self)
            now = {name: value(self, name, own) for name in self.param}
            self.param.update(**{name: before for name, before in values if before is not now.get(name)})
            for name, before in overrides:
                setattr(self, name, before)

    if _put(config, "__getattribute__", "531eeb67dbfb86a7", __getattribute__):
        _put(config, "set", "a8bf17033a28d77c", set_for_a_while)


def _curdoc() -> Any:
    state = sys.modules.get("panel.io.state") or importlib.import_module("panel.io.state")
    return state.state.curdoc


def _shorten_extensions(module: ModuleType) -> None:
    """Panel's own (1.10) turns a table round for each of a thousand classes of models."""

    def extension_declared(cls: type) -> bool:
        extensions = module.state._extensions
        if extensions is None:
            return True
        named = [name for name, of in module.extension._imports.items() if of == cls.__module__]
        return not named or named[-1] in extensions

    def _collect_external_resources(self: Any, resource_attr: str) -> list[str]:
        found: list[str] = []
        for cls in _declared_classes(module):
            external = getattr(cls, resource_attr, None)
            given = [external] if isinstance(external, str) else external
            for each in given if isinstance(given, list) else ():
                if each not in found:
                    found.append(each)
        return found

    if hasattr(module, "extension_declared"):
        _put(module, "extension_declared", "39e80459b80043f3", extension_declared)
        _put(module.Resources, "_collect_external_resources", "230157fd9ce837f0", _collect_external_resources)


def _declared_classes(module: ModuleType) -> list[type]:
    """The classes of models whose extensions the page has, by name. Panel's own (1.10) asks for each anew."""
    classes = [cls for _, cls in sorted(Model.model_class_reverse_map.items(), key=itemgetter(0))]
    extensions = module.state._extensions
    if extensions is None:
        return classes
    named = {of: name for name, of in module.extension._imports.items()}
    absent = {of for of, name in named.items() if name not in extensions}
    return [cls for cls in classes if cls.__module__ not in absent]


def _shorten_specs(module: ModuleType) -> None:
    """Panel's own (1.10) asks a generator for each base class of each class of models."""
    names = module._RESOURCE_ATTRS

    def _has_resources(cls: type) -> bool:
        for base in getattr(cls, "__mro__", (cls,)):
            attributes = base.__dict__
            for name in names:
                if name in attributes:
                    return True
        return False

    def _resource_classes() -> list[type]:
        custom = importlib.import_module("panel.reactive").ReactiveCustomBase
        descendents = importlib.import_module("panel.util")._descendents
        classes = _declared_classes(importlib.import_module("panel.io.resources"))
        return classes + [cls for cls in descendents(custom, concrete=True) if cls._loaded()]

    _put(module, "_has_resources", "7d8badaae85ad1b6", _has_resources)
    _put(module, "_resource_classes", "97a5a33815879068", _resource_classes)


def _shorten_classes(module: ModuleType) -> None:
    """Panel's own looks through a list of all classes found for each further one."""
    is_abstract = module._is_abstract

    def _descendents(class_: type, concrete: bool = False) -> list[type]:
        if not isinstance(class_, type):
            raise TypeError(f"descendents expected a class object, not {type(class_).__name__}")
        found, seen = [class_], {class_}
        for each in found:  # while it grows
            try:
                below: list[type] = each.__subclasses__()
            except TypeError:  # of `type`, for example
                continue
            new = [cls for cls in below if cls not in seen]
            seen.update(new)
            found += new
        return [each for each in found if not (concrete and is_abstract(each))]

    _put(module, "_descendents", ("cda555e95e3cfe9f", "7faefa80eb8a620c"), _descendents)


def _shorten_values(module: ModuleType) -> None:
    """Panel's own makes, for each parameter of an object, the list of those that models have, too."""

    def _init_params(self: Any) -> dict[str, Any]:
        synced = frozenset(self._synced_params)
        values = {name: getattr(self, name) for name in self.param if name in synced}
        return {name: value for name, value in values.items() if value is not None}

    _put(module.Syncable, "_init_params", "56fd08beffdf076b", _init_params)


def _shorten_themes(module: ModuleType) -> None:
    """Panel's own asks for each component of a page whether the same two files are its own."""
    relative_to = module.relative_to
    _put(module, "relative_to", "dd2a764ae2bc936f", lru_cache(_MOST_PATHS)(relative_to))


def _confine_busy_indicators(module: ModuleType) -> None:
    """Panel's own switches the indicators of all sessions on and off with each event of any of them.

    So they show what others do, and an event costs the more the more sessions there are.
    """
    panels = vars(module._state)["_update_busy"]
    if is_as_read(panels, "_update_busy", ["db06327549c189c4"]):
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
    "panel.config": _shorten_config,
    "panel.io.state": _confine_busy_indicators,
    "panel.io.resources": _shorten_extensions,
    "panel.io.resource_spec": _shorten_specs,
    "panel.reactive": _shorten_values,
    "panel.theme.base": _shorten_themes,
    "panel.util": _shorten_classes,
}
