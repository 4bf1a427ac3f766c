"""Shortcuts on the way of one change from a model to the callbacks (bokeh 3.9 and 3.10)."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import bokeh.document.callbacks as bokeh_callbacks
from bokeh.core.has_props import HasProps
from bokeh.core.property.descriptors import ColumnDataPropertyDescriptor
from bokeh.core.property.wrappers import PropertyValueColumnData
from bokeh.document import Document
from bokeh.document.callbacks import DocumentCallbackManager
from bokeh.document.events import DocumentChangedEvent, DocumentPatchedEvent
from bokeh.model import Model

from service.documents.copies import replacing
from service.documents.curdoc import current_documents
from service.documents.shortcuts.facts import SIMPLE

__all__: tuple[str, ...] = ()

bokeh = SimpleNamespace(
    __set__=ColumnDataPropertyDescriptor.__set__,
    invoke_with_curdoc=bokeh_callbacks.invoke_with_curdoc,
    on_change_dispatch_to=DocumentCallbackManager.on_change_dispatch_to,
    trigger=Model.trigger,
    update=PropertyValueColumnData.update,
)


_RECEIVING = (
    "_document_changed",
    "_document_message_sent",
    "_document_model_changed",
    "_column_data_changed",
    "_columns_streamed",
    "_columns_patched",
)
"""The methods, beside ``_document_patched``, that events with a patch look for in a receiver."""


def on_change_dispatch_to(self: DocumentCallbackManager, receiver: Any) -> None:
    """Bokeh's own asks for each event what the receiver can take.

    In 3.10 by up to four protocols, and since Python 3.12 ``isinstance`` is slow with those.
    """
    if not hasattr(receiver, "_document_patched") or any(hasattr(receiver, name) for name in _RECEIVING):
        bokeh.on_change_dispatch_to(self, receiver)
        return

    def receive(event: DocumentChangedEvent) -> None:
        if isinstance(event, DocumentPatchedEvent):
            receiver._document_patched(event)
        else:  # of session callbacks and titles: seldom
            event.dispatch(receiver)

    self._change_callbacks.setdefault(receiver, receive)


def invoke_with_curdoc(doc: Document, f: Callable[[], Any]) -> Any:
    """Bokeh's own makes the Document the current one also where it is that already."""
    current = current_documents.get()
    if current and current[-1]() is doc and not getattr(f, "nolock", False):
        return f()
    return bokeh.invoke_with_curdoc(doc, f)


def trigger(self: Model, attr: str, old: Any, new: Any, hint: Any = None, setter: Any = None) -> None:
    """Bokeh's own looks for models also in numbers and text."""
    if hint is None and type(old) in SIMPLE and type(new) in SIMPLE:
        super(Model, self).trigger(self.lookup(attr).name, old, new, hint=hint, setter=setter)
    else:
        bokeh.trigger(self, attr, old, new, hint=hint, setter=setter)


def __set__(  # noqa: N807
    self: ColumnDataPropertyDescriptor, obj: HasProps, value: Any, *, setter: Any = None
) -> None:
    """Bokeh's own keeps the old columns until it is done, and it tells of the new ones before that."""
    with replacing:
        bokeh.__set__(self, obj, value, setter=setter)


def update(self: PropertyValueColumnData, *args: Any, **kwargs: Any) -> Any:
    """As :func:`__set__`, for single columns."""
    with replacing:
        return bokeh.update(self, *args, **kwargs)
