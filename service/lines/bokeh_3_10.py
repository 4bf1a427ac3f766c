"""Bokeh 3.10, which runs on Python 3.12 and later."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import nullcontext
from importlib import import_module
from typing import Any

import bokeh.events as bokeh_events
import bokeh.io.doc as bokeh_io_doc
from bokeh.application import Application
from bokeh.application.handlers import DirectoryHandler, code_runner
from bokeh.application.handlers.lifecycle import LifecycleHandler
from bokeh.events import Event
from bokeh.model import Model
from bokeh.models.widgets.inputs import FileInput

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

VERSION = (3, 10)

_io_doc: Any = bokeh_io_doc
current_documents: CurrentDocuments = _io_doc._PATCHED_CURDOCS
"""Bokeh's own: with a second variable beside it ``curdoc()`` and the unlocked proxy would disagree."""


def install_curdoc() -> None:
    """Bokeh keeps it in the context by itself."""


def allow_runs_at_once() -> None:
    """``_hold_process_globals``, which Panel (1.10) has, too, takes this lock by its global name."""
    module: Any = code_runner
    module._PROCESS_GLOBALS_LOCK = nullcontext()


def session_hook(handler: Any, name: str) -> Callable[..., Any]:
    """The app's own function, where ``LifecycleHandler`` would run it on a thread and drop its result.

    ``DirectoryHandler`` passes the call on to a handler for its hooks module. Who overrides either
    method is asked as ever.
    """
    if getattr(type(handler), name) is getattr(DirectoryHandler, name):
        handler = handler._lifecycle_handler
    ours = getattr(type(handler), name) is getattr(LifecycleHandler, name)
    hook: Callable[..., Any] = getattr(handler, f"_{name}" if ours else name)
    return hook


def event_of_inputs(model: Model, attributes: Collection[str]) -> Event | None:
    """``FileInputChange`` follows the three attributes of a ``FileInput``, and has all of them."""
    if not isinstance(model, FileInput) or not {"value", "filename", "mime_type"} & set(attributes):
        return None
    events: Any = bokeh_events
    event: Event = events.FileInputChange(
        model, value=model.value, filename=model.filename, mime_type=model.mime_type
    )
    return event


def request_hook(application: Any) -> Callable[..., Any]:
    """The coroutine where a subclass has one of its own; Bokeh's would run the other on a thread."""
    bokehs: Any = Application
    own = type(application).process_request_async is not bokehs.process_request_async
    hook: Callable[..., Any] = application.process_request_async if own else application.process_request
    return hook


def server_request(*, headers: Mapping[str, str], cookies: Mapping[str, str], **facts: Any) -> Any:
    """Bokeh's own class, and the two that its fields are made of."""
    module = import_module("bokeh.server.request")
    return module.ServerRequest(
        headers=module.Headers(headers),
        cookies={name: module.Cookie(value) for name, value in cookies.items()},
        **facts,
    )
