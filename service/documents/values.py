"""Property values as plain data and back, exactly as Python had them.

Bokeh's own encoding is made for BokehJS: dates become numbers and 64-bit integers floats. What
comes back from the store must be what callbacks had before, so those keep their types here.
Models are written as references only; the serializer lists the ones it met.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from bokeh.core.serialization import DeserializationError, Deserializer, Serializer
from bokeh.model import Model
from bokeh.util.dependencies import uses_pandas

from service.documents.copies import Copies, copy_of
from store.records import as_payload

__all__ = ("ValueReader", "ValueWriter")

_TAG = "svc"


class ValueWriter(Serializer):
    """Encodes values to lists, maps, text, numbers and bytes (bokeh 3.9: ``Serializer._encode_*``).

    Arrays are copied, but for those that are among ``copies``.
    """

    def __init__(self, copies: Copies | None = None) -> None:
        super().__init__()
        self._copies = copies
        self.models: dict[str, Model] = {}
        """Models that were referred to, by id."""

    def encode(self, obj: Any) -> Any:
        kind = type(obj)
        if kind in _PLAIN:
            return obj
        if kind is np.ndarray and obj.shape:
            return self._encode_ndarray(obj)
        if isinstance(obj, Model):
            self.models[obj.id] = obj
            return {"id": obj.id}
        return super().encode(obj)

    def _encode_int(self, obj: int) -> Any:
        return int(obj) if -(2**63) <= obj < 2**63 else _tagged("int", str(int(obj)))

    def _encode_tuple(self, obj: tuple[Any, ...]) -> Any:
        return _tagged("tuple", [self.encode(item) for item in obj])

    def _encode_bytes(self, obj: bytes | memoryview) -> Any:
        return _tagged("bytes", as_payload(bytes(obj)))

    def _encode_ndarray(self, obj: np.ndarray[Any, Any]) -> Any:
        if obj.dtype.hasobject:
            items = [self.encode(item) for item in obj.ravel().tolist()]
            return _tagged("objects", items, shape=list(obj.shape))
        copied = None if self._copies is None else self._copies.of(obj)
        data = as_payload(copy_of(obj) if copied is None else copied)
        return _tagged("array", data, dtype=obj.dtype.str, shape=list(obj.shape))

    def _encode_other(self, obj: Any) -> Any:
        match obj:
            case np.datetime64() | np.timedelta64():
                return _tagged("array", obj.tobytes(), dtype=obj.dtype.str, shape=[])
            case _ if type(obj) in _TEXT:
                return _tagged(type(obj).__name__, obj.isoformat())
            case dt.timedelta() if type(obj) is dt.timedelta:
                return _tagged("timedelta", [obj.days, obj.seconds, obj.microseconds])
        encode = _PANDAS.get(type(obj).__name__) if uses_pandas(obj) else None
        return super()._encode_other(obj) if encode is None else _tagged(type(obj).__name__, encode(obj))

    def _encode_float(self, obj: float) -> Any:
        return float(obj)  # msgpack has NaN and the infinities

    def _encode_list(self, obj: list[Any]) -> Any:
        return list(obj) if set(map(type, obj)) <= _PLAIN else [self.encode(item) for item in obj]


_TEXT = (dt.datetime, dt.date, dt.time)
"""Exactly these types: pandas' timestamps are subclasses."""

_PLAIN = {str, float, bool, type(None)}
"""Written as they are."""

_PANDAS: Mapping[str, Callable[[Any], Any]] = {
    "Timestamp": lambda stamp: [stamp.value, stamp.unit, None if stamp.tz is None else str(stamp.tz)],
    "Timedelta": lambda delta: [delta.value, delta.unit],
    "NaTType": lambda _: None,
    "NAType": lambda _: None,
}
"""pandas' single values, by the names of their types; its columns become arrays."""


def _from_pandas(kind: str, value: Any) -> Any:
    import pandas as pd  # type: ignore[import-untyped]  # only where the app uses it

    match kind:
        case "Timestamp":
            nanoseconds, unit, zone = value
            return pd.Timestamp(nanoseconds, tz=zone).as_unit(unit)
        case "Timedelta":
            return pd.Timedelta(value[0]).as_unit(value[1])
        case "NaTType":
            return pd.NaT
    return pd.NA


class ValueReader(Deserializer):
    """Decodes what :class:`ValueWriter` or Bokeh's serializer made.

    Raises ``bokeh.core.serialization.DeserializationError``, also for references to models that
    are not among ``models``.
    """

    def __init__(self, models: Iterable[Model], setter: Any = None) -> None:
        super().__init__(list(models), setter=setter)

    def _decode(self, obj: Any) -> Any:
        if isinstance(obj, dict) and _TAG in obj:
            return self._decode_tagged(obj[_TAG], obj["value"], obj)
        return super()._decode(obj)

    def _decode_tagged(self, kind: str, value: Any, obj: dict[str, Any]) -> Any:
        match kind:
            case "int":
                return int(value)
            case "tuple":
                return tuple(self._decode(item) for item in value)
            case "bytes":
                return value
            case "array":
                array = np.frombuffer(value, dtype=np.dtype(obj["dtype"])).reshape(obj["shape"]).copy()
                return array if obj["shape"] else array[()]
            case "objects":
                return self._decode_objects(value, obj["shape"])
            case "timedelta":
                return dt.timedelta(*value)
            case "datetime" | "date" | "time":
                return getattr(dt, kind).fromisoformat(value)
            case _ if kind in _PANDAS:
                return _from_pandas(kind, value)
        raise DeserializationError(f"unable to decode a value of kind {kind!r}")

    def _decode_objects(self, items: list[Any], shape: list[int]) -> np.ndarray[Any, Any]:
        array = np.empty(len(items), dtype=object)
        for i, item in enumerate(items):
            array[i] = self._decode(item)
        return array.reshape(shape)


def _tagged(kind: str, value: Any, **more: Any) -> dict[str, Any]:
    return {_TAG: kind, "value": value, **more}
