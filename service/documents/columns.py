"""Columns and single values of pandas, polars and pyarrow as plain data and back.

The libraries are imported only where the app uses them. A column that is one array of numpy underneath is
written as that array, which every release reads, with what it was around it in ``as``.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from service.documents.scalars import read_zone, zone_facts

__all__ = ("LIBRARIES", "around", "column_facts", "is_column", "read_column")

LIBRARIES = frozenset({"pandas", "polars", "pyarrow"})

Encode = Callable[[Any], Any]
Decode = Callable[[Any], Any]
Facts = dict[str, Any]


def column_facts(obj: Any, encode: Encode) -> Facts | None:
    """The record without its tag for values of these libraries; None where it is none that we know."""
    library = type(obj).__module__.partition(".")[0]
    match library, type(obj).__name__:
        case "polars", "Series":
            return {"svc": "polars", "value": encode(_polars_bytes(obj))}
        case "pyarrow", _:
            return _arrow(obj, encode)
        case "pandas", name if name in _SINGLE:
            return _SINGLE[name](obj)
    return _pandas(obj, encode) if library == "pandas" else None


def read_column(kind: str, value: Any, decode: Decode) -> Any:
    """The value of a record that :func:`column_facts` made; arrays come back by :func:`around`.

    Raises ImportError where the library is missing, ValueError and the like for damaged data.
    """
    return _READERS[kind](value, decode)


def is_column(kind: str) -> bool:
    """Whether this is a kind of record for :func:`read_column`."""
    return kind in _READERS


def around(array: np.ndarray[Any, Any], layers: list[Any], decode: Decode) -> Any:
    """The column whose array this is; ``layers`` say what was around it, innermost first."""
    found: Any = array
    for name, facts in layers:
        found = _LAYERS[name](found, facts, decode)
    return found


# -- pandas ----------------------------------------------------------------------------------


def _pandas(obj: Any, encode: Encode) -> Facts | None:
    import pandas as pd  # type: ignore[import-untyped]  # only where the app uses it

    match obj:
        case pd.Series():
            # A Series of Series' subclass, or with attrs, comes back without those.
            layer = ["Series", {"index": encode(obj.index), "name": encode(obj.name)}]
            return _layered(encode(_array_of(obj)), layer)
        case pd.MultiIndex():
            parts = [list(obj.levels), [np.asarray(codes) for codes in obj.codes], list(obj.names)]
            return {"svc": "MultiIndex", "value": [[encode(each) for each in part] for part in parts]}
        case pd.RangeIndex():
            return {"svc": "RangeIndex", "value": [obj.start, obj.stop, obj.step, encode(obj.name)]}
        case pd.Index():
            frequency = obj.freqstr if isinstance(obj, pd.DatetimeIndex | pd.TimedeltaIndex) else None
            layer = ["Index", {"name": encode(obj.name), "freq": frequency}]
            return _layered(encode(_array_of(obj)), layer)
        case pd.api.extensions.ExtensionArray():
            return _extension(obj, encode)
        case pd.Interval():
            return {"svc": "Interval", "value": [encode(obj.left), encode(obj.right), obj.closed]}
    return None


def _array_of(column: Any) -> Any:
    """The numpy array of a column where it has one, else its extension array."""
    return column.to_numpy() if isinstance(column.dtype, np.dtype) else column.array


def _layered(record: Facts, layer: list[Any]) -> Facts:
    """``record`` with one more layer around; one that is no array is wrapped."""
    if record["svc"] == "array" or record["svc"] == "objects":
        return {**record, "as": [*record.get("as", ()), layer]}
    return {"svc": "layered", "value": [record, [layer]]}


def _extension(obj: Any, encode: Encode) -> Facts | None:
    import pandas as pd

    dtype = obj.dtype
    if isinstance(dtype, np.dtype) or type(obj) is pd.arrays.NumpyExtensionArray:
        return _layered(encode(obj.to_numpy()), ["Array", None])
    match dtype:
        case pd.DatetimeTZDtype():
            zone = zone_facts(dtype.tz)
            naive = pd.DatetimeIndex(obj).tz_convert(None).to_numpy()
            return None if zone is None else _layered(encode(naive), ["Zone", zone])
        case pd.PeriodDtype():
            frequency = str(dtype).removeprefix("period[").removesuffix("]")
            return _layered(encode(pd.PeriodIndex(obj).asi8), ["Period", frequency])
        case pd.CategoricalDtype():
            parts = [encode(obj.codes), encode(dtype.categories), bool(dtype.ordered)]
            return {"svc": "Categorical", "value": parts}
        case pd.IntervalDtype():
            return {"svc": "Intervals", "value": [encode(obj.left), encode(obj.right), obj.closed]}
        case pd.SparseDtype():
            return {"svc": "Sparse", "value": [encode(np.asarray(obj)), encode(obj.fill_value)]}
        case pd.StringDtype():
            texts = obj.to_numpy(dtype=object, na_value=None).tolist()
            return {"svc": "Strings", "value": [encode(texts), dtype.storage, encode(dtype.na_value)]}
        case pd.ArrowDtype():
            return {"svc": "ArrowColumn", "value": encode(_arrow_bytes(obj.__arrow_array__()))}
    return _masked(obj, encode)


def _masked(obj: Any, encode: Encode) -> Facts | None:
    """Nullable integers, floats and booleans."""
    import pandas as pd

    if not isinstance(obj, pd.arrays.IntegerArray | pd.arrays.FloatingArray | pd.arrays.BooleanArray):
        return None
    missing = np.asarray(obj.isna())
    values = obj.to_numpy(dtype=getattr(obj.dtype, "numpy_dtype", "bool"), na_value=0)
    return {"svc": "Nullable", "value": [type(obj).__name__, encode(values), encode(missing)]}


def _with_series(found: Any, facts: Any, decode: Decode) -> Any:
    import pandas as pd

    dtype = found.dtype  # else texts in an array of objects would become pandas' own
    return pd.Series(found, index=decode(facts["index"]), name=decode(facts["name"]), dtype=dtype, copy=False)


def _with_index(found: Any, facts: Any, decode: Decode) -> Any:
    import pandas as pd

    index = pd.Index(found, dtype=found.dtype, name=decode(facts["name"]))
    if facts["freq"] is not None:
        index.freq = facts["freq"]
    return index


def _with_zone(found: Any, facts: Any, _: Decode) -> Any:
    import pandas as pd

    return pd.DatetimeIndex(found).tz_localize("UTC").tz_convert(read_zone(facts)).array


def _with_period(found: Any, facts: Any, _: Decode) -> Any:
    import pandas as pd

    return pd.PeriodIndex.from_ordinals(found, freq=facts).array


def _with_array(found: Any, _: Any, __: Decode) -> Any:
    import pandas as pd

    if found.dtype.kind in "mM":
        return pd.array(found, dtype=found.dtype)
    return pd.arrays.NumpyExtensionArray(found)


_LAYERS: Mapping[str, Callable[[Any, Any, Decode], Any]] = {
    "Series": _with_series,
    "Index": _with_index,
    "Zone": _with_zone,
    "Period": _with_period,
    "Array": _with_array,
}


def _layers(value: Any, decode: Decode) -> Any:
    return around(decode(value[0]), value[1], decode)


def _multi_index(value: Any, decode: Decode) -> Any:
    import pandas as pd

    levels, codes, names = ([decode(each) for each in part] for part in value)
    return pd.MultiIndex(levels=levels, codes=codes, names=names)


def _range_index(value: Any, decode: Decode) -> Any:
    import pandas as pd

    start, stop, step, name = value
    return pd.RangeIndex(start, stop, step, name=decode(name))


def _categorical(value: Any, decode: Decode) -> Any:
    import pandas as pd

    codes, categories, ordered = value
    dtype = pd.CategoricalDtype(decode(categories), ordered)
    return pd.Categorical.from_codes(decode(codes), dtype=dtype)


def _intervals(value: Any, decode: Decode) -> Any:
    import pandas as pd

    return pd.arrays.IntervalArray.from_arrays(decode(value[0]), decode(value[1]), closed=value[2])


def _interval(value: Any, decode: Decode) -> Any:
    import pandas as pd

    return pd.Interval(decode(value[0]), decode(value[1]), closed=value[2])


def _sparse(value: Any, decode: Decode) -> Any:
    import pandas as pd

    dense = decode(value[0])
    return pd.arrays.SparseArray(dense, fill_value=decode(value[1]), dtype=dense.dtype)


def _strings(value: Any, decode: Decode) -> Any:
    import pandas as pd

    texts, storage, missing = value
    return pd.array(decode(texts), dtype=pd.StringDtype(storage, na_value=decode(missing)))


def _nullable(value: Any, decode: Decode) -> Any:
    import pandas as pd

    classes = {cls.__name__: cls for cls in _nullable_classes(pd)}
    return classes[value[0]](decode(value[1]), decode(value[2]))


def _nullable_classes(pd: Any) -> tuple[type, ...]:
    return pd.arrays.IntegerArray, pd.arrays.FloatingArray, pd.arrays.BooleanArray


# -- pandas' single values -------------------------------------------------------------------


def _stamp_facts(stamp: Any) -> Facts:
    zone = None if stamp.tz is None else str(stamp.tz)
    if stamp.unit == "ns" or _fits_nanoseconds(stamp):
        return {"svc": "Timestamp", "value": [stamp.value, stamp.unit, zone]}
    in_utc = stamp.tz_convert(None) if zone else stamp
    return {"svc": "FarTimestamp", "value": [int(in_utc.to_datetime64().view("i8")), stamp.unit, zone]}


def _delta_facts(delta: Any) -> Facts:
    if delta.unit == "ns" or _fits_nanoseconds(delta):
        return {"svc": "Timedelta", "value": [delta.value, delta.unit]}
    return {"svc": "FarTimedelta", "value": [int(delta.to_timedelta64().view("i8")), delta.unit]}


def _fits_nanoseconds(moment: Any) -> bool:
    """``value`` is in nanoseconds, whatever the unit (pandas 2 and 3), which not all fit into."""
    try:
        moment.as_unit("ns")
    except (ValueError, OverflowError):  # OutOfBoundsDatetime is a ValueError
        return False
    return True


def _stamp(value: Any, _: Decode) -> Any:
    import pandas as pd

    nanoseconds, unit, zone = value
    return pd.Timestamp(nanoseconds, tz=zone).as_unit(unit)


def _far_stamp(value: Any, _: Decode) -> Any:
    import pandas as pd

    count, unit, zone = value
    stamp = pd.Timestamp(np.datetime64(count, unit))
    return stamp if zone is None else stamp.tz_localize("UTC").tz_convert(zone)


def _delta(value: Any, _: Decode) -> Any:
    import pandas as pd

    return pd.Timedelta(value[0]).as_unit(value[1])


def _far_delta(value: Any, _: Decode) -> Any:
    import pandas as pd

    return pd.Timedelta(np.timedelta64(*value))


def _period(value: Any, _: Decode) -> Any:
    import pandas as pd

    return pd.Period(ordinal=value[0], freq=value[1])


def _not_a_time(_: Any, __: Decode) -> Any:
    import pandas as pd

    return pd.NaT


def _not_available(_: Any, __: Decode) -> Any:
    import pandas as pd

    return pd.NA


_SINGLE: Mapping[str, Callable[[Any], Facts]] = {
    "Timestamp": _stamp_facts,
    "Timedelta": _delta_facts,
    "Period": lambda period: {"svc": "Period", "value": [period.ordinal, period.freqstr]},
    "NaTType": lambda _: {"svc": "NaTType", "value": None},
    "NAType": lambda _: {"svc": "NAType", "value": None},
}
"""By the names of their types."""


# -- arrow and polars ------------------------------------------------------------------------


def _arrow(obj: Any, encode: Encode) -> Facts | None:
    import pyarrow as pa  # type: ignore[import-untyped, import-not-found, unused-ignore]

    if isinstance(obj, pa.ChunkedArray):
        return {"svc": "arrow", "value": [True, encode(_arrow_bytes(obj))]}
    if isinstance(obj, pa.Array):
        return {"svc": "arrow", "value": [False, encode(_arrow_bytes(obj))]}
    return None


def _arrow_bytes(column: Any) -> bytes:
    """As a stream of Arrow's IPC, which has data only."""
    import pyarrow as pa

    table = pa.table({"column": column})
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def _arrow_chunks(data: bytes) -> Any:
    import pyarrow as pa

    with pa.ipc.open_stream(data) as reader:
        return reader.read_all().column(0)


def _arrow_column(value: Any, decode: Decode) -> Any:
    chunked, data = value
    column = _arrow_chunks(decode(data))
    return column if chunked else column.combine_chunks()


def _arrow_in_pandas(value: Any, decode: Decode) -> Any:
    import pandas as pd

    return pd.arrays.ArrowExtensionArray(_arrow_chunks(decode(value)))


def _polars_bytes(series: Any) -> bytes:
    """Raises polars' ComputeError for a Series of Python's objects."""
    sink = io.BytesIO()
    series.to_frame().write_ipc(sink)
    return sink.getvalue()


def _polars(value: Any, decode: Decode) -> Any:
    import polars as pl  # type: ignore[import-not-found, unused-ignore]

    return pl.read_ipc(io.BytesIO(decode(value))).to_series()


_READERS: Mapping[str, Callable[[Any, Decode], Any]] = {
    "layered": _layers,
    "MultiIndex": _multi_index,
    "RangeIndex": _range_index,
    "Categorical": _categorical,
    "Intervals": _intervals,
    "Interval": _interval,
    "Sparse": _sparse,
    "Strings": _strings,
    "Nullable": _nullable,
    "ArrowColumn": _arrow_in_pandas,
    "Timestamp": _stamp,
    "FarTimestamp": _far_stamp,
    "Timedelta": _delta,
    "FarTimedelta": _far_delta,
    "Period": _period,
    "NaTType": _not_a_time,
    "NAType": _not_available,
    "arrow": _arrow_column,
    "polars": _polars,
}
