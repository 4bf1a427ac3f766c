"""Whether code of the app runs when a client's patch is applied: without, no thread is needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bokeh.document import Document
from bokeh.document.callbacks import DocumentCallbackManager

__all__ = ("is_page_drawn", "runs_app_code")

_OF_MODELS = frozenset({"ModelChanged", "ColumnDataChanged", "ColumnsStreamed", "ColumnsPatched"})
_OF_DOCUMENTS = frozenset({"TitleChanged", "RootAdded", "RootRemoved"})


def runs_app_code(document: Document, content: Any, own: Callable[..., Any]) -> bool:
    """Whether anybody but one receiver of changes, and but ``own`` for events, listens to what is in a patch.

    What is malformed runs nothing: applying it raises. (Attributes of bokeh 3.9 and 3.10.)
    """
    if len(document.callbacks._change_callbacks) > 1:
        return True
    events = content.get("events")
    if type(events) is not list:
        return False
    for event in events:  # nearly always one
        try:
            if _has_listeners(document, event, own):
                return True
        except (AttributeError, KeyError, TypeError):
            continue
    return False


def is_page_drawn(content: Any) -> bool:
    """Whether a patch says that the page is drawn, and nothing else."""
    match content.get("events"):
        case [{"kind": "MessageSent", "msg_data": {"name": "document_ready"}}]:
            return True
    return False


def _has_listeners(document: Document, event: Any, own: Callable[..., Any]) -> bool:
    """Raises AttributeError, KeyError or TypeError where the event is malformed."""
    kind = event["kind"]
    if kind in _OF_MODELS:
        models: dict[Any, Any] = document.models._models
        model = models.get(event["model"]["id"])
        return model is not None and bool(model._callbacks.get(event.get("attr", "data")))
    if kind == "MessageSent":
        return _message_has_listeners(document.callbacks, event, own)
    return kind not in _OF_DOCUMENTS


def _message_has_listeners(
    callbacks: DocumentCallbackManager, message: Mapping[str, Any], own: Callable[..., Any]
) -> bool:
    kind = message["msg_type"]
    if kind != "bokeh_event":
        return bool(callbacks._message_callbacks.get(kind))
    name = message["msg_data"]["name"]
    if any(each != own for each in callbacks._event_callbacks.get(name, ())):
        return True
    models = [reference() for reference in list(callbacks._subscribed_models.get(name, ()))]
    return any(model is not None and model._event_callbacks.get(name) for model in models)
