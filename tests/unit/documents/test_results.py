"""What functions return comes back as it was, or is refused."""

from __future__ import annotations

import collections
import dataclasses
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from bokeh.models import Div
from harness.kinds import COLUMNS, SINGLE
from harness.same import same

from service.documents.arguments import code_digest, key_of
from service.documents.results import MIN_ARROW_TEXTS, packed_result, unpacked_result
from store.records import pack_entry


def again(value: Any) -> Any:
    return unpacked_result(bytes(packed_result(value)))


@pytest.mark.parametrize("kind", [*SINGLE, *COLUMNS])
def test_columns_and_single_values(kind: str) -> None:
    value = {**SINGLE, **COLUMNS}[kind]
    assert same(again(value), value)


@pytest.mark.parametrize(
    "value",
    [
        None, True, 1, 2**70, 1.5, float("inf"), "x", b"x", bytearray(b"x"), [1, [2]], (1, (2,)), {1, 2},
        frozenset({1}), {"a": 1, 2: {"svc": "array"}}, slice(1, None), range(3), Decimal("1.50"),
        np.arange(6).reshape(2, 3).T, np.ma.masked_array([1, 2], [True, False]),
        np.array([("x", 1)], dtype=[("name", "U3"), ("count", "i4")]),
    ],
    ids=repr,
)  # fmt: skip
def test_plain_data_and_arrays(value: Any) -> None:
    assert same(again(value), value)


FRAMES: dict[str, pd.DataFrame] = {
    "empty": pd.DataFrame(),
    "no rows": pd.DataFrame({"a": pd.array([], dtype="Int64")}),
    "no columns": pd.DataFrame(index=pd.Index([3, 4], name="key")),
    "dtypes": pd.DataFrame(
        {
            "int8": np.array([1, -1], dtype="i1"),
            "nullable": pd.array([1, None], dtype="Int32"),
            "truth": pd.array([True, None], dtype="boolean"),
            "zone": pd.to_datetime(["2026-03-29 00:30", "2026-03-29 01:30"], utc=True).tz_convert(
                "Europe/Berlin"
            ),
            "naive": pd.to_datetime(["2026-01-01", None]),
            "span": pd.to_timedelta([1, None], unit="s"),
            "month": pd.period_range("2026-01", periods=2, freq="M"),
            "kind": pd.Categorical(["b", None], categories=["c", "b"], ordered=True),
            "text": ["é", None],
            "python": pd.array(["x", None], dtype="string[python]"),
            "objects": pd.Series([{"a": 1}, None], dtype=object),
            "old texts": pd.Series(["x", "y"], dtype=object),
            "arrow": pd.array([1, None], dtype="int64[pyarrow]"),
            "sparse": pd.arrays.SparseArray([0, 1]),
            "interval": pd.interval_range(0, 2),
        }
    ),
    "index of several levels": pd.DataFrame(
        {("a", 1): [1, 2], ("b", 2): [3, 4]},
        index=pd.MultiIndex.from_tuples([("x", 1), ("y", 2)], names=["name", None]),
    ),
    "columns with one name": pd.DataFrame([[1, 2.5]], columns=["a", "a"]),
    "names that are no texts": pd.DataFrame({0: [1], None: [2], ("a",): [3]}),
    "an index with a frequency": pd.DataFrame(
        {"a": [1, 2, 3]}, index=pd.date_range("2026", periods=3, freq="D", name="day")
    ),
    "many texts": pd.DataFrame({"a": ["x", None, "é"] * MIN_ARROW_TEXTS}),
    "many texts, old": pd.DataFrame({"a": pd.array(["x", None] * MIN_ARROW_TEXTS, dtype="string[python]")}),
}


@pytest.mark.parametrize("name", FRAMES)
def test_pandas_frames(name: str) -> None:
    frame = FRAMES[name]
    found = again(frame)

    pd.testing.assert_frame_equal(found, frame, check_freq=True, check_column_type=True)
    assert [str(each) for each in found.dtypes] == [str(each) for each in frame.dtypes]
    assert found.columns.names == frame.columns.names
    if found.size:
        found.iloc[0, 0] = found.iloc[-1, 0]  # it can be changed


def test_polars_and_arrow_frames() -> None:
    frame = pl.DataFrame(
        {"a": [1, None], "kind": pl.Series(["x", "y"], dtype=pl.Categorical), "list": [[1], []]}
    )
    table = pa.table({"a": [1, None], "b": pa.array(["x", "y"]).dictionary_encode()}).replace_schema_metadata(
        {"from": "here"}
    )

    assert again(frame).equals(frame)
    assert again(frame).schema == frame.schema
    assert again(table).equals(table, check_metadata=True)
    batch = table.to_batches()[0]
    assert again(batch).equals(batch)


class Row(collections.UserDict[str, int]):
    pass


class Frame(pd.DataFrame):
    pass


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (object(), "builtins.object"),
        (Div(), "bokeh.models"),
        ([(each for each in "x")], "builtins.generator .*: return a list"),
        (collections.OrderedDict(a=1), "collections.OrderedDict"),
        (Row(), "Row"),
        (Frame(), "Frame"),
        (pl.LazyFrame(), "LazyFrame .*: collect"),
        (print, "builtin_function"),
        (pl.DataFrame({"a": [object()]}), "polars.DataFrame cannot be stored"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_would_not_come_back_as_it_was_is_refused(value: Any, text: str) -> None:
    with pytest.raises(TypeError, match=text):
        packed_result(value)


def test_a_list_within_itself_is_refused() -> None:
    items: list[Any] = []
    items.append(items)
    with pytest.raises(TypeError, match="contains itself"):
        packed_result(items)
    with pytest.raises(TypeError, match="contains itself"):
        key_of(items)


@pytest.mark.parametrize(
    "record",
    [
        {"type": "object", "name": "Div", "attributes": {"text": "made by the store"}},
        {"id": "p1"},
        {"type": "ndarray", "array": [1], "shape": [1], "dtype": "object", "order": "little"},
        {"svc": "array", "value": b"12345678", "dtype": "|O", "shape": [1]},
        {"svc": "DataFrame", "value": [1, 2, 3]},
        {"svc": "unheard of", "value": 1},
    ],
    ids=lambda record: str(record)[:30],
)
def test_what_nobody_of_us_wrote_makes_nothing(record: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        unpacked_result(bytes(pack_entry(record)))
    with pytest.raises(ValueError, match="damaged"):
        unpacked_result(b"\x80\x05\x95")  # as a pickle begins


# -- keys --------------------------------------------------------------------------------------


@dataclasses.dataclass
class Filter:
    column: str
    values: list[int]


Point = collections.namedtuple("Point", "x y")


def test_equal_arguments_have_one_key() -> None:
    frame = FRAMES["dtypes"]
    pairs: list[tuple[Any, Any]] = [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({"a", "b", "c"}, {"c", "b", "a"}),
        (np.arange(4), np.arange(8)[:4].copy()),
        (np.arange(6).reshape(2, 3).T, np.ascontiguousarray(np.arange(6).reshape(2, 3).T)),
        (frame, frame.copy()),
        ((..., 0), (..., 0)),
        (Path("/a"), Path("/a")),
        (Filter("a", [1]), Filter("a", [1])),
        (Point(1, 2), Point(1, 2)),
    ]
    for one, other in pairs:
        assert key_of(one) == key_of(other)


def test_different_arguments_have_different_keys() -> None:
    frame = pd.DataFrame({"a": [1, 2]})
    values: list[Any] = [
        None, False, 0, 0.0, -0.0, "", "0", b"", b"0", [], (), {}, set(), frozenset(), [0], (0,), [[0]],
        {0: 0},
        np.array([0]), np.array([0], dtype="i4"), np.array([[0]]), np.int64(0), "a", Path("a"), Point(1, 2),
        (1, 2), Filter("a", [1]), Filter("a", [2]), frame, frame.rename(columns={"a": "b"}), frame.iloc[::-1],
        frame.set_index("a"), frame.astype("Int64"), pl.DataFrame({"a": [1, 2]}), pa.table({"a": [1, 2]}),
    ]  # fmt: skip
    assert len({key_of(value) for value in values}) == len(values)
    assert key_of(["a"], "b") != key_of("a", ["b"])


def test_large_arrays_are_looked_at_to_the_end() -> None:
    one = np.zeros(1_000_000)
    other = one.copy()
    other[-1] = 1

    assert key_of(one) != key_of(other)


def test_what_says_nothing_is_refused() -> None:
    for value in (object(), print, [object()], {"a": object()}, {object()}):
        with pytest.raises(TypeError, match="cannot be stored"):
            key_of(value)


def test_code_digests() -> None:
    def of(source: str) -> str:
        names: dict[str, Any] = {}
        exec(source, names)
        return code_digest(names["f"], {})

    same_code = of("def f(x):\n    return x in {'a', 'b', 'c'}\n")
    assert same_code == of("def f(x):\n    # a comment\n    return x in {'c', 'b', 'a'}\n")
    others = {
        of(f"def f(x):\n    {body}\n")
        for body in ("return 1", "return 2", "return 1.0", "return x", "return (lambda: x + 1)()",
                     "return (lambda: x + 2)()", "return len(x)", "return min(x)", "return ...",
                     "return x[..., 0]", "return x[..., 1]", "return x in (None, ...)")
    }  # fmt: skip
    assert len(others) == 12
