"""Of two equal values a session has after a move the one that it had, not the one that the next run makes."""

from __future__ import annotations

import asyncio
from copy import deepcopy
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from bokeh.core.properties import field, value
from bokeh.core.serialization import Serializer
from bokeh.document import Document
from bokeh.models import ColumnDataSource, Div, Plot, Range1d, Scatter
from harness.kinds import Level
from harness.lookalikes import lookalikes, numbers_alike
from harness.runs import Run, app_of
from harness.same import same
from hypothesis import HealthCheck, assume, given, settings

from service.documents.identical import identical, set_exactly
from service.documents.restore import Fidelity

pytestmark = [
    pytest.mark.filterwarnings("ignore:out of range integer:bokeh.util.warnings.BokehUserWarning"),
    pytest.mark.filterwarnings("ignore:no explicit representation of timezones:UserWarning"),
]
drawn = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])


def can_be_shown(made: Any) -> bool:
    try:
        Serializer().encode(made)
    except Exception:  # noqa: BLE001 - of any kind
        return False
    return True


def holds(made: Any, place: float) -> Any:
    """An app's function: the value in all kinds of properties."""

    def app(doc: Document) -> None:
        source = ColumnDataSource({"x": [deepcopy(made)], "a": [1], "b": [2]}, name="source")
        plot = Plot(name="plot", x_range=Range1d(start=place, end=9, name="range"))
        plot.add_glyph(source, Scatter(x="a", y="b", size=place, name="glyph"))
        doc.add_root(plot)
        doc.add_root(Div(name="tags", tags=[deepcopy(made), {"in": (deepcopy(made),)}]))

    return app


def seen(run: Run) -> dict[str, Any]:
    return {
        "columns": dict(run["source"].data),
        "tags": list(run["tags"].tags),
        "number": run["range"].start,
        "specification": run["glyph"].size,
    }


def assert_same(one: Run, other: Run) -> None:
    then, now = seen(one), seen(other)
    assert {name: (then[name], now[name]) for name in then if not same(then[name], now[name])} == {}


def one_after_the_other(*functions: Any) -> Any:
    left = list(functions)
    return app_of(lambda doc: (left.pop(0) if len(left) > 1 else left[0])(doc))


async def moved(first: Any, later: Any, place: float, later_place: float) -> None:
    run = await Run.begin(one_after_the_other(holds(first, place), holds(later, later_place)))

    def away() -> None:
        run["source"].data = {"x": ["other"], "a": [3], "b": [4]}
        run["tags"].tags = []
        run["range"].start, run["glyph"].size = 7, 7

    def back() -> None:
        run["source"].data = {"x": [deepcopy(first)], "a": [1], "b": [2]}
        run["tags"].tags = [deepcopy(first), {"in": (deepcopy(first),)}]
        run["range"].start, run["glyph"].size = place, place

    await run.pull()
    for change in (lambda: None, away, back):
        await run.do(change)
        run.take()
        again = await run.restored()
        assert again.session.fidelity is Fidelity.EXACT
        assert_same(run, again)
        await again.end()
    await run.end()


@drawn
@given(lookalikes(), numbers_alike)
def test_equal_values(made: tuple[Any, Any], places: tuple[float, float]) -> None:
    assume(can_be_shown(made))
    asyncio.run(moved(*made, *places))


@pytest.mark.parametrize(
    ("first", "later"),
    [([1], [1.0]), ([True], [1]), ([-0.0], [0.0]), ({"a": (1,)}, {"a": (1.0,)}), (Level.LOW, "low"),
     ({"a": 1, "b": 2}, {"b": 2, "a": 1}), ({1: 2}, {True: 2})],
)  # fmt: skip
async def test_values_that_only_types_tell_apart(first: Any, later: Any) -> None:
    await moved(first, later, 1, 1.0)
    await moved(later, first, 1.0, 1)


@pytest.mark.parametrize("later", [4, "b", value(3), value(4), field("a"), 3.0])
@pytest.mark.parametrize("first", [3, "a", value(3), field("a"), {"value": 3}, {"field": "a"}])
async def test_specifications_as_the_app_wrote_them(first: Any, later: Any) -> None:
    """Pages get the same of a number and of ``value(number)``, callbacks do not."""

    def app(size: Any) -> Any:
        def build(doc: Document) -> None:
            plot = Plot(name="plot")
            plot.add_glyph(ColumnDataSource({"a": [1], "b": [2]}), Scatter(size=size, name="glyph"))
            doc.add_root(plot)

        return build

    run = await Run.begin(one_after_the_other(app(first), app(later)))
    await run.pull()
    run.take()
    again = await run.restored()

    assert same(run["glyph"].size, again["glyph"].size)


async def test_what_replayed_callbacks_change_is_undone_to_the_very_type() -> None:
    """They run for the last value only, and what they leave may be equal to what there was."""

    def app(doc: Document) -> None:
        follower, button = Div(name="follower", tags=[1.0]), Range1d(name="range")

        def follow(attr: str, old: Any, new: Any) -> None:
            if new == 5:
                follower.tags = [0]
                follower.tags = [1]

        button.on_change("start", follow)
        doc.add_root(Plot(x_range=button))
        doc.add_root(follower)

    run = await Run.begin(app_of(app))
    await run.pull()
    await run.sent(("range", "start", 5))
    run.take()
    run.stored = {name: data for name, data in run.stored.items() if ":tags" not in name}
    again = await run.restored()

    assert same(list(again["follower"].tags), [1.0])


@drawn
@given(lookalikes())
def test_identical_is_what_nothing_tells_apart(made: tuple[Any, Any]) -> None:
    first, later = made
    assert not identical(first, later) or same(first, later)


def test_a_value_of_which_there_is_no_text() -> None:
    """Bokeh (3.9 and 3.10) makes a text of each value that it sets from JSON."""
    made = pd.MultiIndex.from_arrays([pd.Categorical([pd.NaT, pd.Timestamp(0)])] * 2)
    with pytest.raises(AttributeError):
        repr(made)
    source = ColumnDataSource({"x": [1, 2]})
    set_exactly(source, "data", {"x": made})
    assert source.data["x"] is made


def test_a_column_that_polars_panics_over() -> None:
    """In Bokeh's comparison with the one before: polars (2.1) raises what is no Exception."""
    before = pl.Series([None, None, None], dtype=pl.Struct({"a": pl.Int64}))
    made = pl.Series([None], dtype=pl.Int8)
    source = ColumnDataSource({"x": before})
    set_exactly(source, "data", {"x": made})
    assert source.data["x"] is made


PLAIN = [
    None, True, 5, 0.5, -0.0, float("nan"), "a", b"a", Level.LOW, [1, 2.0, [None, ()]], {"a": (1,), 2: [3]}
]  # fmt: skip
ARRAYS = [
    np.arange(3), np.array(["2026", "NaT"], dtype="M8[us]"), np.array([0.0, np.nan]), np.zeros((2, 0)),
    np.zeros((3, 2)).T, np.array(5), np.array([(1, 2.5)], dtype=[("a", "i4"), ("b", "f8")]),
]  # fmt: skip


@pytest.mark.parametrize("made", [*PLAIN, *ARRAYS], ids=repr)
def test_a_copy_is_identical(made: Any) -> None:
    assert identical(made, deepcopy(made))
