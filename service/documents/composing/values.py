"""Values as they are in the record, in Bokeh's encoding.

What both write alike is passed on as it is. For the rest the value is made, as restoring does, and encoded by
Bokeh's own serializer; models within are references only.
"""

from __future__ import annotations

import base64
import gzip
import math
import zlib
from collections.abc import Mapping
from typing import Any

from bokeh.core.serialization import DeserializationError, Serializable, Serializer
from bokeh.settings import settings

from service.documents.composing.reasons import Reason
from service.documents.unpacking import MAX_RECORD_BYTES, inflate
from service.documents.value_errors import value_errors
from service.documents.values import ValueReader, reason_of
from service.errors import NotComposable

__all__ = ("Binaries", "Values")

MAX_SAFE_INT = 2**53 - 1
"""Integers beyond are floats to BokehJS (bokeh 3.9 and 3.10: ``_MAX_SAFE_INT``)."""

_PLAIN = frozenset({str, bool, type(None)})


class Binaries:
    """Binary data of one answer by the ids that stand for it: that of the base, and what is added to it.

    With ``inline`` it goes into the JSON, compressed as Bokeh does it.
    """

    def __init__(self, of_base: Mapping[str, bytes | memoryview], *, inline: bool) -> None:
        self._known: dict[str, bytes | memoryview] = dict(of_base)
        self._inline = inline
        self.sent: dict[str, bytes | memoryview] = {}
        """What has to go along with the JSON."""

    def add(self, data: bytes | memoryview) -> dict[str, Any]:
        ident = f"record-{len(self._known)}"  # Bokeh's own ids look otherwise
        self._known[ident] = _in_bytes(data)
        return {"type": "bytes", "data": {"id": ident}}

    def read(self, data: Any) -> bytes:
        """What ``data`` of Bokeh's encoding stands for. Raises DeserializationError."""
        try:
            if isinstance(data, str):
                packed = base64.b64decode(data)
                return inflate(packed, most=MAX_RECORD_BYTES, wbits=zlib.MAX_WBITS | 16)
            return bytes(self._known[data["id"]])
        except (LookupError, TypeError, ValueError, zlib.error) as error:
            raise DeserializationError(reason_of(error)) from error

    def send(self, data: Any) -> Any:
        """What stands for it in the answer."""
        if isinstance(data, str):
            return data
        found = self._known.get(data["id"])
        if found is None:
            raise NotComposable(Reason.DAMAGED, f"binary data is missing: {data['id']:.80}")
        if self._inline:
            packed = gzip.compress(found, mtime=1, compresslevel=settings.compression_level())
            return base64.b64encode(packed).decode()
        self.sent[data["id"]] = found
        return data


def _in_bytes(data: bytes | memoryview) -> bytes | memoryview:
    """Without a copy where that can be."""
    if isinstance(data, bytes):
        return data
    return data.cast("B") if data.c_contiguous and data.nbytes else data.tobytes()


class Values:
    """Reads values of a record, and encodes them for pages. Raises NotComposable for what cannot be."""

    def __init__(self, binaries: Binaries, *, of_panel: bool) -> None:
        self._binaries = binaries
        self._reader = _Reader(binaries)
        self._encoder = _Encoder(binaries, of_panel)

    def read(self, recorded: Any) -> Any:
        """As Python had it, with stand-ins for models."""
        try:
            return self._reader.decode(recorded)
        except DeserializationError as error:
            raise NotComposable(Reason.VALUE, f"a value cannot be read: {error}") from error

    def encode(self, value: Any) -> Any:
        try:
            return self._encoder.encode(value)
        except NotComposable:
            raise
        except value_errors() as error:
            raise NotComposable(Reason.VALUE, f"a value cannot be sent: {reason_of(error)}") from error

    def encoded(self, recorded: Any) -> Any:
        """For pages what is in the record."""
        kind = type(recorded)
        if kind in _PLAIN:
            return recorded
        if kind is float:
            return recorded if math.isfinite(recorded) else self._encoder.encode(recorded)
        if kind is int:
            return recorded if -MAX_SAFE_INT < recorded <= MAX_SAFE_INT else float(recorded)
        if kind is list:
            return self._list(recorded)
        if kind is dict:
            return self._map(recorded)
        raise NotComposable(Reason.DAMAGED, f"a value has an unknown form: {kind.__name__}")

    def _list(self, items: list[Any]) -> list[Any]:
        kinds = set(map(type, items))
        if kinds <= _PLAIN or (kinds == {float} and all(map(math.isfinite, items))):
            return items
        if kinds == {int} and min(items) > -MAX_SAFE_INT and max(items) <= MAX_SAFE_INT:
            return items
        return [self.encoded(item) for item in items]

    def _map(self, recorded: dict[Any, Any]) -> Any:
        kind = recorded.get("svc")
        if kind is None:
            if recorded.get("type") == "bytes":
                raise NotComposable(Reason.DAMAGED, "a value has an unknown form: bytes")
            return {key: self.encoded(item) for key, item in recorded.items()}
        match kind:
            case "lost":
                raise NotComposable(Reason.VALUE, f"a value could not be written: {recorded.get('value')}")
            case "tuple":
                return self._list(list(recorded["value"]))
            case "enum":
                return self.encoded(recorded["value"])
            case "bytes":
                return self._binaries.add(recorded["value"])
        return self.encode(self.read(recorded))


class _Reference(Serializable):
    """Stands for a model within a value."""

    def __init__(self, model_id: str) -> None:
        self._id = model_id

    def to_serializable(self, serializer: Serializer) -> Any:
        return {"id": self._id}


class _Reader(ValueReader):
    """Makes stand-ins for models, and needs no class of the app."""

    def __init__(self, binaries: Binaries) -> None:
        super().__init__(())
        self._binaries = binaries

    def _decode(self, obj: Any) -> Any:
        if isinstance(obj, dict) and "svc" not in obj and obj.get("type") == "bytes":
            return self._binaries.read(obj["data"])
        return super()._decode(obj)

    def _decode_tagged(self, kind: str, value: Any, obj: dict[str, Any]) -> Any:
        # Of an enumeration pages get the value; its class may not be loaded here.
        return self._decode(value) if kind == "enum" else super()._decode_tagged(kind, value, obj)

    def _decode_ref(self, obj: Any) -> Any:
        return _Reference(obj["id"])


class _Encoder(Serializer):
    def __init__(self, binaries: Binaries, of_panel: bool) -> None:
        super().__init__()
        self._binaries = binaries
        self._of_panel = of_panel

    def _encode_bytes(self, obj: bytes | memoryview) -> Any:
        return self._binaries.add(obj)

    def _encode_int(self, obj: int) -> Any:
        # Bokeh's own warns of large ones, which the app's author has heard when they were sent at first.
        return int(obj) if -MAX_SAFE_INT < obj <= MAX_SAFE_INT else float(obj)

    def _encode_other(self, obj: Any) -> Any:
        if self._of_panel and type(obj).__name__ == "NaTType":
            # Panel (1.9 and 1.10) makes it null for the whole process, once it has drawn a table.
            raise NotComposable(Reason.VALUE, "whether NaT is NaN or null depends on what the app has run")
        return super()._encode_other(obj)
