"""Shortcuts for Documents and their changes on the way to JSON and back (bokeh 3.9 and 3.10).

Bokeh makes a table of all models of the Document for each change that comes or goes.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from bokeh import __version__
from bokeh.core.has_props import HasProps
from bokeh.core.serialization import (
    Buffer,
    BytesRep,
    Deserializer,
    Serialized,
    Serializer,
    UnknownReferenceError,
)
from bokeh.core.types import ID
from bokeh.document import Document
from bokeh.document.events import DocumentPatchedEvent
from bokeh.document.models import DocumentModelManager
from bokeh.model import DataModel, Model
from bokeh.settings import settings

from service.documents.shortcuts.attributes import attributes_of, encodes_as_bokeh
from service.documents.shortcuts.facts import SIMPLE

__all__ = ("PatchSerializer",)

_MODEL_CHANGED = {"kind", "model", "attr", "new"}

bokeh = SimpleNamespace(apply_json_patch=Document.apply_json_patch)


class PatchSerializer(Serializer):
    """Knows the models that clients have already by asking the Document when it meets one."""

    def __init__(self, models: DocumentModelManager) -> None:
        super().__init__()
        self._models = models._models
        self._new = models._new_models

    def get_ref(self, obj: Any) -> Any:
        ref = self._references.get(id(obj))
        if ref is None and isinstance(obj, Model) and self._has_client(obj):
            return obj.ref
        return ref

    def has_ref(self, obj: Any) -> bool:
        return id(obj) in self._references or (isinstance(obj, Model) and self._has_client(obj))

    def _has_client(self, model: Model) -> bool:
        return self._models.get(model.id) is model and model not in self._new


def apply_json_patch(self: Document, patch_json: Any, *, setter: Any = None) -> None:
    models = self.models
    deserializer = Deserializer(setter=setter)
    # A copy, because what the patch brings along is added to it.
    deserializer._references = dict(models._models)
    try:
        events = _plain_changes(patch_json, models._models)
        if events is None:
            events = deserializer.deserialize(patch_json)["events"]
    except UnknownReferenceError as error:
        if not models.seen(error.id):
            raise
        # Bokeh's own drops it too, and says so; nothing was changed yet.
        bokeh.apply_json_patch(self, patch_json, setter=setter)
        return
    assert isinstance(events, list)
    for event in events:
        DocumentPatchedEvent.handle_event(self, event, setter)
    if models._new_models:
        models.flush_synced(lambda model: not deserializer.has_ref(model))


def _plain_changes(patch: Any, models: Mapping[ID, Model]) -> list[Any] | None:
    """The events as the deserializer gives them, where all set properties of known models to plain values.

    None where that is not sure. Such patches are nearly all that widgets send, and cheap to tell.
    """
    if not isinstance(patch, Serialized) or patch.buffers or patch.content.keys() != {"events"}:
        return None
    events = []
    for event in patch.content["events"]:
        if type(event) is not dict or event.keys() != _MODEL_CHANGED or event["kind"] != "ModelChanged":
            return None
        reference, new = event["model"], event["new"]
        if type(new) not in SIMPLE or type(reference) is not dict or reference.keys() != {"id"}:
            return None
        model = models.get(reference["id"])
        if model is None:
            return None
        events.append({**event, "model": model})
    return events


def to_json(self: Document, *, deferred: bool = True) -> Any:
    """Bokeh's own takes longer to find out which classes are data models than to write most models."""
    serializer = Serializer(deferred=deferred)
    data_models = _data_models()
    definitions = serializer.encode(data_models)
    document = {
        "version": __version__,
        "title": self.title,
        "config": serializer.encode(self._config),
        "roots": serializer.encode(self._roots),
    }
    callbacks = serializer.encode(self.callbacks.js_event_callbacks)
    if data_models:
        document["defs"] = definitions
    if self.callbacks.js_event_callbacks:
        document["callbacks"] = callbacks
    self.models.flush_synced()
    return Serialized(document, buffers=serializer.buffers) if deferred else document


def _data_models() -> list[type[HasProps]]:
    if not DataModel.__subclasses__():
        return []
    every = list(Model.model_class_reverse_map.values())  # threads define further ones
    return [model for model in every if getattr(model, "__data_model__", False) and model is not DataModel]


_buffers = itertools.count(1)


def _encode_bytes(self: Serializer, obj: bytes | memoryview) -> BytesRep:
    """Bokeh's own asks the settings what each buffer's id shall look like, which names it in one message."""
    buffer = Buffer(ID(f"b{next(_buffers)}"), obj)
    if self._deferred:
        self._buffers.append(buffer)
        return BytesRep(type="bytes", data=buffer)
    return BytesRep(type="bytes", data=buffer.to_base64())


def to_serializable(self: HasProps, serializer: Serializer) -> Any:
    """Asks the settings once per serializer: they look through the environment and three files."""
    include_defaults = vars(serializer).get("_svc_include_defaults")
    if include_defaults is None:
        include_defaults = settings.serialize_include_defaults()
        vars(serializer)["_svc_include_defaults"] = include_defaults
        vars(serializer)["_svc_plain"] = not include_defaults and encodes_as_bokeh(serializer)
    attributes = attributes_of(self, serializer) if vars(serializer)["_svc_plain"] else None
    if attributes is None:
        properties = self.properties_with_values(include_defaults=include_defaults)
        attributes = {name: serializer.encode(value) for name, value in properties.items()}
    rep: dict[str, Any] = {"type": "object", "name": self.__qualified_model__}
    if attributes:
        rep["attributes"] = attributes
    return rep
