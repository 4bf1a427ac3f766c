"""What a function has returned, as bytes and back: plain data, arrays, frames of pandas, polars and pyarrow.

As for properties (:mod:`service.documents.values`), but nothing is written that would come back as another
type: a result is what its first caller got. Nothing is pickled, and no models are made: whoever can write to
the store must not be able to run code.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

import numpy as np
from bokeh.core.serialization import DeserializationError, SerializationError

from service.documents.columns import LIBRARIES, column_facts
from service.documents.scalars import SINGLE
from service.documents.value_errors import value_errors
from service.documents.values import ValueReader, ValueWriter, reason_of
from store.errors import RecordError
from store.pieces import Pieces
from store.records import as_payload, pack_entry, unpack_entry

__all__ = ("ResultWriter", "packed_result", "unpacked_result")

MIN_ARROW_TEXTS = 1000
"""From so many on, a column of texts is written in Arrow's format, where pyarrow is there."""


def packed_result(value: Any) -> bytes | Pieces:
    """``value`` as it is stored; it shares no memory with that. Raises TypeError for what cannot be."""
    try:
        return pack_entry(ResultWriter().encode(value))
    except RecursionError:
        raise TypeError("it contains itself, or is nested too deeply") from None
    except (SerializationError, RecordError) as error:
        raise TypeError(str(error).removeprefix("this journal entry cannot be stored: ")) from None


def unpacked_result(data: bytes) -> Any:
    """A new copy of what was packed. Raises ValueError for what is damaged, or of another release."""
    try:
        return _Reader([]).decode(unpack_entry(data))
    except (DeserializationError, RecordError) as error:
        raise ValueError(reason_of(error)) from error


class ResultWriter(ValueWriter):
    """Encodes values of types that come back as they are. Raises TypeError for all others."""

    def encode(self, obj: Any) -> Any:
        kind = type(obj)
        if kind in _EXACT or kind in SINGLE or isinstance(obj, np.generic | Enum):
            return super().encode(obj)
        library, name = kind.__module__.partition(".")[0], kind.__name__
        if library in LIBRARIES:
            writer = _FRAMES.get((library, name), _column)
            found = writer(obj, self.encode)
            if found is not None:
                return found
        raise TypeError(f"{kind.__module__}.{kind.__qualname__} cannot be stored{_hint(name)}")


_EXACT: frozenset[type] = frozenset({
    type(None), bool, int, float, str, bytes, list, tuple, dict, set, frozenset, slice,
    np.ndarray, np.ma.MaskedArray, np.recarray, np.matrix, type(np.ma.masked),
})  # fmt: skip


def _hint(name: str) -> str:
    match name:
        case "LazyFrame":
            return ": collect() it"
        case "GeoDataFrame" | "Dataset" | "DataArray":
            return ": return a pandas.DataFrame, or arrays"
        case "generator" | "map" | "zip" | "dict_keys" | "dict_values" | "dict_items":
            return ": return a list"
    return ""


# -- writing frames --------------------------------------------------------------------------

Encode = Callable[[Any], Any]
Facts = dict[str, Any]


def _column(obj: Any, encode: Encode) -> Facts | None:
    return _texts(obj, encode) or column_facts(obj, encode)


def _texts(obj: Any, encode: Encode) -> Facts | None:
    """A column of many texts in pandas, which one by one would take long."""
    import pandas as pd  # type: ignore[import-untyped]

    if not isinstance(obj, pd.api.extensions.ExtensionArray) or len(obj) < MIN_ARROW_TEXTS:
        return None
    if not isinstance(obj.dtype, pd.StringDtype) or (pa := _pyarrow()) is None:
        return None
    column = pa.table({"column": pa.array(obj, type=pa.large_string(), from_pandas=True)})
    return {
        "svc": "ArrowTexts",
        "value": [encode(_arrow_stream(column)), obj.dtype.storage, encode(obj.dtype.na_value)],
    }


def _pyarrow() -> Any:
    try:
        import pyarrow as pa  # type: ignore[import-untyped, import-not-found, unused-ignore]
    except ImportError:
        return None
    return pa


def _pandas_frame(frame: Any, encode: Encode) -> Facts:
    """Column by column, whatever their names. Without ``attrs`` and flags."""
    columns = [frame.iloc[:, at] for at in range(frame.shape[1])]
    arrays = [each.to_numpy() if isinstance(each.dtype, np.dtype) else each.array for each in columns]
    return {
        "svc": "DataFrame",
        "value": [encode(frame.index), encode(frame.columns), [encode(each) for each in arrays]],
    }


def _polars_frame(frame: Any, _: Encode) -> Facts:
    sink = io.BytesIO()
    try:
        frame.write_ipc(sink)
    except value_errors() as error:
        raise TypeError(f"this polars.DataFrame cannot be stored: {reason_of(error)}") from error
    return {"svc": "PolarsFrame", "value": as_payload(sink.getvalue())}


def _arrow_table(table: Any, _: Encode) -> Facts:
    return {"svc": "ArrowTable", "value": as_payload(_arrow_stream(table)), "kind": type(table).__name__}


def _arrow_stream(table: Any) -> bytes:
    """In Arrow's IPC format, which has data only."""
    import pyarrow as pa

    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write(table)
    return sink.getvalue()


_FRAMES: Mapping[tuple[str, str], Callable[[Any, Encode], Facts | None]] = {
    ("pandas", "DataFrame"): _pandas_frame,
    ("polars", "DataFrame"): _polars_frame,
    ("pyarrow", "Table"): _arrow_table,
    ("pyarrow", "RecordBatch"): _arrow_table,
}


# -- reading ---------------------------------------------------------------------------------


class _Reader(ValueReader):
    """Reads what :class:`ResultWriter` made, and nothing else that Bokeh's deserializer would."""

    def _decode(self, obj: Any) -> Any:
        if isinstance(obj, dict) and "svc" not in obj and obj.get("type") not in ("map", "set", "slice"):
            raise DeserializationError("something that is no result")
        return super()._decode(obj)

    def _decode_tagged(self, kind: str, value: Any, obj: dict[str, Any]) -> Any:
        match kind:
            case "DataFrame":
                return _read_pandas(*(self._decode(part) for part in value))
            case "ArrowTexts":
                return _read_texts(*(self._decode(part) for part in value))
            case "PolarsFrame":
                return _read_polars(value)
            case "ArrowTable":
                return _read_arrow(value, obj["kind"])
        return super()._decode_tagged(kind, value, obj)


def _read_pandas(index: Any, columns: Any, arrays: list[Any]) -> Any:
    import pandas as pd

    # With their dtypes: texts in an array of objects would become pandas' own else.
    series = {
        at: pd.Series(each, index=index, dtype=each.dtype, copy=False) for at, each in enumerate(arrays)
    }
    frame = pd.DataFrame(series, index=index, copy=False)
    frame.columns = columns
    return frame


def _read_texts(stream: bytes, storage: str, missing: Any) -> Any:
    import pandas as pd

    return pd.StringDtype(storage, na_value=missing).__from_arrow__(_read_arrow(stream, "Table").column(0))


def _read_polars(data: bytes) -> Any:
    import polars as pl  # type: ignore[import-not-found, unused-ignore]

    return pl.read_ipc(io.BytesIO(data))


def _read_arrow(data: bytes, kind: str) -> Any:
    import pyarrow as pa

    with pa.ipc.open_stream(data) as reader:
        return reader.read_all() if kind == "Table" else reader.read_next_batch()
