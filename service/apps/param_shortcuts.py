"""Shorter ways to what param (2.4.0 to 2.4.2) does thousands of times for each of Panel's pages.

In groups as those for Bokeh (:mod:`service.documents.shortcuts`): a group is put in once param is imported,
if all functions that it replaces or relies on are those it was written for. Two differ from param's own, for
the better: setting one parameter reads no others, and triggering one makes no copies of all others.
"""

from __future__ import annotations

import copy
import logging
import os
import sys
from collections.abc import Sequence
from functools import cache
from types import FunctionType, ModuleType
from typing import Any

from service.apps.when_imported import imported, when_imported
from service.documents.shortcuts.facts import SIMPLE
from service.documents.shortcuts.table import Group, Known

__all__ = ("apply_shortcuts", "groups", "install", "remove")

log = logging.getLogger(__name__)

_MODULE = "param.parameters"
_LEAVES = SIMPLE | {type, FunctionType, tuple}
"""Types that are no mutable containers, as seen without asking."""


def install() -> None:
    """Put the groups in as soon as param is imported. Idempotent."""
    when_imported(_MODULE, _put)


def apply_shortcuts() -> None:
    """Put them in now, if param is imported."""
    if (module := imported(_MODULE)) is not None:
        _put(module)


def remove(*names: str) -> None:
    """Put param's own functions back, of these groups or of all, to compare with."""
    for group in groups():
        if not names or group.name in names:
            group.remove()


@cache
def groups() -> tuple[Group, ...]:
    """For the param that is imported, with its own functions as they were when this was first called."""
    parameterized, parameters = sys.modules["param.parameterized"], sys.modules[_MODULE]
    return (
        _updates(parameterized),
        _copies(parameterized),
        _slots(parameterized),
        _defaults(parameterized),
        _paths(parameterized, parameters),
        _numbers(parameterized, parameters),
    )


def _put(module: ModuleType) -> None:
    for group in groups():
        if changed := group.outdated:
            log.debug("param has changed %s: %s at its own speed", ", ".join(map(str, changed)), group.name)
        else:
            group.put()


def _known(owner: Any, name: str, *digests: str, replacement: Any = None) -> Known:
    original = vars(owner)[name]
    # Of what can be called on classes and on instances: the function.
    return Known(owner, name, digests, getattr(original, "method", original), replacement)


def _updates(module: Any) -> Group:
    """Setting and triggering parameters: param's own reads all others, too."""
    cls = module.Parameters
    return Group(
        "param updates",
        (
            _known(cls, "_update", "257d5c33230c6acf", replacement=_update_for(module.Undefined)),
            _known(cls, "trigger", "ddc11bc980a628e2", replacement=_trigger_for(cls.trigger)),
            _known(cls, "update", "bd0486f46332a0b2"),
            _known(cls, "values", "b6c743265f256b29"),
            _known(cls, "get_value_generator", "d27df514ee044a25"),
            _known(cls, "objects", "a902f450d9833d27"),
            _known(cls, "__getitem__", "cbf783a91326a81e"),
        ),
    )


def _update_for(undefined: Any) -> Any:
    def _update(self_: Any, arg: Any = undefined, /, **kwargs: Any) -> dict[str, Any]:
        batched = self_._BATCH_WATCH
        self_._BATCH_WATCH = True
        target, known = self_.self_or_cls, self_._cls_parameters
        base = {} if arg is undefined else dict(arg)
        base.update(kwargs)
        events = [name for name in base if name in known and hasattr(known[name], "_autotrigger_value")]
        for name in events:
            self_[name]._mode = "set"
        objects = self_.objects("existing")
        restore = {name: self_.get_value_generator(name, objects) for name in base if name in objects}
        for name, value in base.items():
            if name not in known:
                self_._BATCH_WATCH = False
                raise ValueError(f"{name!r} is not a parameter of {self_.cls.__name__}")
            try:
                setattr(target, name, value)
            except Exception:
                self_._BATCH_WATCH = False
                raise
        self_._BATCH_WATCH = batched
        if not batched:
            self_._batch_call_watchers()
        for name in events:
            event = self_[name]
            event._mode = "reset"
            setattr(target, name, event._autotrigger_reset_value)
            event._mode = "set-reset"
        return restore

    return _update


def _trigger_for(trigger_by_param: Any) -> Any:
    def trigger(self_: Any, *param_names: str) -> None:
        if self_.self is not None and not self_.self._param__private.initialized:
            trigger_by_param(self_, *param_names)
            return
        known = self_._cls_parameters
        triggers = {
            name: self_[name]._autotrigger_value
            for name, each in known.items()
            if name in param_names and hasattr(each, "_autotrigger_value")
        }
        events, watchers = self_._events, self_._state_watchers
        self_._events = []
        self_._state_watchers = []
        objects = self_.objects("existing")
        values = {name: self_.get_value_generator(name, {name: objects[name]}) for name in param_names}
        self_._TRIGGER = True
        self_.update({**values, **triggers})
        self_._TRIGGER = False
        self_._events += events
        self_._state_watchers += watchers

    return trigger


def _copies(module: Any) -> Group:
    """An object's own copy of a parameter of its class: param's own asks each slot what it is."""
    cls, mutable, by_param = module.Parameter, module._is_mutable_container, module._instantiate_param_obj
    read, write = object.__getattribute__, object.__setattr__
    own = ("__copy__", "__setattr__", "__getattribute__", "_on_set")

    @cache
    def is_plain(kind: Any) -> bool:
        return all(getattr(kind, name) is getattr(cls, name) for name in own)

    def _instantiate_param_obj(paramobj: Any, owner: Any = None) -> Any:
        kind: Any = type(paramobj)
        if not is_plain(kind) or read(paramobj, "name") is None:
            return by_param(paramobj, owner)
        made = kind.__new__(kind)
        for slot in kind._all_slots_:
            value = read(paramobj, slot)
            if type(value) not in _LEAVES and slot != "default" and mutable(value):
                value = copy.copy(value)
            write(made, slot, value)
        write(made, "watchers", {})
        write(made, "owner", owner)
        return made

    return Group(
        "param copies",
        (
            _known(module, "_instantiate_param_obj", "f9675f9afb1c1a0c", replacement=_instantiate_param_obj),
            _known(module, "_is_mutable_container", "4c8f54739576cedc"),
            _known(module, "_instantiated_parameter", "e35f499f343c3b38"),
            _known(cls, "__copy__", "66255f1d7eb1bca3"),
            _known(cls, "__setattr__", "61d47a460092101a", "88339b33526d745d"),
            _known(cls, "__getattribute__", "f02f3ded9c18dd9b"),
            _known(cls, "_on_set", "1ec11fb1aca24890"),
        ),
    )


def _slots(module: Any) -> Group:
    """Setting what is set: Panel does so with each parameter of a class for each object of it."""
    cls = module.Parameter
    by_param, read = cls.__setattr__, object.__getattribute__

    def __setattr__(self: Any, attribute: str, value: Any) -> None:  # noqa: N807
        if (
            attribute != "allow_refs"
            or read(self, attribute) is not value
            or read(self, "watchers")
            or type(self)._on_set is not cls._on_set
        ):
            by_param(self, attribute, value)

    return Group(
        "param slots",
        (
            _known(cls, "__setattr__", "61d47a460092101a", "88339b33526d745d", replacement=__setattr__),
            _known(cls, "_on_set", "1ec11fb1aca24890"),
        ),
    )


def _defaults(module: Any) -> Group:
    """An object's own copy of a default: param's own makes a deep one, also of what cannot change."""
    cls, shared = module.Parameters, module.shared_parameters
    by_param = cls._instantiate_param

    def _instantiate_param(
        self_: Any, param_obj: Any, dict_: Any = None, key: Any = None, deepcopy: bool = True
    ) -> None:
        default, owner = param_obj.default, self_.self
        kind = type(default)
        is_empty = (kind is list or kind is dict) and not default
        if owner is None or dict_ or key or shared._share or (deepcopy and not (is_empty or kind in SIMPLE)):
            by_param(self_, param_obj, dict_, key, deepcopy)
        else:
            owner._param__private.values[param_obj.name] = kind() if deepcopy and is_empty else default

    return Group(
        "param defaults",
        (_known(cls, "_instantiate_param", "eb9cba8bdcc87304", replacement=_instantiate_param),),
    )


def _paths(module: Any, parameters: Any) -> Group:
    """Where a file is: param's own makes an object that finds it, each time somebody asks."""
    exists = {None: os.path.exists, True: os.path.isfile, False: os.path.isdir}
    kinds = {None: "Path", True: "File", False: "Folder"}

    def resolve(path: Any, to_file: bool | None, search_paths: Sequence[Any]) -> Any:
        module.object_count += 1  # of which names are made
        path, found = os.path.normpath(path), exists[to_file]
        if os.path.isabs(path):
            if found(path):
                return path
            raise OSError(f"{kinds[to_file]} '{path}' not found.")
        tried = []
        for prefix in search_paths or [os.getcwd()]:
            tried.append(os.path.join(os.path.normpath(prefix), path))
            if found(tried[-1]):
                return tried[-1]
        name = os.path.split(path)[1]
        raise OSError(f"{kinds[to_file]} {name} was not found in the following place(s): {tried}.")

    def resolver(to_file: bool | None) -> Any:
        def _resolve(self: Any, path: Any) -> Any:
            return resolve(path, to_file, self.search_paths)

        return _resolve

    return Group(
        "param paths",
        (
            _known(parameters.Path, "_resolve", "c58d40cc019fe3d8", replacement=resolver(None)),
            _known(parameters.Filename, "_resolve", "517352355b11ef35", replacement=resolver(True)),
            _known(parameters.Foldername, "_resolve", "fe2f242abfda2860", replacement=resolver(False)),
            _known(parameters.resolve_path, "__call__", "96b9f7e544eb003e"),
            _known(module.ParameterizedFunction, "__new__", "94885baba5175cfc"),
            _known(module.ParameterizedFunction, "instance", "aa94912aa1d8d244"),
        ),
    )


def _numbers(module: Any, parameters: Any) -> Group:
    """Values of numbers: param's own asks twice whether they are made anew each time."""
    number, dynamic, parameter = parameters.Number, parameters.Dynamic, module.Parameter
    by_param, read = number.__get__, parameter.__get__

    @cache
    def is_plain(kind: Any) -> bool:
        mro = kind.__mro__
        at = mro.index(number)
        return bool(mro[at + 1 : at + 3] == (dynamic, parameter))

    def __get__(self: Any, obj: Any, objtype: Any = None) -> Any:  # noqa: N807
        kind: Any = type(self)
        if is_plain(kind) and type(value := read(self, obj, objtype)) in SIMPLE:
            return value
        return by_param(self, obj, objtype)

    return Group(
        "param numbers",
        (
            _known(number, "__get__", "96712208799cd68d", replacement=__get__),
            _known(dynamic, "__get__", "93880b956ecb279f"),
            _known(parameter, "__get__", "86dc7f9e1ec1ff9c"),
        ),
    )
