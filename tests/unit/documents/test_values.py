"""What is written to the store comes back as Python had it: values, and types as far as promised."""

from __future__ import annotations

import copy
import datetime as dt
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from bokeh.core.property.vectorization import Field, Value
from bokeh.core.serialization import DeserializationError
from bokeh.models import ColumnDataSource, Div, LinearColorMapper
from harness.kinds import COLUMNS, SINGLE
from harness.same import same
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as np_st

from service.documents.values import ValueReader, ValueWriter
from store.records import pack_entry, unpack_entry


def through_the_store(value: Any, *models: Any) -> Any:
    packed = pack_entry(ValueWriter().encode(value))
    return ValueReader(models).decode(unpack_entry(packed))


UTC = dt.timezone.utc  # noqa: UP017
EAST = dt.timezone(dt.timedelta(hours=5, minutes=30))

VALUES: dict[str, Any] = {
    "nothing": None,
    "truth": True,
    "int": 7,
    "beyond the safe integers of JavaScript": 2**53 + 1,
    "beyond 64 bits": -(2**90),
    "nan": math.nan,
    "inf": math.inf,
    "-inf": -math.inf,
    "minus zero": -0.0,
    "text": "naïve ☃",
    "half a surrogate pair": "\ud83d",
    "bytes": b"\x00\xff",
    "empty": [[], (), {}, "", b""],
    "list of everything": [1, 2.5, "x", None, True, [2**70, (1, 2)], {"a": (1,)}],
    "big ints in a list": [1, 2**63, -(2**63), -(2**63) - 1],
    "tuple": (1, (2, [3, (4,)])),
    "set": {1, 2, 3},
    "set of tuples": {(1, "a"), (2, "b")},
    "dict with keys of all kinds": {"a": 1, 2: "b", (3, "c"): 4.5, None: 5, dt.date(2026, 1, 1): 6},
    "a dict that looks like ours": {"svc": "array", "value": [1], "dtype": "x", "shape": []},
    "a dict that looks like Bokeh's": {"type": "ref", "id": "p1"},
    "a dict that looks like a reference": {"id": "p1"},
    "date": dt.date(2026, 11, 21),
    "naive datetime": dt.datetime(2026, 11, 21, 1, 2, 3, 456789),
    "datetime in UTC": dt.datetime(2026, 11, 21, 1, 2, 3, tzinfo=UTC),
    "datetime elsewhere": dt.datetime(2026, 11, 21, 1, 2, 3, 4, tzinfo=EAST),
    "time": dt.time(1, 2, 3, 4),
    "time elsewhere": dt.time(1, 2, 3, tzinfo=EAST),
    "timedelta": dt.timedelta(days=-3, microseconds=1),
    "timestamp": pd.Timestamp("2026-11-21 01:02:03.123456789"),
    "timestamp elsewhere": pd.Timestamp("2026-11-21 01:02:03", tz="Europe/Berlin"),
    "pandas timedelta": pd.Timedelta(days=1, nanoseconds=3),
    "NaT": pd.NaT,
    "NA": pd.NA,
    "a list with dates": [dt.date(2026, 1, 1), None, pd.NaT, dt.datetime(2026, 1, 1)],
    "datetime64": np.datetime64("2026-11-21T01:02:03.123456789", "ns"),
    "datetime64 in days": np.datetime64("2026-11-21", "D"),
    "timedelta64": np.timedelta64(5, "h"),
    "slice": slice(1, None, 2),
    "array of text": np.array(["a", "ünï", ""]),
    "array of bytes": np.array([b"a", b"bcd"]),
    "array of NaT": np.array(["2026-01-01", "NaT"], dtype="datetime64[ns]"),
    "array of timedeltas with NaT": np.array([1, "NaT"], dtype="timedelta64[s]"),
    "array without items": np.empty((0, 3), dtype="f4"),
    "array of objects": np.array([1, "a", None, 2**80, dt.date(2026, 1, 1)], dtype=object),
    "array of objects in two dimensions": np.array([[1, "a"], [None, (1, 2)]], dtype=object),
    "array of arrays": np.array([np.arange(2), np.arange(3.0), None], dtype=object),
    "empty array of objects": np.empty((0,), dtype=object),
    "every other": np.arange(10)[::2],
    "columns first": np.asfortranarray(np.arange(6).reshape(2, 3)),
    "big-endian": np.arange(4, dtype=">i4"),
    "images": [np.arange(12, dtype="uint32").reshape(3, 4), np.zeros((2, 2), dtype="u1")],
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES.keys())
def test_comes_back_as_it_was(value: Any) -> None:
    assert same(through_the_store(value), value)


@pytest.mark.parametrize("unit", ["Y", "M", "D", "h", "m", "s", "ms", "us", "ns"])
@pytest.mark.parametrize("kind", ["datetime64", "timedelta64"])
def test_dates_keep_their_unit(kind: str, unit: str) -> None:
    array = np.array([1, 2, 3]).astype(f"{kind}[{unit}]")

    assert same(through_the_store(array), array)


@settings(deadline=None, max_examples=150)
@given(np_st.arrays(
    dtype=st.one_of(
        np_st.boolean_dtypes(), np_st.integer_dtypes(endianness="?"), np_st.floating_dtypes(endianness="?"),
        np_st.complex_number_dtypes(), np_st.datetime64_dtypes(), np_st.timedelta64_dtypes(),
        np_st.unicode_string_dtypes(), np_st.byte_string_dtypes(),
    ),
    shape=np_st.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4),
))  # fmt: skip
def test_any_array(array: np.ndarray[Any, Any]) -> None:
    assert same(through_the_store(array), array)
    assert same(through_the_store(array.T), array.T)


_plain = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(st.characters()), st.binary(),
    st.dates(), st.datetimes(), st.times(), st.timedeltas(),
)  # fmt: skip
_keys = st.one_of(st.text(), st.integers(), st.dates(), st.tuples(st.text(), st.integers()))


@settings(deadline=None, max_examples=300)
@given(st.recursive(
    _plain,
    lambda inner: st.one_of(
        st.lists(inner), st.tuples(inner, inner), st.dictionaries(_keys, inner), st.lists(_keys).map(set)
    ),
    max_leaves=12,
))  # fmt: skip
def test_any_nesting(value: Any) -> None:
    assert same(through_the_store(value), value)


@pytest.mark.parametrize("value", SINGLE.values(), ids=SINGLE.keys())
def test_single_values_come_back_as_they_were(value: Any) -> None:
    assert same(through_the_store(value), value)
    assert same(through_the_store({"in": [value, (value,)]}), {"in": [value, (value,)]})


@pytest.mark.parametrize("column", COLUMNS.values(), ids=COLUMNS.keys())
def test_columns_come_back_as_they_were(column: Any) -> None:
    assert same(through_the_store(column), column)


def test_a_masked_array_can_be_copied_afterwards() -> None:
    array = np.ma.MaskedArray(np.zeros(2, "timedelta64[25Y]"), mask=[False, True])
    ValueWriter().encode(array)
    assert copy.deepcopy(array).mask.tolist() == [False, True]


def test_models_are_references() -> None:
    div, source = Div(), ColumnDataSource()
    value = {"of": [div, (source, div)], div: 1}
    writer = ValueWriter()
    writer.encode(value)

    again = through_the_store(value, div, source)

    assert list(writer.models.values()) == [div, source]
    assert again["of"][0] is div
    assert again["of"][1] == (source, div)
    assert again[div] == 1


def test_an_unknown_model_is_an_error() -> None:
    with pytest.raises(DeserializationError, match="can't resolve reference"):
        through_the_store([Div()])


def test_data_specs() -> None:
    mapper = LinearColorMapper(palette=["red", "blue"])
    for spec in (Field("x"), Value(3), Field("y", transform=mapper), Value((1, 2), units="screen")):
        div = Div()
        again = through_the_store(spec, mapper, div)

        assert again == spec


def test_a_namespace_becomes_a_dict() -> None:
    assert through_the_store(SimpleNamespace(a=1)) == {"a": 1}
