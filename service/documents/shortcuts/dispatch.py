"""Shortcuts on the way of one change from a model to the callbacks (bokeh 3.9)."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import bokeh.document.callbacks as bokeh_callbacks
from bokeh.document import Document
from bokeh.model import Model

from service.documents.curdoc import current_documents
from service.documents.shortcuts.facts import SIMPLE

__all__: tuple[str, ...] = ()

bokeh = SimpleNamespace(invoke_with_curdoc=bokeh_callbacks.invoke_with_curdoc, trigger=Model.trigger)


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
