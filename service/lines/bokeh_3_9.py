"""Bokeh 3.9, which runs on Python 3.11."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Collection, Mapping
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any

import bokeh.io.doc as bokeh_io_doc
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
    """Nothing keeps them from it."""


def session_hook(handler: Any, name: str) -> Callable[..., Any]:
    """Handlers call the app's hook in the coroutine of theirs, and return what it gives."""
    hook: Callable[..., Any] = getattr(handler, name)
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
