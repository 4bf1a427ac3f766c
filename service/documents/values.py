"""Property values as plain data and back, exactly as Python had them.

Bokeh's own encoding is made for BokehJS: dates become numbers and 64-bit integers floats. What
comes back from the store must be what callbacks had before, so those keep their types here.
Models are written as references only; the serializer lists the ones it met.

Nothing is pickled: whoever can write to the store must not be able to run code.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from types import ModuleType
from typing import Any

import numpy as np
from bokeh.core.serialization import DeserializationError, Deserializer, Serializer
from bokeh.model import Model

from service.documents.arrays import array_facts, as_class, dtype_of, is_strings, strings_dtype, uniform
from service.documents.columns import LIBRARIES, around, column_facts, is_column, read_column
from service.documents.copies import Copies, copy_of
from service.documents.scalars import SINGLE, enum_facts, enum_of, read_single, single_facts
from service.documents.value_errors import value_errors
from store.records import as_payload

__all__ = ("ValueReader", "ValueWriter", "lost", "reason_of", "write_value")

_TAG = "svc"


class ValueWriter(Serializer):
    """Encodes values to lists, maps, text, numbers and bytes (bokeh 3.9 and 3.10: ``Serializer._encode_*``).

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
        if kind is int:
            return self._encode_int(obj)
        if isinstance(obj, Model):
            self.models[obj.id] = obj
            return {"id": obj.id}
        if isinstance(obj, np.ndarray):
            return self._encode_ndarray(obj)
        return self._encode_exactly(obj)

    def _encode_exactly(self, obj: Any) -> Any:
        kind = type(obj)
        if isinstance(obj, Enum):
            return _tagged("enum", self.encode(obj.value), where=enum_facts(obj))
        if kind in SINGLE:
            return {_TAG: SINGLE[kind][0], **(single_facts(obj) or {})}
        if isinstance(obj, np.generic):
            return self._encode_generic(obj)
        if kind is frozenset:
            return _tagged("frozenset", [self.encode(item) for item in obj])
        if kind.__module__.partition(".")[0] in LIBRARIES:
            found = column_facts(obj, self.encode)
            if found is not None:
                return found
        return super().encode(obj)

    def _encode_int(self, obj: int) -> Any:
        return int(obj) if -(2**63) <= obj < 2**63 else _tagged("int", str(int(obj)))

    def _encode_tuple(self, obj: tuple[Any, ...]) -> Any:
        return _tagged("tuple", [self.encode(item) for item in obj])

    def _encode_bytes(self, obj: bytes | memoryview) -> Any:
        return _tagged("bytes", as_payload(bytes(obj)))

    def _encode_ndarray(self, obj: np.ndarray[Any, Any]) -> Any:
        if obj is np.ma.masked:  # an item of a masked array
            return _tagged("gap", None)
        if isinstance(obj, np.ma.MaskedArray):
            return self._encode_masked(obj)
        if is_strings(obj.dtype):
            return self._encode_strings(obj)
        if obj.dtype.hasobject:
            return self._encode_objects(obj)
        copied = None if self._copies is None else self._copies.of(obj)
        return _tagged("array", as_payload(copy_of(obj) if copied is None else copied), **array_facts(obj))

    def _encode_objects(self, obj: np.ndarray[Any, Any]) -> Any:
        items = [self.encode(item) for item in obj.ravel().tolist()]
        facts = array_facts(obj)
        del facts["dtype"]
        return _tagged("objects", items, **facts)

    def _encode_masked(self, obj: np.ma.MaskedArray[Any, Any]) -> Any:
        """With the values beneath the mask: they are there again when it is lifted."""
        mask = None if obj.mask is np.ma.nomask else self.encode(np.ma.getmaskarray(obj))
        # Of a view, as reading it sets it: numpy 2.4 and 2.5 then do not copy arrays of units such as "25Y".
        value = obj.view().fill_value
        fill = None if value == np.ma.default_fill_value(obj) else self.encode(value)
        return _tagged("masked", [self.encode(obj.data), mask, fill, bool(obj.hardmask)])

    def _encode_strings(self, obj: np.ndarray[Any, Any]) -> Any:
        missing = getattr(obj.dtype, "na_object", _NOTHING)
        items = [self.encode(item) for item in obj.ravel().tolist()]
        return _tagged(
            "strings", items, shape=list(obj.shape), coerce=bool(getattr(obj.dtype, "coerce", True)),
            missing=None if missing is _NOTHING else [self.encode(missing)],
        )  # fmt: skip

    def _encode_generic(self, obj: np.generic) -> Any:
        match obj:
            case np.str_():
                return _tagged("npstr", str(obj))
            case np.bytes_():
                return _tagged("npbytes", bytes(obj))
        return _tagged("array", obj.tobytes(), **array_facts(obj))

    def _encode_float(self, obj: float) -> Any:
        return float(obj)  # msgpack has NaN and the infinities

    def _encode_list(self, obj: list[Any]) -> Any:
        kinds = set(map(type, obj))
        if kinds <= _PLAIN:
            return list(obj)
        array = uniform(obj) if len(kinds) == 1 else None
        return [self.encode(item) for item in obj] if array is None else _tagged("list", self.encode(array))


_NOTHING = object()

_PLAIN = {str, float, bool, type(None)}
"""Written as they are."""


def write_value(value: Any, copies: Copies | None = None) -> tuple[Any, dict[str, str]]:
    """``value`` encoded, and why which parts of it could not be: by column, or by "" for all of it.

    In place of such a part there is a mark, for which the next replica has nothing.
    """
    encoded, reason = _written(value, copies)
    if reason is None:
        return encoded, {}
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        return encoded, {"": reason}
    columns = {name: _written(column, copies) for name, column in value.items()}
    entries = [[name, column] for name, (column, _) in columns.items()]
    losses = {name: reason for name, (_, reason) in columns.items() if reason is not None}
    return {"type": "map", "entries": entries}, losses


def _written(value: Any, copies: Copies | None) -> tuple[Any, str | None]:
    try:
        return ValueWriter(copies).encode(value), None
    except value_errors() as error:  # an app's values run code of any kind here; callers report it
        reason = reason_of(error)
        return lost(reason), reason


def lost(reason: str) -> dict[str, Any]:
    """The mark of a value that could not be written."""
    return _tagged("lost", reason)


def reason_of(error: BaseException) -> str:
    """One line for logs and records."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__


class ValueReader(Deserializer):
    """Decodes what :class:`ValueWriter` or Bokeh's serializer made.

    Raises ``bokeh.core.serialization.UnknownReferenceError`` for references to models that are not among
    ``models``, and ``DeserializationError`` for all else that cannot be read. ``modules`` are those of the
    app's own run.
    """

    def __init__(
        self, models: Iterable[Model], setter: Any = None, modules: Iterable[ModuleType] = ()
    ) -> None:
        super().__init__(list(models), setter=setter)
        self._modules = tuple(modules)

    def decode(self, obj: Any, buffers: Any = None) -> Any:
        try:
            return super().decode(obj, buffers)
        except DeserializationError:
            raise
        except value_errors() as error:
            # Damaged data ends in all kinds of errors, also of pandas and others.
            raise DeserializationError(reason_of(error)) from error

    def _decode(self, obj: Any) -> Any:
        if isinstance(obj, dict) and _TAG in obj:
            return self._decode_tagged(obj[_TAG], obj.get("value"), obj)
        if isinstance(obj, dict) and obj.get("type") == "bytes" and isinstance(obj.get("data"), str):
            raise DeserializationError("compressed data, which is never written here")
        return super()._decode(obj)

    def _decode_tagged(self, kind: str, value: Any, obj: dict[str, Any]) -> Any:
        reader = _READERS.get(kind)
        if reader is not None:
            return reader(self, value, obj)
        if kind in _SINGLE_KINDS:
            return read_single(kind, value, obj)
        if is_column(kind):
            return read_column(kind, value, self._decode)
        raise DeserializationError(f"unable to decode a value of kind {kind!r:.40}")

    def _int(self, value: Any, _: dict[str, Any]) -> int:
        return int(value)

    def _tuple(self, value: Any, _: dict[str, Any]) -> tuple[Any, ...]:
        return tuple(self._decode(item) for item in value)

    def _frozenset(self, value: Any, _: dict[str, Any]) -> frozenset[Any]:
        return frozenset(self._decode(item) for item in value)

    def _bytes(self, value: Any, _: dict[str, Any]) -> Any:
        return value

    def _enum(self, value: Any, obj: dict[str, Any]) -> Enum:
        return enum_of(obj["where"], self._decode(value), self._modules)

    def _array(self, value: Any, obj: dict[str, Any]) -> Any:
        array = np.frombuffer(value, dtype=dtype_of(obj)).reshape(obj["shape"]).copy()
        if not obj["shape"] and not obj.get("array"):
            return array[()]
        return around(as_class(array, obj), obj.get("as", ()), self._decode)

    def _list(self, value: Any, _: dict[str, Any]) -> list[Any]:
        return list(self._decode(value))

    def _objects(self, items: list[Any], obj: dict[str, Any]) -> Any:
        array = np.empty(len(items), dtype=dtype_of({"dtype": "O", **obj}))
        for i, item in enumerate(items):
            array[i] = self._decode(item)
        return around(as_class(array.reshape(obj["shape"]), obj), obj.get("as", ()), self._decode)

    def _masked(self, value: Any, _: dict[str, Any]) -> Any:
        data, mask, fill, hard = value
        no_mask = np.ma.nomask if mask is None else self._decode(mask)
        array: Any = np.ma.MaskedArray(
            self._decode(data), mask=no_mask, fill_value=self._decode(fill), hard_mask=hard
        )
        return array

    def _gap(self, _: Any, __: dict[str, Any]) -> Any:
        return np.ma.masked

    def _strings(self, items: list[Any], obj: dict[str, Any]) -> Any:
        missing = None if obj["missing"] is None else self._decode(obj["missing"][0])
        dtype = strings_dtype(obj, missing)
        return np.array([self._decode(item) for item in items], dtype=dtype).reshape(obj["shape"])

    def _npstr(self, value: Any, _: dict[str, Any]) -> Any:
        return np.str_(value)

    def _npbytes(self, value: Any, _: dict[str, Any]) -> Any:
        return np.bytes_(value)

    def _lost(self, value: Any, _: dict[str, Any]) -> Any:
        raise DeserializationError(f"it could not be written: {value}")


_READERS = {
    "int": ValueReader._int,
    "tuple": ValueReader._tuple,
    "frozenset": ValueReader._frozenset,
    "bytes": ValueReader._bytes,
    "enum": ValueReader._enum,
    "array": ValueReader._array,
    "list": ValueReader._list,
    "objects": ValueReader._objects,
    "masked": ValueReader._masked,
    "gap": ValueReader._gap,
    "strings": ValueReader._strings,
    "npstr": ValueReader._npstr,
    "npbytes": ValueReader._npbytes,
    "lost": ValueReader._lost,
}

_SINGLE_KINDS = frozenset(kind for kind, _ in SINGLE.values())


def _tagged(kind: str, value: Any, **more: Any) -> dict[str, Any]:
    return {_TAG: kind, "value": value, **more}
