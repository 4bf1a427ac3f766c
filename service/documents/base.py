"""Comparing a Document with its base: what is not as the client first saw it.

Both are taken apart into models and attributes, as Bokeh encodes them for BokehJS; only what
differs is decoded, of columns each by itself.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import math
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import numpy as np
from bokeh.core.property.wrappers import PropertyValueColumnData
from bokeh.core.serialization import DeserializationError, UnknownReferenceError
from bokeh.core.types import ID
from bokeh.document import Document
from bokeh.model import Model

from service.documents.encoding import encode_document
from service.documents.entries import Base, as_read_back
from service.documents.exact import cast, columns_of, exact_values, read_exactly, shortened
from service.documents.identical import identical
from service.documents.losses import Losses, columns_or_gaps, place_of, reading
from service.documents.unpacking import MAX_RECORD_BYTES, inflate
from service.documents.values import ValueReader

__all__ = ("Differences", "taken_apart", "themed")

Attributes = dict[str, Any]


class Differences:
    """Model, attribute and base's value for all attributes of ``document`` that differ from ``base``.

    Only for models that both have. Attributes that are ``noted`` may refer to models that came later; others
    that refer to models nobody knows are ``unresolved``. What cannot be read back goes into ``losses``.
    ``exact`` is what stands beside the base; None: an old one.
    """

    def __init__(
        self,
        document: Document,
        base: Base,
        exact: Mapping[str, Mapping[str, Any]] | None = None,
        *,
        noted: Collection[tuple[str, str]] = (),
        losses: Losses,
        reader: ValueReader | None = None,
    ) -> None:
        self._document = document
        self._then = taken_apart(base)
        self._now = taken_apart(Base(*encode_document(document, inline=False)))
        self._has_exact = exact is not None
        self._exact_then: Mapping[str, Mapping[str, Any]] = exact or {}
        self._exact_now = {} if exact is None else as_read_back(exact_values(document, Losses()))
        self._noted = noted
        self._losses = losses
        self._reader = ValueReader(document.models) if reader is None else reader
        self.unresolved: list[tuple[Model, UnknownReferenceError]] = []
        """Right for models that have left the Document since, along with those that they refer to."""

    def __iter__(self) -> Iterator[tuple[Model, str, Any]]:
        for model_id in self._then.keys() & self._now.keys():
            model = self._document.models.get_by_id(ID(model_id))
            if model is not None:
                for name, value in self._of(model):
                    yield model, name, value

    def _of(self, model: Model) -> Iterator[tuple[str, Any]]:
        then, now = self._then[model.id], self._now[model.id]
        for name in now.keys() - then.keys():
            yield name, model.lookup(name).instance_default(model)
        for name in {name for name in then if self._differs(model.id, name)} - themed(model):
            try:
                yield name, self._value(model, name)
            except UnknownReferenceError as error:
                if (model.id, name) not in self._noted:
                    self.unresolved.append((model, error))
            except DeserializationError as error:
                self._losses.add(place_of(model, name), str(error))

    def _differs(self, model_id: str, name: str) -> bool:
        then, now = self._then[model_id], self._now[model_id]
        if name not in now or not identical(now[name], then[name]):
            return True
        return not identical(*self._records(model_id, name))

    def _records(self, model_id: str, name: str) -> tuple[Any, Any]:
        """What stands beside the base then and now."""
        return self._exact_then.get(model_id, {}).get(name), self._exact_now.get(model_id, {}).get(name)

    def _value(self, model: Model, name: str) -> Any:
        then = self._then[model.id][name]
        record = self._exact_then.get(model.id, {}).get(name)
        existing = getattr(model, name)
        if isinstance(existing, PropertyValueColumnData) and _is_map(then):
            return self._columns(model, name, existing)
        value = reading(lambda: self._read(existing, then, record))
        return shortened(model, name, value) if record is None else value

    def _columns(self, model: Model, name: str, existing: Mapping[str, Any]) -> dict[str, Any]:
        """The app's own columns where they are as they were: nobody has to decode those."""
        then, now = self._then[model.id][name], self._now[model.id].get(name)
        columns_now = dict(now.get("entries", ())) if isinstance(now, dict) and _is_map(now) else {}
        records_then, records_now = (columns_of(all_.get(model.id, {}).get(name)) for all_ in self._exact)

        def reads(column: str, encoded: Any) -> Callable[[], Any]:
            record = records_then.get(column)
            there = (columns_now.get(column), records_now.get(column))
            if column in existing and identical((encoded, record), there):
                return lambda: existing[column]
            return lambda: self._read(existing.get(column), encoded, record)

        return columns_or_gaps(
            [(column, reads(column, encoded)) for column, encoded in then.get("entries", ())],
            lambda column, reason: self._losses.add(place_of(model, name, column), reason),
        )

    @property
    def _exact(self) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        return self._exact_then, self._exact_now

    def _read(self, existing: Any, encoded: Any, record: Any) -> Any:
        value = read_exactly(self._reader.decode, encoded, record)
        return value if self._has_exact else _like(existing, value)


def _is_map(encoded: Any) -> bool:
    return isinstance(encoded, dict) and encoded.get("type") == "map"


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
            return inflate(base64.b64decode(data), most=MAX_RECORD_BYTES, wbits=zlib.MAX_WBITS | 16)
        return bytes(self._buffers[data["id"]])


def _like(existing: Any, value: Any) -> Any:
    """``value`` with the types that Bokeh's encoding lost, where ``existing`` shows them.

    For what a release wrote that kept no exact values beside the base.
    """
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
        case "M" | "m", "f":  # milliseconds, and NaN for NaT
            found: np.ndarray[Any, Any] = cast(value, existing.dtype)
            return found
        case ("i" | "u", "i" | "u") | ("i" | "u" | "b" | "f", "O"):
            return value.astype(existing.dtype)
    return value
