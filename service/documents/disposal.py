"""Taking a Document apart without stopping the process.

``Document.destroy`` of bokeh 3.9 walks the whole heap for each module of the app and then runs a
full ``gc.collect()``: some 420 ms for one session among 500, with the event loop stopped.
"""

from __future__ import annotations

import sys
from typing import Any

from bokeh.document import Document
from bokeh.model import Model

from service.documents.classes import forget_classes, keep_files

__all__ = ("dispose",)


def dispose(document: Document, receiver: Any = None) -> None:
    """Detach ``receiver``, if there is one, and break the cycles between models, callbacks and app modules.

    What ``Document.destroy`` does (bokeh 3.9), without its two passes over the heap: once the
    cycles are broken reference counting frees nearly all of it, and Python's own collector finds
    the rest.
    """
    if receiver is not None:
        document.remove_on_change(receiver)
    modules = list(document.modules._modules)
    models = list(document.models)
    document.__dict__.pop("destroy", None)  # Panel's own, which holds the Document
    document.callbacks._session_callbacks.clear()  # which refer to the Document
    document.callbacks.destroy()
    document.models.destroy()
    for model in models:
        _untie(model)
    document.modules._modules.clear()
    del document._roots
    del document._theme
    del document._template
    document._session_context = None
    forget_classes(modules)
    for module in modules:
        sys.modules.pop(module.__name__, None)
        module.__dict__.clear()
    keep_files()


def _untie(model: Model) -> None:
    """Let go of what ``Model.destroy`` leaves: containers that know their owner, and callbacks.

    A default that is a list or dict is kept apart from the other values (bokeh 3.9), and refers back to
    the model it belongs to.
    """
    model._unstable_default_values.clear()
    model._unstable_themed_values.clear()
    model._callbacks.clear()
    model._event_callbacks.clear()
