"""Comparing a Document with its base: what is not as the client first saw it.

Both are taken apart into models and attributes, as Bokeh encodes them for BokehJS; only what
differs is decoded.
"""

from __future__ import annotations

import base64
import datetime as dt
import gzip
import json
import math
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
from bokeh.core.serialization import UnknownReferenceError
from bokeh.core.types import ID
from bokeh.document import Document
from bokeh.model import Model

from service.documents.encoding import encode_document
from service.documents.entries import Base
from service.documents.values import ValueReader

__all__ = ("differences", "taken_apart", "themed")

Attributes = dict[str, Any]


def differences(
    document: Document, base: Base, noted: Collection[tuple[str, str]] = ()
) -> Iterator[tuple[Model, str, Any]]:
    """Model, attribute and base's value for all attributes that differ from ``base``.

    Only for models that both have. Attributes that are ``noted`` may refer to models that came later.
    """
    then = taken_apart(base)
    now = taken_apart(Base(*encode_document(document, inline=False)))
    reader = ValueReader(document.models)
    for model_id in then.keys() & now.keys():
        model = document.models.get_by_id(ID(model_id))
        if model is not None:
            for name, value in _model_differences(model, then[model_id], now[model_id], reader, noted):
                yield model, name, value


def _model_differences(
    model: Model, then: Attributes, now: Attributes, reader: ValueReader, noted: Collection[tuple[str, str]]
) -> Iterator[tuple[str, Any]]:
    for name in now.keys() - then.keys():
        yield name, model.lookup(name).instance_default(model)
    changed = {name for name, value in then.items() if name not in now or now[name] != value}
    for name in changed - themed(model):
        try:
            value = reader.decode(then[name])
        except UnknownReferenceError:
            if (model.id, name) not in noted:
                raise
        else:
            yield name, _like(getattr(model, name), value)


def taken_apart(base: Base) -> dict[str, Attributes]:
    """Model id to attributes, with references in the place of nested models."""
    models: dict[str, Attributes] = {}
    document = json.loads(base.content)["doc"]
    _Parts(dict(base.buffers), models).simplify([document.get("roots"), document.get("config")])
    return models


def themed(model: Model) -> set[str]:
    """Attributes that are as the Document's theme has them (bokeh 3.9)."""
    return (model.themed_values() or {}).keys() - model._property_values.keys()


class _Parts:
    def __init__(self, buffers: Mapping[str, bytes | memoryview], models: dict[str, Attributes]) -> None:
        self._buffers = buffers
        self._models = models

    def simplify(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self.simplify(item) for item in value]
        if not isinstance(value, dict):
            return value
        match value.get("type"):
            case "bytes":
                return {"svc": "bytes", "value": self._bytes(value["data"])}
            case "object" if "id" in value:
                attributes = value.get("attributes", {})
                self._models[value["id"]] = {name: self.simplify(item) for name, item in attributes.items()}
                return {"id": value["id"]}
        return {key: self.simplify(item) for key, item in value.items()}

    def _bytes(self, data: Any) -> bytes:
        if isinstance(data, str):
            return gzip.decompress(base64.b64decode(data))
        return bytes(self._buffers[data["id"]])


def _like(existing: Any, value: Any) -> Any:
    """``value`` with the types that Bokeh's encoding lost, where ``existing`` shows them."""
    match existing, value:
        case np.ndarray(), np.ndarray():
            return _array_like(existing, value)
        case dict(), dict():
            return {key: _like(existing.get(key), item) for key, item in value.items()}
        case tuple(), list():
            return tuple(value)
        case [dt.date() | np.ndarray() | list() | tuple() | dict() as first, *_], list():
            return [_like(first, item) for item in value]
        case dt.datetime(), int() | float() if existing.tzinfo is None and not math.isnan(value):
            return _EPOCH + dt.timedelta(milliseconds=value)
        case dt.date(), str():
            return dt.date.fromisoformat(value)
    return value


_EPOCH = dt.datetime(1970, 1, 1)


def _array_like(existing: np.ndarray[Any, Any], value: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    match existing.dtype.kind, value.dtype.kind:
        case "M" | "m" as kind, "f":  # milliseconds, and NaN for NaT
            microseconds = np.where(np.isnan(value), 0, value * 1000).round().astype("int64")
            times = microseconds.astype(f"{kind}8[us]")
            times[np.isnan(value)] = "NaT"
            return times.astype(existing.dtype)
        case ("i" | "u", "i" | "u") | ("i" | "u" | "b" | "f", "O"):
            return value.astype(existing.dtype)
    return value
