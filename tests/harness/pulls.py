"""What a page gets when it pulls, comparable: BokehJS makes the same of what is equal here."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping
from typing import Any

from bokeh.core.property.descriptors import DataSpecPropertyDescriptor
from bokeh.core.serialization import Serializer
from bokeh.core.types import ID
from bokeh.document import Document
from bokeh.model import Model

from harness.runs import Run
from service.documents.composing import compose
from service.documents.encoding import Buffers, encode_document

__all__ = ("assert_composed", "composed", "differences", "leave_out_defaults", "pulled")


def composed(run: Run, *, inline: bool = False) -> tuple[str, Buffers]:
    """What is put together from the fields that were taken until now."""
    found = compose(run.stored, version=run.app.version, inline=inline)
    return found.content, found.buffers


def assert_composed(run: Run, *, inline: bool = False) -> None:
    """What is put together from the record is what the live Document sends."""
    document = run.session.document
    there = pulled(*encode_document(document, inline=inline))
    found = composed(run, inline=inline)
    assert not (inline and found[1])
    here = pulled(*found)
    leave_out_defaults(document, here, there)
    unlike = differences(here, there)
    assert not unlike, unlike
    assert_readable(found[0], found[1])


def assert_readable(content: str, buffers: Buffers) -> None:
    """As BokehJS reads it: a model comes before all references to it, and buffers are those it needs."""
    known: set[str] = set()
    used: set[str] = set()

    def look(value: Any) -> None:
        if isinstance(value, list):
            for item in value:
                look(item)
        elif isinstance(value, dict):
            if value.get("type") == "bytes":
                if not isinstance(value["data"], str):
                    used.add(value["data"]["id"])
                return
            if "type" not in value and "id" in value:
                assert value["id"] in known, value
                return
            if value.get("type") == "object" and "id" in value:
                assert value["id"] not in known, value
                known.add(value["id"])
            for item in value.values():
                look(item)

    document = json.loads(content)["doc"]
    look([document[name] for name in ("config", "roots", "callbacks") if name in document])
    assert used == {ident for ident, _ in buffers}


def pulled(content: str, buffers: Buffers) -> dict[str, Any]:
    """Models by id, and what there is besides; what has no order is sorted."""
    document = json.loads(content)["doc"]
    models: dict[str, Any] = {}
    flat = _Flat(dict(buffers), models).flat
    rest = {name: flat(document[name]) for name in ("config", "roots", "callbacks") if name in document}
    names = {model["type"] for model in models.values()}
    defined = {each["name"]: each for each in document.get("defs", []) if each.get("name") in names}
    return {**document, **rest, "defs": defined, "models": models}


class _Flat:
    def __init__(self, buffers: Mapping[str, bytes | memoryview], models: dict[str, Any]) -> None:
        self._buffers = buffers
        self._models = models

    def flat(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self.flat(item) for item in value]
        if not isinstance(value, dict):
            return value
        match value.get("type"):
            case "bytes":
                return {"bytes": self._bytes(value["data"])}
            case "set":
                return {"set": sorted(map(repr, map(self.flat, value.get("entries", ()))))}
            case "object" if "id" in value:
                assert value["id"] not in self._models
                model = self._models[value["id"]] = {"type": value["name"]}
                model.update({name: self.flat(item) for name, item in value.get("attributes", {}).items()})
                return {"id": value["id"]}
        return {key: self.flat(item) for key, item in value.items()}

    def _bytes(self, data: Any) -> bytes:
        return (
            gzip.decompress(base64.b64decode(data))
            if isinstance(data, str)
            else bytes(self._buffers[data["id"]])
        )


def leave_out_defaults(document: Document, here: dict[str, Any], there: dict[str, Any]) -> None:
    """What is set to its default, and what is not set, are the same to BokehJS.

    A theme that says what is the default anyway counts as set, too (bokeh 3.9 and 3.10).
    """
    for model_id in here["models"].keys() & there["models"].keys():
        model = document.models.get_by_id(ID(model_id))
        if model is not None:
            one, other = here["models"][model_id], there["models"][model_id]
            for side, name in [(one, name) for name in one.keys() - other.keys()] + [
                (other, name) for name in other.keys() - one.keys()
            ]:
                if _encoded(document, _default(model, name)) == side[name]:
                    del side[name]


def _default(model: Model, name: str) -> Any:
    descriptor: Any = model.lookup(name)
    default = descriptor.class_default(type(model))
    if isinstance(descriptor, DataSpecPropertyDescriptor):
        return descriptor.property.to_serializable(model, name, default)  # type: ignore[attr-defined]
    return default


def _encoded(document: Document, value: Any) -> Any:
    serializer = Serializer(references=set(document.models), deferred=False)
    return _Flat({}, {}).flat(json.loads(json.dumps(serializer.encode(value))))


def differences(one: Any, other: Any, path: str = "") -> dict[str, Any]:
    """By path, so that a failure can be read."""
    if isinstance(one, dict) and isinstance(other, dict):
        found = {}
        for key in one.keys() | other.keys():
            found.update(differences(one.get(key), other.get(key), f"{path}/{key}"))
        return found
    return {} if one == other else {path: (one, other)}
