"""Callbacks that were added while a session ran work after a move, or it is known that they do not."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Any
from unittest.mock import Mock

import pytest
from bokeh.document import Document, without_document_lock
from bokeh.events import ModelEvent
from bokeh.layouts import column
from bokeh.models import Button, Column, Div, Select, Slider, TextInput
from harness.runs import Run, app_of

from service.apps.state import session_state
from service.documents.entries import Stored
from service.documents.history import write_event
from service.documents.values import ValueReader
from service.documents.wiring import Input


class Rows:
    """An app with rows of controls, which different things add and remove."""

    def __init__(self, doc: Document) -> None:
        self.doc = doc
        self.count = 0
        self.out = Div(name="out", text="")
        self.rows = Column(name="rows")
        add, drop, reset, timed = (Button(name=name) for name in ("add", "drop", "reset", "timed"))
        add.on_click(self.add)
        drop.on_click(self.drop)
        self.on_reset: Callable[[], object] = lambda: None
        reset.on_click(lambda: self.on_reset() and None)
        timed.on_click(lambda: doc.add_timeout_callback(self.add, 60_000) and None)
        start, stop = Button(name="start"), Button(name="stop")
        start.on_click(self.start)
        stop.on_click(lambda: doc.remove_periodic_callback(self.ticking))
        choice = Select(name="choice", options=["", "a", "b"], value="")
        choice.on_change("value", self.choose)
        self.label = TextInput(name="label", value="")
        self.number = Slider(name="number", start=0, end=99, value=0)
        self.number.on_change("value", self.remake)
        doc.add_root(
            column(add, drop, reset, timed, start, stop, choice, self.label, self.number, self.out, self.rows)
        )

    def add(self) -> None:
        self.count += 1
        self.row(f"{self.count}{self.label.value}")

    def row(self, name: str) -> None:
        slider = Slider(name=f"row {name}", start=0, end=10, value=0)
        slider.on_change("value", lambda attr, old, new: setattr(self.out, "text", f"{name}: {new}"))
        button = Button(name=f"button {name}")
        button.on_click(partial(self.say, name))
        self.rows.children = [*self.rows.children, column(slider, button)]

    def say(self, name: str) -> None:
        self.out.text = f"clicked {name}"

    def drop(self) -> None:
        self.rows.children = self.rows.children[1:]

    def choose(self, attr: str, old: str, new: str) -> None:
        if new:
            self.row(new)
            self.choice.value = ""

    @property
    def choice(self) -> Any:
        return self.doc.get_model_by_name("choice")

    def remake(self, attr: str, old: int, new: int) -> None:
        self.rows.children = []
        self.row(f"of {new}")

    def start(self) -> None:
        self.ticking = self.doc.add_periodic_callback(self.tick, 60_000)

    def tick(self) -> None:
        self.out.text = "tick"


def rows(doc: Document) -> None:
    Rows(doc)


async def click(run: Run, name: str) -> None:
    values = {"type": "map", "entries": [["model", {"id": run[name].id}]]}
    event = {"type": "event", "name": "button_click", "values": values}
    await run.patched({"events": [{"kind": "MessageSent", "msg_type": "bokeh_event", "msg_data": event}]})


async def moved(run: Run) -> Run:
    """What is seen is the same on the next replica."""
    run.take()
    seen = run.as_is()
    after = await run.restored()
    assert after.as_is() == seen
    return after


async def test_rows_that_clicks_added_work_after_moves() -> None:
    run = await Run.begin(app_of(rows))
    await run.pull()
    await click(run, "add")
    await run.sent(("row 1", "value", 4))
    await click(run, "add")
    await run.sent(("label", "value", " of mine"))
    await click(run, "add")
    await run.sent(("label", "value", "changed since"))

    for n in (1, 2):  # the second time from a journal that the first owner left
        run = await moved(run)
        assert run.session.pages.messages == []
        assert run["row 1"].value == 4 + n - 1
        await run.sent(("row 2", "value", n))
        assert run["out"].text == f"2: {n}"
        await click(run, "button 3 of mine")
        assert run["out"].text == "clicked 3 of mine"
        await run.sent(("row 1", "value", 4 + n))

    await click(run, "add")  # its own count goes on
    assert "row 4changed since" in run


@pytest.mark.parametrize("turns", [(0, 1), (1, 0)])
async def test_inputs_whose_work_is_put_off_take_other_turns_when_they_are_repeated(
    turns: tuple[int, int],
) -> None:
    """As in Panel, which handles clicks later: two of them are under way at once on a busy machine."""

    def later(doc: Document) -> None:
        app = Rows(doc)
        for n in (0, 1):
            button = Button(name=f"later {n}")
            button.on_click(partial(put_off, app, n))
            doc.add_root(button)

    def put_off(app: Rows, n: int) -> None:
        def work() -> None:
            if not waiting[n].is_set():
                app.doc.add_next_tick_callback(work)
            else:
                app.row(f"of {n}")

        app.doc.add_next_tick_callback(work)

    waiting = [asyncio.Event(), asyncio.Event()]
    run = await Run.begin(app_of(later))
    await run.pull()
    await click(run, "later 0")
    await click(run, "later 1")
    for n in turns:
        waiting[n].set()
        while f"row of {n}" not in run:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0)

    run = await moved(run)

    assert run.session.pages.messages == []
    for n in (0, 1):
        await run.sent((f"row of {n}", "value", 7 + n))
        assert run["out"].text == f"of {n}: {7 + n}"


async def test_rows_that_were_removed_stay_away_and_the_others_work() -> None:
    run = await Run.begin(app_of(rows))
    await run.pull()
    for name in ("add", "add", "drop", "add"):
        await click(run, name)

    run = await moved(run)

    assert run.session.pages.messages == []
    await click(run, "button 3")
    assert run["out"].text == "clicked 3"
    await click(run, "drop")
    assert [child.children[0].name for child in run["rows"].children] == ["row 3"]


async def test_pages_of_a_wizard_find_what_was_set_on_those_before() -> None:
    """They are no longer in the Document then; nor is the button, nor the menu that leads on by itself."""

    def wizard(doc: Document) -> None:
        chosen: list[float] = []
        said = Div(name="said")

        def number_page(title: str) -> Column:
            number, onward = Slider(name=title, start=0, end=9, value=0), Button(name=f"on from {title}")
            number.on_change("value", lambda attr, old, new: setattr(said, "text", f"{chosen} {new}"))

            def leave() -> None:
                chosen.append(number.value)
                page.children = [number_page("second") if len(chosen) == 1 else menu_page()]

            onward.on_click(leave)
            return column(number, onward)

        def menu_page() -> Column:
            menu = Select(name="menu", options=["", "a", "b"], value="")

            def leave(attr: str, old: str, new: str) -> None:
                end = Button(name="end")
                end.on_click(lambda: setattr(said, "text", f"{chosen} {menu.value}"))
                page.children = [end]

            menu.on_change("value", leave)
            return column(menu)

        page = column(number_page("first"))
        doc.add_root(column(page, said))

    run = await Run.begin(app_of(wizard))
    await run.pull()
    await run.sent(("first", "value", 3))
    await click(run, "on from first")

    run = await moved(run)
    await run.sent(("second", "value", 4))
    assert run["said"].text == "[3] 4"
    run.take()
    await click(run, "on from second")
    await run.sent(("menu", "value", "b"))

    for _ in range(2):
        run = await moved(run)
        await click(run, "end")
        assert run["said"].text == "[3, 4] b"
        assert run.session.pages.messages == []


async def test_many_rows_are_made_again_in_their_order() -> None:
    run = await Run.begin(app_of(rows))
    await run.pull()
    for _ in range(12):
        await click(run, "add")

    run = await moved(run)

    assert run.session.pages.messages == []
    for n in (2, 11):
        await click(run, f"button {n}")
        assert run["out"].text == f"clicked {n}"


async def test_a_choice_that_is_set_back_is_repeated() -> None:
    run = await Run.begin(app_of(rows))
    await run.pull()
    await run.sent(("choice", "value", "a"))
    await run.sent(("choice", "value", "b"))

    run = await moved(run)

    await click(run, "button a")
    assert run["out"].text == "clicked a"
    await click(run, "button b")
    assert run["out"].text == "clicked b"


async def test_a_slider_that_makes_controls_anew_is_in_the_journal_once() -> None:
    run = await Run.begin(app_of(rows))
    await run.pull()
    for number in range(1, 30):
        await run.sent(("number", "value", number))
        run.take()

    assert sum(name.startswith("h:") for name in run.stored) == 1
    assert sum(name.startswith("k:") for name in run.stored) == 2
    run = await moved(run)
    await click(run, "button of 29")
    assert run["out"].text == "clicked of 29"


async def test_what_was_started_goes_on_and_what_was_stopped_does_not() -> None:
    run = await Run.begin(app_of(rows))
    await run.pull()
    await click(run, "start")
    run = await moved(run)
    assert len(run.session.document.session_callbacks) == 1
    assert run.session.pages.messages == []

    await click(run, "stop")
    run = await moved(run)
    assert run.session.document.session_callbacks == []
    assert run.session.pages.messages == []


async def test_what_stopped_by_itself_is_not_started_again() -> None:
    def app(doc: Document) -> None:
        doc.hidden = Rows(doc)  # type: ignore[attr-defined]

    run = await Run.begin(app_of(app))
    await run.pull()
    await click(run, "start")
    await run.do(lambda: run.session.document.remove_periodic_callback(run.session.document.hidden.ticking))

    run = await moved(run)

    assert run.session.document.session_callbacks == []
    assert run.session.pages.messages == []


async def test_what_a_timer_made_is_named(caplog: pytest.LogCaptureFixture) -> None:
    def app(doc: Document) -> None:
        made = Rows(doc)
        doc.hidden = made.add  # type: ignore[attr-defined]

    run = await Run.begin(app_of(app))
    await run.pull()
    await run.do(run.session.document.hidden)
    run.take()

    with caplog.at_level(logging.WARNING):
        run = await run.restored()

    (message,) = run.session.pages.messages
    assert "no longer work" in message.title
    (line,) = [each.getMessage() for each in caplog.records if "callbacks were lost" in each.getMessage()]
    assert "value of Slider 'row 1'" in line
    assert "test_wiring.py" in line
    assert run.session.meter.callbacks_lost._value.get() == 2

    run.take()
    again = await run.restored()
    assert len(again.session.pages.messages) == 1  # they are as dead as before


async def test_a_callback_that_would_work_on_another_row_is_dropped() -> None:
    """The count is of all clicks, but only those are repeated that made something."""

    def app(doc: Document) -> None:
        made = Rows(doc)
        made.on_reset = lambda: setattr(made, "count", made.count + 10)

    run = await Run.begin(app_of(app))
    await run.pull()
    await click(run, "add")
    await click(run, "reset")
    await click(run, "add")
    assert "row 12" in run
    run = await moved(run)

    assert len(run.session.pages.messages) == 1
    await click(run, "button 1")
    assert run["out"].text == "clicked 1"
    await click(run, "button 12")
    assert run["out"].text == "clicked 1"


async def test_what_callbacks_look_at_when_they_run_may_have_changed_since() -> None:
    def app(doc: Document) -> None:
        made, factor = Rows(doc), 1

        def add() -> None:
            row = Slider(name="row", start=0, end=9, value=0)
            row.on_change("value", lambda attr, old, new: setattr(made.out, "text", str(new * factor)))
            made.rows.children = [row]

        def change(attr: str, old: int, new: int) -> None:
            nonlocal factor
            factor = new

        made.label.on_change("value", lambda attr, old, new: change(attr, 0, int(new)))
        made.on_reset = add

    run = await Run.begin(app_of(app))
    await run.pull()
    await click(run, "reset")
    await run.sent(("label", "value", "3"))
    run = await moved(run)

    assert run.session.pages.messages == []
    await run.sent(("row", "value", 2))
    assert run["out"].text == "6"


async def test_a_hook_wires_up_what_nothing_else_could(monkeypatch: pytest.MonkeyPatch) -> None:
    def app(doc: Document) -> None:
        made = Rows(doc)
        doc.hidden = made.add  # type: ignore[attr-defined]

    served = app_of(app)

    async def restored(context: Any, execution: Any) -> None:
        document = execution.document
        document.get_model_by_name("row 1").on_change("value", lambda attr, old, new: None)
        document.get_model_by_name("button 1").on_click(lambda: None)

    monkeypatch.setattr(served, "restored", restored)
    run = await Run.begin(served)
    await run.pull()
    await run.do(run.session.document.hidden)
    run.take()

    run = await run.restored()

    assert run.session.pages.messages == []


async def test_without_replay_callbacks_of_inputs_count_as_lost() -> None:
    run = await Run.begin(app_of(rows), replay_inputs=False)
    await run.pull()
    await click(run, "add")
    run = await moved(run)

    assert len(run.session.pages.messages) == 1


async def test_the_history_has_bounds() -> None:
    run = await Run.begin(app_of(rows))
    await run.pull()
    for _ in range(210):
        await click(run, "add")
        await click(run, "drop")

    run.take()

    assert len(Stored.unpack(run.stored).history) == 200  # type: ignore[union-attr]
    assert not run.session.journal.dirty  # type: ignore[union-attr]


async def test_the_state_does_not_suffer() -> None:
    def app(doc: Document) -> None:
        made = Rows(doc)
        state = session_state(doc)

        def add(attr: str, old: int, new: int) -> None:
            state["n"] = state.get("n", 0) + 1
            made.row(str(state["n"]))

        adder = Slider(name="adder", start=0, end=9, value=0)
        adder.on_change("value", add)
        doc.add_root(adder)

    run = await Run.begin(app_of(app))
    await run.pull()
    await run.sent(("adder", "value", 1))
    await run.sent(("adder", "value", 2))
    run = await moved(run)

    assert run.state == {"n": 2}
    assert run.session.pages.messages == []
    await click(run, "button 1")
    assert run["out"].text == "clicked 1"


async def test_what_is_kept_of_an_object_has_all_that_ever_changed() -> None:
    """It is written as a whole: what was written before, and is not now, would be lost."""
    asked: list[dict[str, set[str]]] = []
    run = await Run.begin(app_of(rows))
    await run.pull()
    objects: Any = Mock(made_anew=lambda document, models: set())
    objects.read = lambda document, changed: asked.append(changed) or {}
    run.session.journal._objects = objects  # type: ignore[union-attr]
    number = run["number"].id

    for attr in ("disabled", "visible"):
        await run.do(lambda attr=attr: setattr(run["number"], attr, attr == "disabled"))
        run.take()

    assert [changed[number] for changed in asked] == [{"disabled"}, {"disabled", "visible"}]


async def test_clicks_are_kept_as_they_are_once_they_are_handled() -> None:
    """Panel counts them when it handles them. What is written before that has the count of before."""
    handling, asked = asyncio.Event(), []

    def later(doc: Document) -> None:
        async def handle() -> None:
            await handling.wait()
            asked.append("handled")

        button = Button(name="later")
        button.on_click(lambda: doc.add_next_tick_callback(without_document_lock(handle)) and None)
        doc.add_root(button)

    run = await Run.begin(app_of(later))
    await run.pull()
    objects: Any = Mock(made_anew=lambda document, models: set())
    objects.read = lambda document, changed: asked.extend(changed) or {}
    objects.clicks = lambda model: asked.count("handled")
    run.session.journal._objects = objects  # type: ignore[union-attr]

    await click(run, "later")
    run.take()
    handling.set()
    while not run.session.journal.dirty:  # type: ignore[union-attr]  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0)
    run.take()

    assert asked == [run["later"].id, "handled", run["later"].id]

    source = Input()
    source.clicked.add(run["later"].id)
    run.session.journal.note_clicks(source)  # type: ignore[union-attr]
    assert not run.session.journal.dirty, "what follows from a click for ever is not written for ever"  # type: ignore[union-attr]


class Said(ModelEvent):
    """As Panel's events of chats and tables: its ``event_values`` are those of its base."""

    event_name = "test_said"

    def __init__(self, model: Any, text: str | None = None) -> None:
        self.text = text
        super().__init__(model=model)


def test_events_are_kept_with_all_that_they_are_made_from() -> None:
    button = Button()
    kept = ValueReader([button]).decode(write_event(Said(button, "hello")))
    assert isinstance(kept, Said)
    assert (kept.model, kept.text) == (button, "hello")
