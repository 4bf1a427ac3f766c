"""What callbacks did once is there once after a move, though inputs are replayed with their callbacks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from bokeh.document import Document
from bokeh.layouts import column
from bokeh.models import ColumnDataSource, Div, Slider
from harness.runs import Renumbered, Run, app_of

from service.apps.state import session_state
from service.documents.restore import Fidelity

Work = Callable[[Document, int], None]


def find(doc: Document, name: str) -> Any:
    return doc.get_model_by_name(name)


def stream(doc: Document, new: int) -> None:
    find(doc, "rows").stream({"n": [new], "v": [new / 2]})


def stream_with_rollover(doc: Document, new: int) -> None:
    find(doc, "rows").stream({"n": [new, new + 1], "v": [0.5, 0.25]}, rollover=3)


def patch(doc: Document, new: int) -> None:
    find(doc, "rows").patch({"n": [(0, find(doc, "rows").data["n"][0] + new)], "v": [(slice(1, 2), [new])]})


def stream_and_patch(doc: Document, new: int) -> None:
    stream(doc, new)
    patch(doc, new)


def append(doc: Document, new: int) -> None:
    find(doc, "notes").tags.append(new)


def assign_and_stream(doc: Document, new: int) -> None:
    find(doc, "rows").data = {"n": [new], "v": np.array([1.0])}
    stream(doc, new)


def make(doc: Document, new: int) -> None:
    doc.add_root(Div(text=f"root {new}"))
    source = ColumnDataSource({"n": [0]}, name=f"made{len(doc.roots)}")
    doc.add_root(source)
    source.stream({"n": [new]})
    layout = find(doc, "layout")
    layout.children = [*layout.children, Div(text=str(new))]


def move_a_source(doc: Document, new: int) -> None:
    """Out of the Document and into it again, in one callback."""
    rows = find(doc, "rows")
    stream(doc, new)
    doc.remove_root(rows)
    doc.add_root(rows)
    stream(doc, new)


def count(doc: Document, new: int) -> None:
    state = session_state(doc)
    state["n"] = state.get("n", 0) + 1
    find(doc, "notes").text = f"{state['n']} times"
    stream(doc, state["n"])


def title(doc: Document, new: int) -> None:
    doc.title = f"{doc.title}{new}"


def when_the_other_is_low(doc: Document, new: int) -> None:
    """Replayed in the order of their last changes, callbacks see what they did not see at first."""
    if find(doc, "second").value < 3:
        find(doc, "notes").text += f"low {new} "
        find(doc, "rows").stream({"n": [new], "v": [new]})
        doc.title = "low"


WORK: dict[str, Work] = {
    work.__name__: work
    for work in (
        stream, stream_with_rollover, patch, stream_and_patch, append, assign_and_stream, make, move_a_source,
        count, title, when_the_other_is_low,
    )
}  # fmt: skip


def works(work: Work) -> Callable[[Document], None]:
    def app(doc: Document) -> None:
        first = Slider(start=0, end=99, value=0, name="first")
        second = Slider(start=0, end=99, value=0, name="second")
        for slider in (first, second):
            slider.on_change("value", lambda attr, old, new: work(doc, new))
        doc.add_root(column(first, second, name="layout"))
        doc.add_root(Div(name="notes", tags=[0]))
        doc.add_root(ColumnDataSource({"n": [1, 2], "v": np.array([0.5, 1.5])}, name="rows"))

    return app


@pytest.mark.parametrize("taken", ["at once", "between"])
@pytest.mark.parametrize("replay_inputs", [True, False], ids=["replayed", "silent"])
@pytest.mark.parametrize("name", WORK)
async def test_what_callbacks_did_is_there_once(name: str, replay_inputs: bool, taken: str) -> None:
    run = await Run.begin(app_of(works(WORK[name])), replay_inputs=replay_inputs)
    await run.pull()
    for slider, value in (("second", 9), ("first", 5), ("first", 6), ("second", 4), ("second", 8)):
        await run.sent((slider, "value", value))
        if taken == "between":
            run.take()
    run.take()
    await goes_on_alike(run)


@pytest.mark.parametrize("name", WORK)
async def test_what_callbacks_did_before_the_page_was_drawn_is_there_once(name: str) -> None:
    run = await Run.begin(app_of(works(WORK[name])))
    await run.sent(("first", "value", 5))
    await run.pull()
    await run.sent(("second", "value", 2))
    run.take()
    await goes_on_alike(run)


def differences(one: Any, other: Any, path: str = "") -> dict[str, Any]:
    """By path, so that a failure can be read."""
    if not isinstance(one, dict) or not isinstance(other, dict):
        return {} if one == other else {path: (one, other)}
    return {
        where: both
        for key in one.keys() | other.keys()
        for where, both in differences(one.get(key), other.get(key), f"{path}/{key}").items()
    }


async def goes_on_alike(run: Run) -> None:
    """It is what it was, again after another move, and callbacks go on from there."""
    second = await run.restored()
    third = await second.restored()
    for again in (second, third):
        assert again.session.fidelity is Fidelity.EXACT
        assert differences(again.as_is(), run.as_is()) == {}
    for each in (run, third):
        await each.sent(("first", "value", 7))
    assert differences(Renumbered(third).as_is, Renumbered(run).as_is) == {}
    third.take()
    assert differences(Renumbered(await third.restored()).as_is, Renumbered(run).as_is) == {}


async def test_what_the_app_holds_of_a_column_is_the_column() -> None:
    """As before its session moved: callbacks may use their own reference to a list."""
    held: list[list[int]] = []

    def app(doc: Document) -> None:
        works(stream)(doc)
        source = find(doc, "rows")
        held.append([1, 2])
        source.data = {"n": held[-1], "v": [1, 2]}

    run = await Run.begin(app_of(app))
    await run.pull()
    await run.sent(("first", "value", 5))
    run.take()
    again = await run.restored()

    assert list(again["rows"].data["n"]) == [1, 2, 5]
    assert again["rows"].data["n"] is held[-1]
