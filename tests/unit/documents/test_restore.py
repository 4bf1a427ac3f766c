"""What a session was before it moved, it is again afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from bokeh.document import Document
from bokeh.events import DocumentReady
from bokeh.layouts import column
from bokeh.models import Circle, Div, Plot, Slider
from harness.histories import OPS, everything, play, scripts
from harness.pulls import differences
from harness.runs import Renumbered, Run, app_of
from hypothesis import given, settings

from service.documents.restore import Fidelity


def assert_same(one: Run, other: Run) -> None:
    there, here = Renumbered(other), Renumbered(one)
    assert differences(there.as_is, here.as_is) == {}
    # What is set to its default, and what is not set, are the same but for the JSON.
    seen = differences(there.as_seen, here.as_seen)
    assert {path: both for path, both in seen.items() if None not in both} == {}
    assert other.session._execution.id_count == one.session._execution.id_count


async def check(script: list[tuple[str, int]], more: list[tuple[str, int]]) -> None:
    first = await Run.begin(app_of(everything))
    await first.pull()
    await play(first, script)
    first.take()
    second = await first.restored()
    assert second.session.fidelity is Fidelity.EXACT
    assert_same(first, second)
    more = [(name, n) for name, n in more if name != "toggle_log"]
    await play(first, more)
    await play(second, more)
    assert_same(first, second)
    second.take()
    third = await second.restored()
    assert_same(second, third)
    for run in (first, second, third):
        await run.end()


WRITTEN_WHOLE: dict[str, Callable[[Run], Awaitable[object]]] = {
    "seen by a page": Run.pull,
    "assigned": lambda run: play(run, [("assign_stream", 3)]),
    "all written anew": lambda run: play(run, [("lost", 0)]),
    "not written": lambda run: play(run, []),
}


@pytest.mark.parametrize("change", ["stream", "patch"])
@pytest.mark.parametrize("how", WRITTEN_WHOLE)
@pytest.mark.parametrize("policy", ["collect", "combine"])
async def test_rows_that_the_app_holds_back_come_back_once(change: str, how: str, policy: str) -> None:
    """Whole columns that are written meanwhile have them already."""
    run = await Run.begin(app_of(everything))
    await run.pull() if how != "seen by a page" else None
    await run.do(lambda: run.session.document.hold(policy))
    await play(run, [(change, 1)])
    await WRITTEN_WHOLE[how](run)
    run.take()
    await play(run, [(change, 4)])
    await run.do(run.session.document.unhold)
    await play(run, [(change, 7)])
    run.take()

    again = await run.restored()
    assert repr(dict(again["stream"].data)) == repr(dict(run["stream"].data))


@settings(deadline=None, max_examples=20)
@given(scripts, scripts)
def test_whatever_happened_comes_back(script: list[tuple[str, int]], more: list[tuple[str, int]]) -> None:
    asyncio.run(check(script, more))


@pytest.mark.parametrize("name", sorted(OPS))
async def test_each_kind_of_change(name: str) -> None:
    await check([(name, 3), ("take", 0), (name, 4)], [(name, 5)])


@pytest.mark.parametrize("name", sorted(OPS))
async def test_each_kind_of_change_before_all_is_written_anew(name: str) -> None:
    await check([(name, 4), ("lost", 0)], [(name, 7)])


def waits_for_its_page(doc: Document) -> None:
    """An app that makes a model, and begins a clock, when its page is drawn."""
    doc.add_root(column(name="layout"))
    doc.add_root(Div(text="not drawn", name="text"))

    def drawn(event: Any) -> None:
        layout: Any = doc.get_model_by_name("layout")
        layout.children = [Slider(start=0, end=9, value=0, name="late")]
        text: Any = doc.get_model_by_name("text")
        text.text = "drawn"
        doc.add_periodic_callback(lambda: None, 60_000)

    doc.on_event(DocumentReady, drawn)


DRAWN = {"kind": "MessageSent", "msg_type": "bokeh_event", "msg_data": {
    "type": "event", "name": "document_ready", "values": {"type": "map", "entries": []}}}  # fmt: skip


async def test_the_app_hears_again_that_its_page_is_drawn() -> None:
    """BokehJS says so once, and not when the page comes back."""
    first = await Run.begin(app_of(waits_for_its_page))
    await first.pull()
    await first.patched({"events": [DRAWN]})
    await first.sent(("late", "value", 5))
    await first.do(lambda: setattr(first["text"], "text", "later"))
    first.take()

    second = await first.restored()
    third = await second.restored()

    for run in (second, third):
        assert run.session.fidelity is Fidelity.EXACT
        assert len(run.session.document.session_callbacks) == 1
        assert run.as_seen() == first.as_seen()
        assert run["text"].text == "later"


async def test_an_app_whose_page_is_not_drawn_yet_goes_on_waiting() -> None:
    first = await Run.begin(app_of(waits_for_its_page))
    await first.pull()
    first.take()

    second = await first.restored()

    assert second["text"].text == "not drawn"
    await second.patched({"events": [DRAWN]})
    assert second["text"].text == "drawn"


async def test_units_that_were_another_at_first_come_back() -> None:
    """The base has them within the specification, where they would go before those that came later."""

    def build(doc: Document) -> None:
        plot = Plot(name="plot")
        plot.add_glyph(Circle(x="x", y="y", radius=3, radius_units="screen", name="circles"))
        doc.add_root(plot)

    first = await Run.begin(app_of(build))
    await first.pull()
    await first.do(lambda: setattr(first["circles"], "radius_units", "data"))
    first.take()

    second = await first.restored()

    assert_same(first, second)
    assert second["circles"].radius == 3


async def test_a_model_that_came_later_and_lost_a_child_since() -> None:
    first = await Run.begin(app_of(everything))
    await first.pull()
    row = column(Div(text="stays"), Div(text="goes"))
    await first.do(lambda: setattr(first["made"], "children", [row]))
    first.take()
    await first.do(lambda: setattr(row, "children", row.children[:1]))
    first.take()

    second = await first.restored()

    assert second.session.fidelity is Fidelity.EXACT
    assert_same(first, second)


@pytest.mark.parametrize("written", [False, True], ids=["", "that was written"])
async def test_a_root_that_left_with_what_had_been_added_to_it(written: bool) -> None:
    """As an app does that shows another page: the base has the child, and nothing else knows it any more."""

    def build(doc: Document) -> None:
        doc.add_root(column(name="page"))

    first = await Run.begin(app_of(build))
    page = first["page"]
    await first.do(lambda: setattr(page, "children", [Div(text="added")]))
    await first.pull()
    if written:
        first.take()
    await first.do(lambda: first.session.document.add_root(Div(text="another page")))
    await first.do(lambda: first.session.document.remove_root(page))
    first.take()

    second = await first.restored()

    assert second.session.fidelity is Fidelity.EXACT
    assert_same(first, second)
