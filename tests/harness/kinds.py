"""Columns and single values of every kind that apps put into a Document."""

from __future__ import annotations

import array
import datetime as dt
import enum
import math
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa

__all__ = ("BERLIN", "COLUMNS", "SHOWN", "SINGLE", "Level", "Shade", "Size")


class Shade(enum.Enum):
    """Nothing that Bokeh knows."""

    DARK = (1, 2)
    LIGHT = "light"


class Level(enum.StrEnum):
    """Text to Bokeh."""

    LOW = "low"


class Size(enum.IntEnum):
    """A number to Bokeh."""

    BIG = 7


class Rights(enum.Flag):
    """Members that have no name of their own."""

    READ = 1
    WRITE = 2


BERLIN = ZoneInfo("Europe/Berlin")
AMBIGUOUS = dt.datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN)

SINGLE: Mapping[str, Any] = {
    "datetime.max": dt.datetime.max,
    "datetime.min": dt.datetime.min,
    "date.max": dt.date.max,
    "in a zone": dt.datetime(2026, 7, 1, 12, tzinfo=BERLIN),
    "before the clock goes back": AMBIGUOUS,
    "after the clock went back": AMBIGUOUS.replace(fold=1),
    "naive with fold": dt.datetime(2026, 10, 25, 2, 30, fold=1),
    "offset with fold": dt.datetime(2026, 1, 1, tzinfo=dt.timezone.utc, fold=1),  # noqa: UP017
    "a zone with a name of its own": dt.datetime(2026, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=1), "X")),
    "zone far back": dt.datetime(1800, 1, 1, tzinfo=BERLIN),
    "time in a zone": dt.time(1, 2, tzinfo=BERLIN),
    "Decimal": Decimal("1.10"),
    "Decimal NaN": [Decimal("-0"), Decimal("1E+400")],
    "Fraction": Fraction(1, 3),
    "UUID": UUID(int=7),
    "complex": complex(-0.0, math.nan),
    "range": range(0, 2**80, 3),
    "frozenset": frozenset({1, (2, 3)}),
    "bytearray": bytearray(b"\0\xff"),
    "array.array": array.array("q", [2**62, -1]),
    "Enum": [Shade.DARK, Shade.LIGHT],
    "StrEnum": Level.LOW,
    "IntEnum": Size.BIG,
    "Flag": Rights.READ | Rights.WRITE,
    "numbers of numpy": [np.int64(2**60), np.float64(1.5), np.float32(0.25), np.uint8(3), np.bool_(True)],
    "many numbers of numpy": [np.int64(n) for n in range(100)],
    "many moments of numpy": [np.datetime64(n, "us") for n in range(50)],
    "moments of many units": [np.datetime64(n, unit) for n in range(9) for unit in ("us", "D")],
    "longdouble": np.longdouble("0.1"),
    "complex64": np.complex64(1j),
    "np.str_": [np.str_(""), np.str_("ü")],
    "np.bytes_": [np.bytes_(b""), np.bytes_(b"a")],
    "np.void": np.array([(1, 2.5)], dtype=[("a", "i4"), ("b", "f8")])[0],
    "0-d": [np.array(4.5), np.array("x"), np.array(2**63, dtype="u8")],
    "0-d object": np.array(None, dtype=object),
    "Period": pd.Period("2026-01", freq="M"),
    "Timestamp beyond nanoseconds": pd.Timestamp(np.datetime64("9999-12-31T23:59:59", "s")),
    "Timestamp beyond nanoseconds in a zone": pd.Timestamp(np.datetime64("3000-06-01", "us")).tz_localize(
        "Europe/Berlin"
    ),
    "Timestamp in us": pd.Timestamp("2026-01-01 01:02:03.000004").as_unit("us"),
    "Timedelta beyond nanoseconds": pd.Timedelta(np.timedelta64(10**6, "D").astype("m8[s]")),
}

FIELDS = np.dtype([("a", "i4"), ("b", "i2", (2,)), ("c", [("d", "f8")])], align=True)
STRINGS = np.dtypes.StringDType
FRAME = pd.DataFrame({"n": [150_000, 160_000, 2**60]}, index=["a", "b", "c"])
ZONED = pd.Series(pd.date_range("2026-10-24", periods=3, freq="D", tz="Europe/Berlin"))

A_MASK_PER_FIELD: Any = [(0, 1)]
"""Which numpy's types do not know."""

SHOWN: Mapping[str, Any] = {
    "int64 limits": np.array([2**62, -(2**63), 2**63 - 1]),
    "int64 beyond 2**53": np.array([2**53 + 1, 2**53 + 2, 2**53 + 3]),
    "int64 of 32 bits": np.array([150_000, 1, 2]),
    "uint64 limits": np.array([2**64 - 1, 0, 2**63], dtype="u8"),
    "uint64 of 32 bits": np.array([1, 2, 3], dtype="u8"),
    "int8": np.array([1, -2, 3], dtype="i1"),
    "bool": np.array([True, False, True]),
    "float16": np.array([1.5, -0.0, np.nan], dtype="f2"),
    "float32": np.array([0.1, np.inf, np.nan], dtype="f4"),
    "longdouble": np.array(["0.1", "1e4000", "-0"], dtype=np.longdouble),
    "big-endian": np.array([1, 2, 2**40], dtype=">i8"),
    "big-endian float": np.array([1.5, 2, 3], dtype=">f4"),
    "masked": np.ma.masked_greater([1.0, 99.0, 3.0], 50),
    "masked with its own filler": np.ma.array([1.0, 2, 3], mask=[False, False, True], fill_value=-1.0),
    "masked float32": np.ma.array(np.array([1, 2, 3], dtype="f4"), mask=[False, False, True], hard_mask=True),
    "masked without a mask": np.ma.array([1.0, 2.0, 3.0]),
    "datetime64[ns]": np.array(["2026-01-01T01:02:03.123456789", "NaT", "1677-09-22"], dtype="M8[ns]"),
    **{
        f"datetime64[{unit}]": np.array([1, 2, "NaT"], dtype=f"M8[{unit}]")
        for unit in ("Y", "M", "W", "D", "h", "m", "s", "ms", "us")
    },
    "datetime64[ms] of now": np.array(["2026-01-01T01:02:03.456"] * 3, dtype="M8[ms]"),
    "datetime64[D] far away": np.array(["9999-12-31", "0001-01-01", "NaT"], dtype="M8[D]"),
    "datetime64[25s]": np.array([1, 2, 3], dtype="M8[25s]"),
    "timedelta64[ns]": np.array([1, 2, "NaT"], dtype="m8[ns]"),
    "timedelta64[h]": np.array([1, 2, 3], dtype="m8[h]"),
    "text": np.array(["a", "ü", ""]),
    "StringDType": np.array(["a", "a long text that is in no inline storage", ""], dtype=STRINGS()),
    "objects": np.array([1, "a", None], dtype=object),
    "objects that are text": np.array(["a", "b", ""], dtype=object),
    "ragged": np.array([np.arange(2), np.arange(3.0), None], dtype=object),
    "lists of arrays": [np.arange(3), np.arange(2, dtype="f4"), np.array([2**62])],
    "dates": np.array([dt.date(2026, 1, 1), dt.date(2026, 1, 2), dt.date(1, 1, 1)], dtype=object),
    "recarray": np.rec.array([(1, 2.5), (3, 4.5), (5, 6.5)], dtype=[("a", "i4"), ("b", "f8")]),
    "structured": np.array([(1, [2, 3], (4.5,))] * 3, dtype=FIELDS),
    "list of int beyond 32 bits": [2**40, 2**52, -(2**40)],
    "list of datetimes": [dt.datetime(2026, 1, 1, 1, 2, 3, 456789), dt.datetime.max, None],
    "list of zoned datetimes": [AMBIGUOUS, AMBIGUOUS.replace(fold=1), None],
    "list of dates": [dt.date(2026, 1, 1), None, dt.date.max],
    "list of times": [dt.time(1, 2, 3, 4), None, dt.time.max],
    "list of timedeltas": [dt.timedelta(microseconds=1), None, dt.timedelta(days=5)],
    "list of tuples": [(1, 2), ("a", 3), ()],
    "tuple": (1, 2.5, "x"),
    "numbers of numpy": [np.int64(2**40), np.float32(0.1), np.bool_(True)],
    "StrEnum": [Level.LOW] * 3,
    "array.array": array.array("d", [1, 2, 3]),
    "Series of int64": FRAME.n,
    "Series of int32": pd.Series([1, 2, 3], dtype="i4"),
    "Series of floats": pd.Series([1.5, np.nan, 3], name=("a", 1)),
    "Series of times": pd.Series(pd.date_range("2026-01-01", periods=3, freq="D")),
    "Series of times in ns": pd.Series(pd.date_range("2026-01-01", periods=3, freq="D", unit="ns")),
    "Series of zoned times": ZONED,
    "Series with an offset": pd.Series(pd.date_range("2026-01-01", periods=3, tz="+05:30")),
    "Series of str": pd.Series(["a", None, "b"]),
    "Series of objects": pd.Series(["a", 1, None], dtype=object),
    "Series of categories": pd.Series(pd.Categorical(["low", "high", None], ["low", "high"], ordered=True)),
    "Series of Int64": pd.Series([1, None, 2**60], dtype="Int64"),
    "Series of Float64": pd.Series([1.5, None, 3], dtype="Float64"),
    "Series of boolean": pd.Series([True, None, False], dtype="boolean"),
    "Series of string": pd.Series(["a", None, "b"], dtype="string"),
    "Series of strings of Python": pd.Series(["a", None, "b"], dtype=pd.StringDtype("python")),
    "Series of Arrow's int64": pd.Series([1, None, 2**60], dtype="int64[pyarrow]"),
    "Series of sparse": pd.Series(pd.arrays.SparseArray([0, 0, 1])),
    "Series of bool": pd.Series([True, False, True]),
    "Series of timedeltas": pd.Series(pd.to_timedelta([1, 2, None], unit="s")),
    "Index": pd.Index([3, 1, 2**60], name="i"),
    "RangeIndex": pd.RangeIndex(3, name="r"),
    "DatetimeIndex": pd.date_range("2026-01-01", periods=3, freq="D", name="t"),
    "zoned DatetimeIndex": pd.date_range("2026-01-01", periods=3, freq="h", tz="America/New_York"),
    "TimedeltaIndex": pd.timedelta_range("1h", periods=3, freq="h"),
    "PeriodIndex": pd.period_range("2026-01", periods=3, freq="M"),
    "CategoricalIndex": pd.CategoricalIndex(["b", "a", "b"]),
    "MultiIndex": pd.MultiIndex.from_product([["x"], [1, 2, 3]], names=["a", None]),
    "Categorical": pd.Categorical([3, 1, 3]),
    "Int64 array": pd.array([1, None, 3]),
    "array of pandas": pd.array(np.array([1.5, 2, 3]), dtype=np.dtype("f8")),
    "DatetimeArray": pd.array(np.array([1, 2, "NaT"], dtype="M8[us]")),
    "polars of int64": pl.Series("p", [1, None, 2**60]),
    "polars of text": pl.Series("t", ["a", None, "b"]),
    "polars of times": pl.Series("z", [dt.datetime(2026, 1, 1)] * 3).dt.replace_time_zone("Europe/Berlin"),
    "pyarrow of int64": pa.array([1, 3, 2**60]),
    "pyarrow in chunks": pa.chunked_array([[1.5, 2], [3]]),
}
"""Columns of three that Bokeh can show, on each of its lines."""

COLUMNS: Mapping[str, Any] = {
    **SHOWN,
    "complex128": np.array([1j, complex(-0.0, math.inf)]),
    "clongdouble": np.array([1j], dtype=np.clongdouble),
    "masked int": np.ma.array([1, 2, 3], mask=[False, False, True]),
    "masked text": np.ma.array(["a", "b"], mask=[False, True]),
    "masked structured": np.ma.array([(1, 2)], mask=A_MASK_PER_FIELD, dtype=[("a", "i4"), ("b", "i4")]),
    "masked in two dimensions": np.ma.masked_less(np.arange(4).reshape(2, 2), 2),
    "StringDType with gaps": np.array(["a", None], dtype=STRINGS(na_object=None)),
    "StringDType with NaN": np.array(["a", np.nan], dtype=STRINGS(na_object=np.nan, coerce=False)),
    "StringDType with pd.NA": np.array([["a", pd.NA]], dtype=STRINGS(na_object=pd.NA)),
    "StringDType with text for gaps": np.array(["a", "-"], dtype=STRINGS(na_object="-")),
    "StringDType without items": np.array([], dtype=STRINGS()),
    "structured with objects": np.array([(1, "a"), (2, None)], dtype=[("i", "i4"), ("o", object)]),
    "structured with titles": np.array([(1,)], dtype=[(("title", "name"), "i4")]),
    "structured with moments": np.array([(1,)], dtype=[("at", "M8[us]")]),
    "void": np.array([b"ab"], dtype="V2"),
    "IntervalIndex": pd.interval_range(0, 3, name="i"),
    "Series of intervals": pd.Series(pd.interval_range(0, 3, closed="left")),
    "Series of periods": pd.Series(pd.period_range("2026", periods=2, freq="Q-NOV")),
    "Series of Arrow's text": pd.Series(["a", None], dtype=pd.ArrowDtype(pa.string())),
    "Series by times": pd.Series([1, 2], index=pd.date_range("2026", periods=2, tz="UTC")),
    "Series in rows of many": pd.Series([1, 2], index=pd.MultiIndex.from_tuples([(1, "a"), (2, "b")])),
    "Series without items": pd.Series([], dtype="M8[ns]"),
    "Series beyond nanoseconds": pd.Series(np.array(["9999-01-01"], dtype="M8[s]")),
    "polars of categories": pl.Series("c", ["a", "b", "a"], dtype=pl.Enum(["a", "b"])),
    "polars of lists": pl.Series("l", [[1], None, [2, 3]]),
    "pyarrow with gaps": pa.array(["a", None]),
    "pyarrow of dictionaries": pa.array(["a", "b", "a"]).dictionary_encode(),
    "pyarrow of structs": pa.array([{"a": 1}, None]),
    "pyarrow without items": pa.chunked_array([], type=pa.int64()),
}
