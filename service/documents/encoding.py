"""Documents and their changes as BokehJS's JSON, and back.

The only module that calls Bokeh's serializer. Results are JSON text plus out-of-line binary
buffers as ``(id, payload)`` pairs, ready for :mod:`service.protocol.messages`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import cache
from typing import Any

from bokeh.core.has_props import is_DataModel
from bokeh.core.json_encoder import PayloadEncoder, serialize_json
from bokeh.core.serialization import Buffer, Serialized, Serializer
from bokeh.core.types import ID
from bokeh.document import Document
from bokeh.document.events import (
    ColumnDataChangedEvent,
    ColumnsPatchedEvent,
    ColumnsStreamedEvent,
    DocumentPatchedEvent,
    ModelChangedEvent,
)
from bokeh.document.models import DocumentModelManager
from bokeh.model import Model
from bokeh.settings import settings

from service.documents import shortcuts
from service.documents.copies import Copies, copied, soon
from service.errors import ProtocolError

__all__ = (
    "PAGE_MESSAGE_ROOT", "Buffers", "apply_patch", "encode_definitions", "encode_document",
    "encode_js_callbacks", "encode_patch", "is_of_model_that_left", "note_shown",
    "replace_document", "said_by_itself", "says_nothing_new", "to_json",
)  # fmt: skip

PAGE_MESSAGE_ROOT = "svc-page-message"
"""Id of a root that pages have besides those of the Document."""

Buffers = Sequence[tuple[str, bytes | memoryview]]


def encode_document(document: Document, *, inline: bool) -> tuple[str, Buffers]:
    """The content of a PULL-DOC-REPLY.

    ``inline`` puts binary data into the JSON as base64. BokehJS (3.9) needs that for every pull
    of a page after its first: it drops the buffers when it reconnects and then fails with
    "buffer for id=… not found".
    """
    if inline:
        return to_json({"doc": document.to_json(deferred=False)}), ()
    serialized = document.to_json()
    return to_json({"doc": serialized.content}), _buffers(serialized.buffers)


def encode_js_callbacks(document: Document) -> str:
    """The ``callbacks`` of a Document's JSON; models that the Document has are references in it."""
    serializer = Serializer(references=set(document.models), deferred=False)
    return to_json(serializer.encode(document.callbacks.js_event_callbacks))


def encode_definitions() -> str:
    """The ``defs`` of a Document's JSON: all data models of this process (bokeh 3.9 and 3.10)."""
    known = list(Model.model_class_reverse_map.values())
    return to_json(Serializer(deferred=False).encode([cls for cls in known if is_DataModel(cls)]))


def encode_patch(event: DocumentPatchedEvent) -> tuple[str, Copies]:
    """The content of a PATCH-DOC with one event, as ``patch_doc.create`` of bokeh 3.9 makes it.

    Must be called while the event is dispatched: later changes must not show in it.
    """
    content, buffers = _encoded(event)
    return content, soon(Copies(buffers), event.document)


def _encoded(event: DocumentPatchedEvent) -> tuple[str, list[Buffer]]:
    models = event.document.models
    serializer = shortcuts.patch_serializer(models)
    content = {"events": serializer.encode([event])}
    if models._new_models:
        models.flush_synced(lambda model: not serializer.has_ref(model))
    return to_json(content), serializer.buffers or []


def is_of_model_that_left(event: DocumentPatchedEvent) -> bool:
    """Whether it tells of a model that came and went while the Document was held: no client knows that one.

    Bokeh (3.9 and 3.10) tells of it all the same, and who is told cannot resolve the reference.
    """
    match event:
        case ModelChangedEvent() | ColumnDataChangedEvent() | ColumnsStreamedEvent() | ColumnsPatchedEvent():
            return event.document.models.get_by_id(event.model.id) is None
    return False


def note_shown(document: Document) -> None:
    """Clients have all of its models, though not from here: patches need not describe them."""
    document.models.flush_synced()


def note_patch(event: DocumentPatchedEvent) -> None:
    """What :func:`encode_patch` changes, for an event that nobody is waiting for.

    Models that it brings along count as known to the clients from then on.
    """
    if event.document.models._new_models:
        _encoded(event)


def apply_patch(document: Document, content: Any, buffers: Buffers, setter: Any) -> None:
    """Apply the content of a PATCH-DOC; ``setter`` marks its changes as coming from outside."""
    events = content.get("events")
    if type(events) is not list:
        raise ProtocolError("a PATCH-DOC has no list of events")
    if not all(map(_is_plain, events)):
        known = {PAGE_MESSAGE_ROOT, *(root.id for root in document.roots)}
        content["events"] = events = [event for event in events if not _is_known(event, known)]
        for event in events:
            _refer_to_known(event, document.models)
    document.apply_json_patch(_serialized(content, buffers), setter=setter)


def _is_plain(event: Any) -> bool:
    """Whether this sets a property to neither a list nor a dict, as most events do that widgets send."""
    return (
        type(event) is dict
        and event.get("kind") == "ModelChanged"
        and type(event.get("new")) not in _CONTAINERS
        and type(model := event.get("model")) is dict
        and len(model) == 1  # a reference
    )


def _refer_to_known(event: Any, models: DocumentModelManager) -> None:
    for name in _WITH_MODELS if type(event) is dict else ():
        value = event.get(name)
        if type(value) is list or (type(value) is dict and len(value) > 1):
            event[name] = _referring(value, models)


_WITH_MODELS = ("model", "new", "msg_data")
"""Parts of events that may describe models."""


def _referring(value: Any, models: DocumentModelManager) -> Any:
    """With references in the place of models that the Document has.

    BokehJS (3.9 and 3.10) describes each model once that it got with the Document, as if it were new. Bokeh
    takes the one that it has, and warns: "reference already known".
    """
    match value:
        case list():
            return [_referring(item, models) if type(item) in _CONTAINERS else item for item in value]
        case {"type": "object", "id": str(model_id)} if models.get_by_id(ID(model_id)) is not None:
            return {"id": model_id}
        case dict():
            return {
                key: _referring(item, models) if type(item) in _CONTAINERS else item
                for key, item in value.items()
            }
    return value


_CONTAINERS = (dict, list)


def says_nothing_new(content: Any, roots: Collection[str]) -> bool:
    """Whether this PATCH-DOC does nothing to a Document that has these roots."""
    events = content.get("events")
    known = {PAGE_MESSAGE_ROOT, *roots}
    return type(events) is list and all(_is_known(event, known) for event in events)


def said_by_itself(content: Any) -> bool:
    """Whether a page says nothing in this PATCH-DOC but what it says (BokehJS 3.9 and 3.10) whenever it has
    connected: that it is there again (``ClientReconnected``), and how large plots are drawn."""
    events = content.get("events")
    return type(events) is list and all(map(_is_said_by_itself, events))


def _is_said_by_itself(event: Any) -> bool:
    match event:
        case {"kind": "MessageSent", "msg_data": {"name": "client_reconnected"}}:
            return True
        case {"kind": "ModelChanged", "attr": str(attr), "new": int() | float()}:
            return attr in _SIZES
    return False


_SIZES = frozenset({"inner_width", "inner_height", "outer_width", "outer_height"})


def _is_known(event: Any, known: Collection[str]) -> bool:
    """Whether this adds a root that is there already, as BokehJS (3.9) does with all after a reconnect.

    Or is about the one by which pages show messages, which they alone have.
    """
    match event:
        case {"kind": "RootAdded", "model": {"id": str(model)}}:
            return model in known
        case {"kind": "RootRemoved", "model": {"id": str(model)}}:
            return model == PAGE_MESSAGE_ROOT
    return False


def replace_document(document: Document, content: Any, buffers: Buffers) -> None:
    """Replace everything in ``document`` by the content of a PUSH-DOC. Raises ProtocolError."""
    if not isinstance(content.get("doc"), dict):
        raise ProtocolError("a PUSH-DOC has no doc")
    document.replace_with_json(_serialized(content["doc"], buffers))


@cache
def _json_encoder() -> Callable[[Any], str]:
    """As ``serialize_json`` of bokeh 3.9, which looks through settings, environment and files each time."""
    return serialize_json if settings.pretty() else PayloadEncoder(separators=(",", ":")).encode


def to_json(content: Any) -> str:
    """As Bokeh writes it (3.9 and 3.10), with references to buffers."""
    return _json_encoder()(content)


def _serialized(content: Any, buffers: Buffers) -> Serialized[Any]:
    return Serialized(content, [Buffer(ID(id_), data) for id_, data in buffers])


def _buffers(buffers: list[Buffer] | None) -> Buffers:
    return [(buffer.id, copied(buffer.data)) for buffer in buffers or ()]
