"""What a column held before a session moved, it holds afterwards, wherever it came from."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from bokeh.document import Document
from bokeh.models import ColumnDataSource, Div
from harness.kinds import SHOWN, Level
from harness.runs import Run, app_of
from harness.same import same
from hypothesis import given, settings
from hypothesis import strategies as st

from service.documents.restore import Fidelity

pytestmark = [
    pytest.mark.filterwarnings("ignore:out of range integer:bokeh.util.warnings.BokehUserWarning"),
    # What pandas and numpy say of how Bokeh takes zoned times.
    pytest.mark.filterwarnings("ignore:Series.values returning"),
    pytest.mark.filterwarnings("ignore:no explicit representation of timezones:UserWarning"),
]

SOURCES = ("drawn", "assigned", "item", "streamed", "onto")

NO_ROWS = pd.Index | pd.api.extensions.ExtensionArray | pl.Series | pa.Array | pa.ChunkedArray
"""Bokeh cannot stream these, or cannot show what becomes of them."""


def draws(first: Any, later: Any) -> Callable[[Document], None]:
    """An app whose first run gets other data than those after it."""
    runs: list[None] = []

    def app(doc: Document) -> None:
        column = later if runs else first
        runs.append(None)
        doc.add_root(ColumnDataSource({"x": deepcopy(column), "y": [1, 2, 3]}, name="drawn"))
        doc.add_root(Div(name="notes", tags=["before", {"x": deepcopy(column)}]))
        for name in SOURCES[1:]:
            start = {"streamed": {"x": []}, "onto": {"x": deepcopy(first)}}
            doc.add_root(ColumnDataSource(start.get(name, {}), name=name))

    return app


def use(run: Run, column: Any) -> None:
    """All the ways in which a column comes into a source after the app's run."""
    run["assigned"].data = {"x": deepcopy(column), "n": [1, 2, 3]}
    run["item"].data["x"] = deepcopy(column)
    if not isinstance(column, NO_ROWS):
        run["streamed"].stream({"x": deepcopy(column)})
        run["onto"].stream({"x": list(column)[:1]})
    run["notes"].tags = ["after", [column, {"deep": (deepcopy(column),)}]]


def columns(run: Run) -> dict[str, Any]:
    return {name: dict(run[name].data) for name in SOURCES} | {"notes": list(run["notes"].tags)}


def assert_same(one: Run, other: Run) -> None:
    then, now = columns(one), columns(other)
    assert {name: (then[name], now[name]) for name in then if not same(then[name], now[name])} == {}


async def check(first: Any, later: Any) -> None:
    run = await Run.begin(app_of(draws(first, later)))
    await run.pull()
    run.take()
    unused = await run.restored()
    assert unused.session.fidelity is Fidelity.EXACT
    assert_same(run, unused)

    await run.do(use, run, first)
    run.take()
    used = await run.restored()
    assert used.session.fidelity is Fidelity.EXACT
    assert_same(run, used)
    used.session.journal.lost()  # type: ignore[union-attr]
    used.take()
    assert_same(run, await used.restored())


@pytest.mark.parametrize("name", SHOWN)
async def test_a_column_is_what_it_was(name: str) -> None:
    await check(SHOWN[name], [0.5, 0.25, 0.125])


@pytest.mark.parametrize("name", SHOWN)
async def test_a_column_that_the_next_run_makes_alike(name: str) -> None:
    await check(SHOWN[name], SHOWN[name])


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(sorted(SHOWN)), st.sampled_from(sorted(SHOWN)))
def test_a_column_that_the_next_run_makes_of_another_kind(first: str, later: str) -> None:
    asyncio.run(check(SHOWN[first], SHOWN[later]))


async def test_integers_that_floats_do_not_tell_apart() -> None:
    await check(np.array([2**60, 2**60 + 1, 2**60 + 2]), np.array([2**60, 2**60, 2**60]))


@pytest.mark.parametrize("first", ["i1", "i4", "i8", "f4", "f8", "bool"])
@pytest.mark.parametrize("later", ["i1", "f8", "bool"])
async def test_equal_arrays_of_another_dtype(first: str, later: str) -> None:
    """To Bokeh, which sets nothing that is equal, they are the same."""
    await check(np.array([1, 0, 1], dtype=first), np.array([1, 0, 1], dtype=later))


async def test_patches_keep_their_types() -> None:
    run = await Run.begin(app_of(draws([1, 2, 3], [1, 2, 3])))
    await run.pull()
    await run.do(lambda: run["onto"].patch({"x": [(0, Level.LOW), (slice(1, 3), [np.int64(2**60), (1, 2)])]}))
    run.take()

    assert_same(run, await run.restored())
