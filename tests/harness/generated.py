"""Columns of every dtype of numpy, pandas, polars and pyarrow, as hypothesis draws them.

Each function gives a strategy for columns of that many rows.
"""

from __future__ import annotations

import datetime as dt
from copy import deepcopy
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
from bokeh.core.serialization import Serializer
from bokeh.models import ColumnDataSource
from hypothesis import strategies as st
from hypothesis.extra import numpy as np_st
from polars.testing.parametric import series

__all__ = (
    "Change",
    "any_column",
    "arrow_columns",
    "changed_columns",
    "items_of",
    "numpy_columns",
    "pandas_columns",
    "polars_columns",
)

Columns = st.SearchStrategy[Any]

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
UNITS = ("Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "ps", "fs", "as")
ZONES = (
    dt.UTC,
    ZoneInfo("Europe/Berlin"),
    ZoneInfo("America/St_Johns"),
    dt.timezone(dt.timedelta(minutes=-90)),
)
HUNDRED_YEARS = dt.timedelta(days=36525)
INT64 = st.integers(-(2**63), 2**63 - 1)


def any_column(rows: int) -> Columns:
    return st.one_of(numpy_columns(rows), pandas_columns(rows), polars_columns(rows), arrow_columns(rows))


def listed(items: Columns, rows: int) -> Columns:
    return st.lists(items, min_size=rows, max_size=rows)


# -- numpy -----------------------------------------------------------------------------------


def numpy_columns(rows: int) -> Columns:
    return st.one_of(
        numbers(rows), moments(rows), masked(rows), string_dtype(rows), structured(rows), objects(rows)
    )


def numbers(rows: int) -> Columns:
    """Numbers and texts of all sizes and in both byte orders."""
    dtypes = st.one_of(
        np_st.boolean_dtypes(), np_st.integer_dtypes(endianness="?"),
        np_st.unsigned_integer_dtypes(endianness="?"),
        np_st.floating_dtypes(endianness="?"), np_st.complex_number_dtypes(endianness="?"),
        st.sampled_from([np.dtype(np.longdouble), np.dtype(np.clongdouble)]),
        np_st.unicode_string_dtypes(), np_st.byte_string_dtypes(),
    )  # fmt: skip
    return np_st.arrays(dtype=dtypes, shape=rows)


def moments(rows: int) -> Columns:
    """Times and spans of all units, also of several at once ("25s"), with all that fits into them."""
    dtypes = st.builds(
        lambda order, kind, count, unit: np.dtype(f"{order}{kind}8[{count}{unit}]"),
        st.sampled_from("<>"), st.sampled_from("mM"), st.sampled_from([1, 1, 1, 25]), st.sampled_from(UNITS),
    )  # fmt: skip
    return st.builds(
        lambda counts, dtype: np.array(counts, dtype=f"{dtype.str[0]}i8").view(dtype),
        listed(st.one_of(st.integers(-(10**5), 10**5), INT64), rows), dtypes,
    )  # fmt: skip


def masked(rows: int) -> Columns:
    return st.builds(
        lambda data, mask, hard: np.ma.MaskedArray(data, mask=mask, hard_mask=hard),
        st.one_of(numbers(rows), moments(rows)), np_st.arrays(bool, rows), st.booleans(),
    )  # fmt: skip


def string_dtype(rows: int) -> Columns:
    """numpy's StringDType without anything that stands for what is missing, and with all kinds of that."""

    def of(missing: list[Any]) -> Columns:
        options = {"na_object": missing[0]} if missing else {}
        items = listed(st.one_of(TEXT, *map(st.just, missing)), rows)
        dtypes = st.booleans().map(lambda coerce: np.dtypes.StringDType(coerce=coerce, **options))
        return st.builds(lambda texts, dtype: np.array(texts, dtype=dtype), items, dtypes)

    ways: list[list[Any]] = [[], [None], [np.nan], [pd.NA], ["-"]]
    return st.sampled_from(ways).flatmap(of)


def structured(rows: int) -> Columns:
    return np_st.arrays(dtype=np_st.array_dtypes(np_st.scalar_dtypes(), max_size=3), shape=rows)


def objects(rows: int) -> Columns:
    items = st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), TEXT,
        st.datetimes(timezones=st.sampled_from(ZONES)),
        st.decimals(), st.fractions(), st.uuids(), st.complex_numbers(), numbers(2),
    )  # fmt: skip

    def array(values: list[Any]) -> Any:
        made = np.empty(rows, dtype=object)
        for i, value in enumerate(values):
            made[i] = value
        return made

    return listed(items, rows).map(array)


# -- pandas ----------------------------------------------------------------------------------


def pandas_columns(rows: int) -> Columns:
    arrays = extension_arrays(rows)
    names = st.one_of(st.none(), TEXT, st.integers(), st.tuples(TEXT, st.integers()))
    plain = st.one_of(
        np_st.arrays(
            st.one_of(
                np_st.integer_dtypes(endianness="="), np_st.floating_dtypes(endianness="=", sizes=(32, 64))
            ),
            rows,
        ),
        np_st.arrays(bool, rows), times(rows), objects(rows),
    )  # fmt: skip
    within = st.one_of(arrays, plain)
    indexes = st.builds(index_of, within, names)
    levels = st.lists(
        st.one_of(times(rows), zoned(rows), periods(rows), categories(rows)), min_size=2, max_size=3
    )
    return st.one_of(
        arrays,
        indexes,
        st.builds(series_of, within, st.one_of(st.none(), indexes), names),
        levels.map(pd.MultiIndex.from_arrays) if rows else st.nothing(),
    )


def index_of(array: Any, name: Any) -> Any:
    return pd.Index(array, dtype=array.dtype, name=name)


def series_of(array: Any, index: Any, name: Any) -> Any:
    return pd.Series(array, dtype=array.dtype, index=index, name=name)


def times(rows: int, *, unit: str | None = None, kinds: str = "mM") -> Columns:
    """Those of the units that pandas has, in years that have four digits."""
    units = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}

    def of(unit: str) -> Columns:
        most = min(200_000_000_000, (2**63 - 1) // units[unit]) * units[unit]
        counts = listed(st.one_of(st.integers(-(most // 4), most), st.just(-(2**63))), rows)
        dtypes = st.sampled_from([f"{kind}8[{unit}]" for kind in kinds])
        return st.builds(lambda found, dtype: np.array(found, dtype="i8").view(dtype), counts, dtypes)

    return of(unit) if unit else st.sampled_from(sorted(units)).flatmap(of)


def extension_arrays(rows: int) -> Columns:
    return st.one_of(
        zoned(rows), periods(rows), categories(rows), nullable(rows), texts(rows), intervals(rows),
        sparse(rows),
        times(rows).map(lambda array: pd.array(array, dtype=array.dtype)),
        arrow_columns(rows).filter(can_be_compared).map(lambda array: pd.arrays.ArrowExtensionArray(array)),
    )  # fmt: skip


def can_be_compared(array: Any) -> bool:
    """pandas has no way to (pandas 3.1, pyarrow 26)."""
    return bool(array.type != pa.string_view())


def zoned(rows: int) -> Columns:
    return st.builds(
        lambda array, zone: pd.DatetimeIndex(array).tz_localize("UTC").tz_convert(zone).array,
        times(rows, kinds="M"), st.sampled_from(ZONES),
    )  # fmt: skip


def periods(rows: int) -> Columns:
    frequencies = ("D", "M", "Q-NOV", "Y-MAR", "W-SUN", "h", "min", "s", "ms", "us", "ns", "2D", "15min")
    ordinals = listed(st.one_of(st.integers(0, 10**4), st.just(-(2**63))), rows)
    return st.builds(
        lambda found, freq: pd.PeriodIndex.from_ordinals(np.array(found, dtype="i8"), freq=freq).array,
        ordinals, st.sampled_from(frequencies),
    )  # fmt: skip


def categories(rows: int) -> Columns:
    stamps = st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1)).map(pd.Timestamp)
    kinds = (TEXT, INT64, st.floats(allow_nan=False), st.booleans(), stamps, st.one_of(TEXT, INT64))
    known = st.one_of(*(st.lists(kind, unique=True, min_size=1, max_size=4) for kind in kinds))

    def of(known: list[Any]) -> Columns:
        codes = listed(st.integers(-1, len(known) - 1), rows)
        dtypes = st.booleans().map(lambda ordered: pd.CategoricalDtype(pd.Index(known), ordered))
        return st.builds(lambda found, dtype: pd.Categorical.from_codes(found, dtype=dtype), codes, dtypes)

    return known.flatmap(of)


def nullable(rows: int) -> Columns:
    kinds = {"i": pd.arrays.IntegerArray, "u": pd.arrays.IntegerArray, "f": pd.arrays.FloatingArray,
             "b": pd.arrays.BooleanArray}  # fmt: skip
    dtypes = st.one_of(
        np_st.integer_dtypes(endianness="="), np_st.unsigned_integer_dtypes(endianness="="),
        np_st.floating_dtypes(sizes=(32, 64), endianness="="), np_st.boolean_dtypes(),
    )  # fmt: skip
    return st.builds(
        lambda values, mask: kinds[values.dtype.kind](values, mask),
        np_st.arrays(dtypes, rows), np_st.arrays(bool, rows),
    )  # fmt: skip


def texts(rows: int) -> Columns:
    dtypes = st.builds(
        pd.StringDtype, st.sampled_from(["python", "pyarrow"]), st.sampled_from([pd.NA, np.nan])
    )
    return st.builds(
        lambda found, dtype: pd.array(found, dtype=dtype), listed(st.one_of(st.none(), TEXT), rows), dtypes
    )


def intervals(rows: int) -> Columns:
    breaks = st.one_of(
        st.lists(st.integers(-(2**40), 2**40), min_size=rows + 1, max_size=rows + 1)
        .map(sorted)
        .map(np.array),
        times(rows + 1, kinds="M").filter(lambda array: not np.isnat(array).any()).map(np.sort),
    )
    closed = st.sampled_from(["left", "right", "both", "neither"])
    return st.builds(
        lambda found, closed: pd.arrays.IntervalArray.from_breaks(found, closed=closed), breaks, closed
    )


def sparse(rows: int) -> Columns:
    dtypes = st.sampled_from(["i8", "f8", "bool"])
    return dtypes.flatmap(lambda dtype: np_st.arrays(dtype, rows)).map(pd.arrays.SparseArray)


# -- polars and pyarrow ----------------------------------------------------------------------


def polars_columns(rows: int) -> Columns:
    return series(min_size=rows, max_size=rows)


ARROW_ITEMS: dict[Any, Columns] = {
    **{kind: st.integers(*limits) for kind, limits in {
        pa.int8(): (-128, 127), pa.uint16(): (0, 2**16 - 1), pa.int64(): (-(2**63), 2**63 - 1),
        pa.uint64(): (0, 2**64 - 1),
    }.items()},
    pa.float32(): st.floats(width=32), pa.float64(): st.floats(), pa.bool_(): st.booleans(),
    pa.null(): st.none(),
    pa.string(): TEXT, pa.large_string(): TEXT, pa.string_view(): TEXT, pa.binary(): st.binary(),
    pa.binary(2): st.binary(min_size=2, max_size=2), pa.date32(): st.dates(), pa.time64("us"): st.times(),
    pa.decimal128(9, 2): st.decimals(-(10**6), 10**6, places=2, allow_nan=False),
    pa.timestamp("us"): st.datetimes(), pa.duration("us"): st.timedeltas(-HUNDRED_YEARS, HUNDRED_YEARS),
    pa.timestamp("us", "Europe/Berlin"): st.datetimes(
        dt.datetime(1900, 1, 1), dt.datetime(2100, 1, 1), timezones=st.just(dt.UTC)
    ),
    pa.list_(pa.int64()): st.lists(st.one_of(st.none(), INT64), max_size=3),
    pa.struct({"a": pa.int64(), "b": pa.string()}): st.fixed_dictionaries({"a": INT64, "b": TEXT}),
    pa.map_(pa.string(), pa.int64()): st.dictionaries(TEXT, INT64, max_size=2).map(
        lambda found: [*found.items()]
    ),
    pa.dictionary(pa.int8(), pa.string()): TEXT,
}  # fmt: skip


def arrow_columns(rows: int) -> Columns:
    def of(kind: Any) -> Columns:
        items = listed(st.one_of(st.none(), ARROW_ITEMS[kind]), rows)
        made = items.map(lambda values: pa.array(values, type=kind))
        return st.one_of(made, st.builds(in_chunks, made, st.integers(0, rows)))

    return st.sampled_from([*ARROW_ITEMS]).flatmap(of)


def in_chunks(array: Any, at: int) -> Any:
    return pa.chunked_array([array[:at], array[at:]], type=array.type)


# -- columns that change ---------------------------------------------------------------------


@dataclass(frozen=True)
class Change:
    """Rows that are streamed into the column ``x`` of a source, or a patch of it."""

    streamed: Any = None
    patches: Any = None
    rollover: int | None = None

    def __call__(self, source: ColumnDataSource) -> None:
        """With copies, as the source keeps what it gets."""
        if self.patches is None:
            source.stream({"x": deepcopy(self.streamed)}, self.rollover)
        else:
            source.patch({"x": deepcopy(self.patches)})


def changed_columns() -> st.SearchStrategy[tuple[Any, list[Change]]]:
    """A column, and what is done with it one after the other: as far as Bokeh does that, and can show it.

    It may be a list of the values, and what is streamed and patched may be of another kind.
    """
    kinds = (numpy_columns, pandas_columns, polars_columns, arrow_columns)
    same_kind = st.sampled_from(kinds).flatmap(lambda kind: st.tuples(kind(6), kind(2)))
    return st.one_of(same_kind, same_kind, st.tuples(any_column(6), any_column(2))).flatmap(_changes_of)


def _changes_of(columns: tuple[Any, Any]) -> st.SearchStrategy[tuple[Any, list[Change]]]:
    column, other = columns
    before, rows = _rows(column, 0, 3), _rows(column, 3, 5)
    (item,) = items_of(_rows(column, 5, 6))
    starts = [before, items_of(before), _rows(column, 0, 0), [], [before, before, before]]
    streams = st.builds(
        lambda rows, rollover: Change(rows, rollover=rollover),
        st.sampled_from([rows, items_of(rows), other]), st.sampled_from([None, None, 1, 4]),
    )  # fmt: skip
    patches = [
        (0, item), (slice(0, 2), [item, item]), (slice(None, None, 2), other), (0, rows),
        ((0, slice(1, 2)), items_of(rows)[:1]), ((1, slice(None)), _rows(column, 3, 6)),
    ]  # fmt: skip
    patching = st.sampled_from(patches).map(lambda each: Change(patches=[each]))
    several = st.lists(st.one_of(streams, patching), min_size=1, max_size=4)
    made = st.tuples(st.sampled_from(starts), several)
    return made.map(lambda drawn: (drawn[0], _that_can_be(*drawn))).filter(lambda drawn: bool(drawn[1]))


def items_of(column: Any) -> list[Any]:
    """The values by themselves, as Bokeh can show them."""
    return column.to_pylist() if isinstance(column, pa.Array | pa.ChunkedArray) else list(column)


def _rows(column: Any, start: int, stop: int) -> Any:
    return column.iloc[start:stop] if isinstance(column, pd.Series) else column[start:stop]


def _that_can_be(start: Any, changes: list[Change]) -> list[Change]:
    """Those of them that Bokeh does one after the other."""
    done: list[Change] = []
    for change in changes:
        if _can_be(start, [*done, change]):
            done.append(change)
    return done


def _can_be(start: Any, changes: list[Change]) -> bool:
    source = ColumnDataSource({"x": deepcopy(start)})
    try:
        Serializer().encode(dict(source.data))
        for change in changes:
            change(source)
            Serializer().encode(dict(source.data))
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:  # noqa: BLE001 - polars panics besides
        return False
    return True
