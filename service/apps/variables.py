"""Whether code of an app has changed what it keeps in Python, which no restore brings back.

What the app's run makes is there again after each run. What is done later to its variables (globals of its
script, closures of its callbacks, attributes of its objects, frames) may be gone then. So before the first
code that is not part of the run, and again when the session may go to sleep, all that its script and its
callbacks refer to is read with :mod:`pickle` and reduced to digests. Nothing is kept of it but these, and
nothing is ever unpickled. What cannot be read (a connection, a generator, objects of ``param`` classes that
the app defines) counts as changed: the answer may be wrong that way only.

Models and the Document are the journal's. Of Panel's objects plain values come back, too.
"""

from __future__ import annotations

import _thread
import asyncio
import io
import os
import pickle
import threading
import types
import weakref
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

from bokeh.core.has_props import HasProps
from bokeh.document import Document
from bokeh.model import Model

from service.apps.when_imported import imported

__all__ = ("Variables", "app_coroutines", "is_coroutine_of")

MAX_BYTES = 1024 * 1024
"""Of pickled objects that are looked at, and"""

MAX_BUFFER_BYTES = 32 * 1024 * 1024
"""of large arrays, columns and texts: takes some 30 ms, and another session's code runs meanwhile."""

LARGE = 100 * 1024
"""Pickled objects come in pieces of 64 KiB; what is larger is one value."""

CALLBACKS = "what a callback refers to"


class Variables:
    """Those of one session. Made when its app has run."""

    __slots__ = ("_before", "_document")

    def __init__(self, document: Document) -> None:
        self._document = weakref.ref(document)
        self._before: Mapping[str, int | None] | None = None

    @property
    def noted(self) -> bool:
        return self._before is not None

    def note(self) -> None:
        """Code is about to run that is not part of the app's run. Once; with the session's lock."""
        if self._before is None:
            self._before = self._read({})

    def changed(self) -> list[str]:
        """Names of those that are not as they were noted, or cannot be read. With the session's lock."""
        if self._before is None:
            return []
        now = self._read(self._before)
        names = [*self._before, *(name for name in now if name not in self._before)]
        found = [name for name in names if (then := self._before.get(name)) is None or now.get(name) != then]
        named = [name for name in found if name != CALLBACKS]
        return named or found  # a callback may refer to what has a name

    def _read(self, before: Mapping[str, int | None]) -> dict[str, int | None]:
        """Digests by name; None for what cannot be read, or could not ``before``."""
        document = self._document()
        if document is None:
            return {}
        # bokeh 3.9 and 3.10: the modules in which this session's scripts were run.
        modules: list[types.ModuleType] = document.modules._modules
        own = frozenset(module.__name__ for module in modules)
        budget = _Budget()
        found: dict[str, int | None] = {}
        for name, value in _named(document, modules):
            if not _is_of_library(value, own):
                found[name] = _digest(value, own, budget) if before.get(name, 0) is not None else None
        found[CALLBACKS] = _digest(list(_callbacks(document)), own, budget)
        return found


def app_coroutines() -> list[dict[str, Any]]:
    """The globals of all coroutines that tasks of this event loop are in the midst of."""
    found: list[dict[str, Any]] = []
    for task in asyncio.all_tasks():
        awaited: Any = task.get_coro()
        while awaited is not None:
            frame = getattr(awaited, "cr_frame", None)
            if frame is not None:
                found.append(frame.f_globals)
            awaited = getattr(awaited, "cr_await", None)
    return found


def is_coroutine_of(document: Document, folder: str | None, coroutines: Iterable[dict[str, Any]]) -> bool:
    """Whether one of these is of the session's script, or of a module in the app's ``folder``."""
    own = [vars(module) for module in document.modules._modules]
    within = None if folder is None else folder.rstrip(os.sep) + os.sep
    return any(
        any(each is names for names in own)
        or (within is not None and str(each.get("__file__", "")).startswith(within))
        for each in coroutines
    )


def _named(document: Document, modules: Iterable[types.ModuleType]) -> Iterator[tuple[str, Any]]:
    """What has a name: globals, and what code has put onto the Document and its session context."""
    for module in modules:
        yield from ((name, value) for name, value in list(vars(module).items()) if not _is_special(name))
    for owner, name in ((document, "curdoc()"), (document.session_context, "session_context")):
        for attribute, value in list(vars(owner).items()) if owner is not None else ():
            if not (attribute.startswith("_") or type(value).__module__.startswith(("bokeh.", "service."))):
                yield f"{name}.{attribute}", value


def _callbacks(document: Document) -> Iterator[Any]:
    """The app's, of the Document, of its models and of its clock (bokeh 3.9 and 3.10)."""
    callbacks = document.callbacks
    lists: list[Any] = [*callbacks._event_callbacks.values(), *callbacks._message_callbacks.values()]
    for model in sorted(document.models, key=lambda model: model.id):
        lists += model._callbacks.values()
        lists += model._event_callbacks.values()
    for each in lists:
        yield from (callback for callback in each if not _is_bokehs_or_ours(callback))
    yield from (each.callback for each in document.session_callbacks if not _is_bokehs_or_ours(each.callback))
    yield from (each for each in callbacks._change_callbacks.values() if not _is_bokehs_or_ours(each))


def _is_special(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def _is_of_library(value: Any, own: frozenset[str]) -> bool:
    """Whether the name was imported, as most are."""
    return isinstance(value, types.ModuleType) or (isinstance(value, type) and value.__module__ not in own)


def _is_bokehs_or_ours(callback: Any) -> bool:
    return str(getattr(callback, "__module__", "")).startswith(("bokeh.", "service."))


class _Unreadable(Exception):
    pass


@dataclass(slots=True)
class _Budget:
    """What is left of how much is looked at."""

    bytes: int = MAX_BYTES
    buffer_bytes: int = MAX_BUFFER_BYTES

    def spend(self, size: int) -> None:
        """Raises _Unreadable when that is more than there is."""
        if size > LARGE:
            self.buffer_bytes -= size
        else:
            self.bytes -= size
        if min(self.bytes, self.buffer_bytes) < 0:
            raise _Unreadable


def _digest(value: Any, own: frozenset[str], budget: _Budget) -> int | None:
    """None for what cannot be read, for whatever reason: code of libraries and of the app takes part."""
    sink = _Sink(left := replace(budget))
    try:
        _Reader(sink, own).dump(value)
    except Exception:  # noqa: BLE001 - as above
        return None
    budget.bytes, budget.buffer_bytes = (
        left.bytes,
        left.buffer_bytes,
    )  # one that is too large is not read again
    return sink.digest()


class _Sink:
    """The file that is pickled into."""

    def __init__(self, budget: _Budget) -> None:
        self._budget = budget
        self._hash = blake2b(digest_size=7)

    def digest(self) -> int:
        return int.from_bytes(self._hash.digest())

    def write(self, data: bytes) -> None:
        self._budget.spend(len(data))
        self._hash.update(data)

    def take_buffer(self, buffer: pickle.PickleBuffer) -> None:
        """Of an array, without a copy."""
        with buffer.raw() as view:
            self._budget.spend(view.nbytes)
            self._hash.update(view)


def _mark(*_: Any) -> None:
    """Stands for what is not looked into. Never called, as nothing is unpickled."""


_LOCKS = (_thread.LockType, type(threading.RLock()))

_KNOWN_AS_THEY_ARE = (
    Document, HasProps, types.ModuleType, types.CodeType, types.GetSetDescriptorType, weakref.ref, ContextVar,
    types.MemberDescriptorType, types.WrapperDescriptorType, types.MethodDescriptorType,
)  # fmt: skip


class _Reader(pickle.Pickler):
    """``own`` are the names of the modules whose classes are the session's own."""

    def __init__(self, sink: _Sink, own: frozenset[str]) -> None:
        super().__init__(sink, protocol=5, buffer_callback=sink.take_buffer)
        self._own = own

    def reducer_override(self, value: Any) -> Any:
        """As :mod:`pickle` has it: what makes the object, with which arguments, and its state.

        Asked for all but numbers, text, bytes, and the plain containers.
        """
        if value is _mark:
            return NotImplemented
        if isinstance(value, type):
            return self._of_class(value)
        if isinstance(value, types.FunctionType):
            return _of_function(value)
        if isinstance(value, Model):
            if type(value).__module__ in self._own:
                raise _Unreadable  # it may have attributes of its own
            return _mark, (value.id,)
        if isinstance(value, _KNOWN_AS_THEY_ARE):
            return _mark, (id(value),)
        if isinstance(value, _LOCKS):
            return _mark, ("lock",)
        if isinstance(value, types.BuiltinFunctionType) and not _is_bound(value):
            return _mark, (value.__qualname__,)
        if isinstance(value, staticmethod | classmethod):
            return _mark, (), value.__func__
        if isinstance(value, property):
            return _mark, (), (value.fget, value.fset, value.fdel)
        if isinstance(value, threading.Thread) and value.is_alive():
            raise _Unreadable
        if isinstance(value, io.IOBase) and value.closed:
            return _mark, ("closed",)
        if type(value).__module__.startswith("service."):
            return _mark, (id(value),)  # such as the session's state, which is journaled
        return _of_param(value)

    def _of_class(self, value: type) -> Any:
        if value.__module__ not in self._own:
            return _mark, (id(value),)
        members = {
            name: each
            for name, each in vars(value).items()
            # What else is special is made with the class, as is what an abstract one keeps for isinstance().
            if isinstance(each, types.FunctionType) or not (_is_special(name) or name == "_abc_impl")
        }
        return _mark, (id(value),), members


def _is_bound(value: types.BuiltinFunctionType) -> bool:
    return not (value.__self__ is None or isinstance(value.__self__, types.ModuleType))


def _of_function(value: types.FunctionType) -> Any:
    cells = [_content(cell) for cell in value.__closure__ or ()]
    held = (cells, value.__defaults__, value.__kwdefaults__, value.__dict__)
    code = (id(value.__code__),)
    return (_mark, code, held) if any(held) else (_mark, code)


def _content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not set yet
        return _mark


def _of_param(value: Any) -> Any:
    """Objects of ``param`` (2.x), on which Panel is built; NotImplemented for all others."""
    param = imported("param")
    if param is None:
        return NotImplemented
    if isinstance(value, param.Parameter):
        return _mark, (id(value),)
    if not isinstance(value, param.Parameterized):
        return NotImplemented
    if not type(value).__module__.startswith("panel."):
        raise _Unreadable
    values = value.param.values(onlychanged=True)
    kept = {name: each for name, each in values.items() if not _comes_back(each)}
    watching = [
        watcher.fn
        for kinds in value.param.watchers.values()
        for watchers in kinds.values()
        for watcher in watchers
    ]
    return _mark, (id(value), value.name), (kept, watching)


def _comes_back(value: Any) -> bool:
    """Whether it is a plain value, which the journal keeps of Panel's objects."""
    if isinstance(value, list | tuple):
        return all(map(_comes_back, value))
    if isinstance(value, dict):
        return all(map(_comes_back, value.values()))
    return value is None or isinstance(value, str | int | float | bool)
