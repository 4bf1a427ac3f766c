"""Columns of any dtype that numpy, pandas, polars and pyarrow have come back as they were."""

from __future__ import annotations

import asyncio
from copy import deepcopy
from typing import Any

import pytest
from bokeh.document import Document
from bokeh.models import ColumnDataSource, Div
from harness.generated import (
    Change,
    any_column,
    arrow_columns,
    changed_columns,
    items_of,
    numpy_columns,
    pandas_columns,
    polars_columns,
)
from harness.runs import Run, app_of
from harness.same import same
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from service.documents.restore import Fidelity
from service.documents.values import ValueReader, ValueWriter
from store.records import pack_entry, unpack_entry

pytestmark = [
    pytest.mark.filterwarnings("ignore:out of range integer:bokeh.util.warnings.BokehUserWarning"),
    # What pandas and numpy say of how Bokeh takes zoned times.
    pytest.mark.filterwarnings("ignore:Series.values returning"),
    pytest.mark.filterwarnings("ignore:no explicit representation of timezones:UserWarning"),
    # Of Hypothesis, on the strategies themselves.
    pytest.mark.filterwarnings("ignore:Generating overly large repr"),
]
drawn = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])


def through_the_store(value: Any) -> Any:
    packed = pack_entry(ValueWriter().encode(value))
    return ValueReader(()).decode(unpack_entry(packed))


def check(column: Any) -> None:
    assert same(through_the_store(column), column)
    assert same(through_the_store({"in": [column, (column,)]}), {"in": [column, (column,)]})
    items = items_of(column)
    assert same(through_the_store({"in": (items, tuple(items))}), {"in": (items, tuple(items))})


@drawn
@given(st.integers(0, 4).flatmap(numpy_columns))
def test_columns_of_numpy(column: Any) -> None:
    check(column)


@drawn
@given(st.integers(0, 4).flatmap(pandas_columns))
def test_columns_of_pandas(column: Any) -> None:
    check(column)


@drawn
@given(st.integers(0, 4).flatmap(polars_columns))
def test_columns_of_polars(column: Any) -> None:
    check(column)


@drawn
@given(st.integers(0, 4).flatmap(arrow_columns))
def test_columns_of_pyarrow(column: Any) -> None:
    check(column)


@settings(drawn, max_examples=30)
@given(any_column(3), any_column(3))
def test_a_session_with_any_column(first: Any, later: Any) -> None:
    """In all places, whatever the next run makes in its place."""
    asyncio.run(moved(first, later))


def app_of_columns(*columns: Any) -> Any:
    """An app whose runs get one of these each; the last one again and again."""
    left = list(columns)

    def app(doc: Document) -> None:
        column = deepcopy(left.pop(0) if len(left) > 1 else left[0])
        doc.add_root(ColumnDataSource({"x": column, "y": [1, 2, 3]}, name="drawn"))
        doc.add_root(ColumnDataSource({}, name="assigned"))
        doc.add_root(Div(name="tags", tags=["built", {"x": deepcopy(column)}]))

    return app_of(app)


async def shown(*columns: Any) -> Run:
    """A session of such an app, which somebody looks at. What Bokeh cannot show is no example."""
    run = await Run.begin(app_of_columns(*columns))
    try:
        await run.pull()
    except Exception:  # noqa: BLE001 - of any kind, as it comes from pandas, polars or pyarrow
        await run.end()
        reject()
    return run


async def moved(first: Any, later: Any) -> None:
    await (await shown(later)).end()
    run = await shown(first, later)

    def use() -> None:
        run["assigned"].data = {"x": deepcopy(first), "y": [1, 2, 3]}
        run["tags"].tags = ["set", [first, {"deep": (deepcopy(first),)}]]

    for _ in range(2):
        run.take()
        again = await run.restored()
        assert again.session.fidelity is Fidelity.EXACT
        assert_same(run, again)
        await again.end()
        await run.do(use)
    await run.end()


def assert_same(one: Run, other: Run) -> None:
    for name, attr in {"drawn": "data", "assigned": "data", "tags": "tags"}.items():
        then, now = getattr(one[name], attr), getattr(other[name], attr)
        assert same(dict(then), dict(now)) if attr == "data" else same(list(then), list(now))


# -- streamed and patched --------------------------------------------------------------------


@settings(drawn, max_examples=40)
@given(changed_columns(), any_column(3), st.integers(0, 4), st.integers(0, 4))
def test_columns_that_are_streamed_into_and_patched(
    made: tuple[Any, list[Change]], later: Any, pulled_at: int, taken_at: int
) -> None:
    """Whenever somebody looks first, and whenever they are written."""
    column, changes = made
    steps: list[Any] = [*changes]
    steps.insert(pulled_at, "pull")
    steps.insert(taken_at, "take")
    asyncio.run(streamed(column, steps, later))


async def streamed(column: Any, steps: list[Any], later: Any) -> None:
    await (await shown(later)).end()
    left = [column, later]

    def app(doc: Document) -> None:
        doc.add_root(ColumnDataSource({"x": deepcopy(left.pop(0) if len(left) > 1 else later)}, name="drawn"))

    run = await Run.begin(app_of(app))
    for step in steps:
        match step:
            case "pull":
                await run.pull()
            case "take":
                run.take()
            case _:
                await run.do(lambda change=step: change(run["drawn"]))
    run.take()
    await assert_restored(run)
    await run.end()


async def assert_restored(run: Run) -> None:
    """Also from what the next owner writes, and from all written anew."""
    again = await run.restored()
    assert again.session.fidelity is Fidelity.EXACT
    assert same(dict(run["drawn"].data), dict(again["drawn"].data))
    again.session.journal.lost()  # type: ignore[union-attr]
    again.take()
    third = await again.restored()
    assert same(dict(run["drawn"].data), dict(third["drawn"].data))
    await again.end()
    await third.end()
