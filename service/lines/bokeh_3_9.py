"""Bokeh 3.9, which runs on Python 3.11."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Collection, Mapping
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any

import bokeh.io.doc as bokeh_io_doc
from bokeh.application.handlers import DirectoryHandler
from bokeh.application.handlers.lifecycle import LifecycleHandler
from bokeh.core.property.bases import Property
from bokeh.core.property.validation import validate
from bokeh.events import Event
from bokeh.model import Model
from tornado.httputil import HTTPHeaders

from service.lines.contract import CurrentDocuments

__all__ = (
    "VERSION",
    "allow_runs_at_once",
    "current_documents",
    "event_of_inputs",
    "install_curdoc",
    "request_hook",
    "server_request",
    "session_hook",
)

VERSION = (3, 9)

current_documents: CurrentDocuments = ContextVar("current_documents", default=())


class ContextStack:
    """The part of ``list`` that ``bokeh.io.doc`` uses, kept in a context variable."""

    def append(self, reference: weakref.ReferenceType[Any]) -> None:
        current_documents.set((*current_documents.get(), reference))

    def pop(self) -> weakref.ReferenceType[Any]:
        *rest, last = current_documents.get()
        current_documents.set(tuple(rest))
        return last

    def clear(self) -> None:
        current_documents.set(())

    def __len__(self) -> int:
        return len(current_documents.get())

    def __getitem__(self, index: int) -> weakref.ReferenceType[Any]:
        return current_documents.get()[index]


def install_curdoc() -> None:
    """``curdoc`` reads ``_PATCHED_CURDOCS[-1]`` and ``patch_curdoc`` appends and pops it, both through the
    module's global name: a list of the process, not even popped when a callback raises.
    """
    module: Any = bokeh_io_doc
    if not isinstance(module._PATCHED_CURDOCS, ContextStack):
        module._PATCHED_CURDOCS = ContextStack()


def allow_runs_at_once() -> None:
    """Nothing keeps them from it, but ``with validate(False)`` is for the process: what one thread switches
    off is off for all, and two that overlap leave it off for good.
    """
    if not isinstance(vars(Property)["_should_validate"], _Validates):
        methods: Any = validate
        methods.__init__, methods.__enter__, methods.__exit__ = _note, _switch, _switch_back
        methods.__del__ = _switch_for_all
        setattr(Property, "_should_validate", _Validates())  # noqa: B010 - 3.10's Property does not have it


_validates: ContextVar[bool | None] = ContextVar("validates", default=None)


class _Validates:
    """Stands for ``Property._should_validate``, which is read from the class."""

    of_process = True

    def __get__(self, instance: object, owner: object) -> bool:
        value = _validates.get()
        return self.of_process if value is None else value


# The methods of ``validate``: a context manager, and without ``with`` a switch for the process.


def _note(self: Any, value: bool) -> None:
    self.value, self.token = value, None


def _switch(self: Any) -> None:
    self.token = _validates.set(self.value)


def _switch_back(self: Any, *exception: object) -> None:
    _validates.reset(self.token)


def _switch_for_all(self: Any) -> None:
    if self.token is None:
        _Validates.of_process = self.value


def session_hook(handler: Any, name: str) -> Callable[..., Any]:
    """The app's own function, where ``LifecycleHandler`` calls it in a coroutine and returns what it gives.

    A plain function would run on the event loop. ``DirectoryHandler`` passes the call on to a handler for its
    hooks module. Who overrides either method is asked as ever.
    """
    if getattr(type(handler), name) is getattr(DirectoryHandler, name):
        handler = handler._lifecycle_handler
    ours = getattr(type(handler), name) is getattr(LifecycleHandler, name)
    hook: Callable[..., Any] = getattr(handler, f"_{name}" if ours else name)
    return hook


def event_of_inputs(model: Model, attributes: Collection[str]) -> Event | None:
    """There is none."""
    return None


def request_hook(application: Any) -> Callable[..., Any]:
    """The only one there is."""
    hook: Callable[..., Any] = application.process_request
    return hook


def server_request(*, headers: Mapping[str, str], cookies: Mapping[str, str], **facts: Any) -> Any:
    """With the attributes of 3.10's, which this line does not have yet."""
    return SimpleNamespace(
        headers=HTTPHeaders(headers),
        cookies={name: SimpleNamespace(value=value) for name, value in cookies.items()},
        **{"root_path": "", "user": None, "state": {}, **facts},
    )
