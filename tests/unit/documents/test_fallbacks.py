"""When a session cannot come back as it was: what is safe comes back, and never half a Document."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import os
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bokeh.document import Document
from bokeh.events import DocumentReady
from bokeh.layouts import column
from bokeh.models import ColumnDataSource, Div, Slider, Toggle
from harness.runs import Run, app_of

from service.apps.state import session_state
from service.documents.restore import Fidelity
from store.errors import RecordError


def named(
    *, more: bool = False, name: str = "slider", fails: bool = False, calls: list[Any] | None = None
) -> Any:
    """An app of one slider and what its callback says of it; variations of it."""

    def build(doc: Document) -> None:
        slider, text = Slider(start=0, end=99, value=0, name=name), Div(text="", name="text")

        def moved(attr: str, old: Any, new: Any) -> None:
            if calls is not None:
                calls.append(new)
            if fails and calls and len(calls) > 1:
                raise ValueError("no")
            text.text = f"moved to {new}"

        slider.on_change("value", moved)
        children = [slider, text, Div(text="news")] if more else [slider, text]
        doc.add_root(column(*children))
        session_state(doc).setdefault("built", True)

    return build


async def moved(build: Any) -> Run:
    run = await Run.begin(app_of(build))
    await run.pull()
    await run.sent(("slider", "value", 7))
    await run.do(lambda: setattr(run["text"], "text", "said otherwise"))
    run.take()
    return run


async def test_another_shape_keeps_the_inputs_of_named_models(caplog: pytest.LogCaptureFixture) -> None:
    first = await moved(named())

    second = await first.restored(app_of(named(more=True)))

    assert second.session.fidelity is Fidelity.PARTIAL
    assert second["slider"].value == 7
    assert second["text"].text == "moved to 7"  # what the callback makes of it, not what was there
    second.take()
    third = await second.restored()
    assert third.session.fidelity is Fidelity.EXACT
    assert third.as_is() == second.as_is()


def titled(*titles: str) -> Any:
    """An app whose inputs have no names; those of Panel have none."""

    def build(doc: Document) -> None:
        for title in titles:
            # As in Panel's templates, which name what they show by where it lies in memory.
            name = f"main-{id(title)}" if title == "b" else None
            doc.add_root(Slider(start=0, end=99, value=0, title=title, name=name))
        doc.add_root(Toggle(label="on", active=False))
        if "new" in titles:
            doc.add_root(Div(text="news"))

    return build


def by_title(run: Run) -> dict[str, Any]:
    sliders, toggles = (run.session.document.select({"type": kind}) for kind in (Slider, Toggle))
    return {model.title: model.value for model in sliders} | {model.label: model.active for model in toggles}


async def test_inputs_without_names_are_known_by_their_titles() -> None:
    run = await Run.begin(app_of(titled("a", "b", "twice", "twice")))
    await run.pull()
    for model, value in zip(run.session.document.roots, (1, 2, 3, 4, True), strict=True):
        attr = "active" if value is True else "value"
        change = {"kind": "ModelChanged", "model": {"id": model.id}, "attr": attr, "new": value}
        await run.patched({"events": [change]})
    run.take()

    changed = await run.restored(app_of(titled("new", "".join(["b"]), "twice", "a")))

    assert changed.session.fidelity is Fidelity.PARTIAL
    assert by_title(changed) == {"new": 0, "b": 2, "twice": 0, "a": 1, "on": True}


async def test_without_common_names_the_state_is_kept() -> None:
    first = await moved(named())
    session_state(first.session.document)["count"] = 3
    first.take()

    second = await first.restored(app_of(named(more=True, name="other")))

    assert second.session.fidelity is Fidelity.PARTIAL
    assert second["other"].value == 0
    assert second.state == {"built": True, "count": 3}


async def test_nothing_in_common_is_a_fresh_session() -> None:
    def other(doc: Document) -> None:
        doc.add_root(Div(text="all new"))

    def plain(doc: Document) -> None:
        doc.add_root(Slider(start=0, end=9, value=0, name="slider"))

    first = await Run.begin(app_of(plain))
    await first.pull()
    await first.sent(("slider", "value", 7))
    first.take()

    second = await first.restored(app_of(other))

    assert second.session.fidelity is Fidelity.FRESH
    fresh = await Run.begin(app_of(other))
    assert second.as_is() == fresh.as_is()


@pytest.mark.parametrize("name", ["meta", "base", "m"])
@pytest.mark.parametrize("damage", [b"", b"\xc1", b"\x93\x01\x02\x03", b"\x82\xa1v\x01\xa5value\x90"])
async def test_damage_is_a_fresh_session(name: str, damage: bytes, caplog: pytest.LogCaptureFixture) -> None:
    first = await moved(named())
    await first.do(lambda: setattr(first.session.document.roots[0], "children", [Div(text="late")]))
    first.take()
    field = next(field for field in first.stored if field.partition(":")[0] == name)
    first.stored[field] = damage

    second = await first.restored()

    assert second.session.fidelity is Fidelity.FRESH
    assert second.as_is() == (await Run.begin(first.app)).as_is()
    assert len([record for record in caplog.records if record.levelno >= logging.ERROR]) == 1


async def test_a_reference_to_nothing_is_a_fresh_session() -> None:
    first = await moved(named())
    await first.do(lambda: setattr(first.session.document.roots[0], "children", [Div(text="late")]))
    first.take()
    first.stored = {name: data for name, data in first.stored.items() if not name.startswith("m:")}

    second = await first.restored()

    assert second.session.fidelity is Fidelity.FRESH
    assert second.as_is() == (await Run.begin(first.app)).as_is()


async def test_inputs_are_replayed_with_their_callbacks_or_silently() -> None:
    calls: list[Any] = []
    first = await moved(named(calls=calls))
    await first.restored()
    assert calls == [7, 7]

    silent = await Run.begin(first.app, first.stored, replay_inputs=False)

    assert calls == [7, 7]
    assert silent.as_is() == first.as_is()


async def test_a_callback_that_fails_in_the_replay_changes_nothing_for_the_user(
    caplog: pytest.LogCaptureFixture,
) -> None:
    first = await moved(named(fails=True, calls=[]))

    second = await first.restored()

    assert second.session.fidelity is Fidelity.EXACT
    assert second.as_is() == first.as_is()
    assert sum("replaying the input" in record.message for record in caplog.records) == 1


async def test_random_data_is_what_the_user_saw() -> None:
    def build(doc: Document) -> None:
        rng = np.random.default_rng()
        days = np.datetime64("2026-01-01") + rng.integers(0, 1000, 5)
        doc.add_root(Div(text=str(random.random()), name="text"))
        table = {
            "float": rng.random(5),
            "int": rng.integers(0, 2**40, 5),
            "small": rng.integers(0, 9, 5, dtype="i2"),
            "day": days,
            "wait": rng.integers(0, 99, 5).astype("timedelta64[h]"),
            "list": rng.random(5).tolist(),
            "truth": rng.random(5) > 0.5,
            "f4": rng.random(5).astype("f4"),
            "image": [rng.random((2, 2)) for _ in range(5)],
            "uint": rng.integers(0, 2**40, 5, dtype="u8"),
            "when": [dt.datetime(2026, 1, 1, 0, 0, int(n)) for n in rng.integers(0, 60, 5)],
            "date": [dt.date(2026, 1, int(n)) for n in rng.integers(1, 28, 5)],
            "name": [str(n) for n in rng.random(5)],
        }
        source = ColumnDataSource(table, name="source")
        div = Div(name="holder", tags=[source])
        doc.add_root(div)

    first = await Run.begin(app_of(build))
    await first.pull()
    first.take()

    second = await first.restored()

    assert second.session.fidelity is Fidelity.EXACT
    assert second["text"].text == first["text"].text
    for name, column_ in first["source"].data.items():
        again = second["source"].data[name]
        assert type(again) is type(column_), name
        if isinstance(column_, np.ndarray):
            assert again.dtype == column_.dtype, name
        assert type(again[0]) is type(column_[0]), name
        np.testing.assert_array_equal(again, column_, err_msg=name)


async def test_what_was_streamed_before_the_first_pull_comes_once() -> None:
    def build(doc: Document) -> None:
        doc.add_root(Div(tags=[ColumnDataSource({"n": [0]}, name="source")]))

    for early in (True, False):
        first = await Run.begin(app_of(build))
        await first.do(lambda run=first: run["source"].stream({"n": [1]}))
        if early:
            first.take()
        await first.pull()
        await first.do(lambda run=first: run["source"].stream({"n": [2]}))
        first.take()

        second = await first.restored()

        assert second["source"].data["n"] == [0, 1, 2]


async def test_streaming_costs_about_what_was_appended() -> None:
    def build(doc: Document) -> None:
        data = {name: np.zeros(20_000) for name in ("x", "y")}
        doc.add_root(Div(tags=[ColumnDataSource(data, name="source")]))

    run = await Run.begin(app_of(build))
    await run.pull()
    run.take()
    run.written = 0
    rows = 0
    for _ in range(400):
        new = {"x": np.random.random(10), "y": np.random.random(10)}
        await run.do(run["source"].stream, new, 20_000)
        rows += 10
        run.take()

    appended = rows * 16
    assert run.written < 1.5 * appended + 400 * 200  # each time: names, types and shapes of two columns
    assert (await run.restored()).as_is() == run.as_is()


async def test_a_pushed_document_comes_back_from_the_record_alone() -> None:
    def empty(doc: Document) -> None:
        pass

    pushed = Document()
    pushed.add_root(column(Slider(start=0, end=9, value=1, name="slider"), Div(text="pushed", name="text")))
    first = await Run.begin(app_of(empty))
    await first.push({"doc": pushed.to_json(deferred=False)})
    await first.sent(("slider", "value", 5))
    await first.do(lambda: setattr(first["text"], "text", "changed"))
    first.take()

    second = await first.restored()

    assert second.session.fidelity is Fidelity.EXACT
    assert second["slider"].value == 5
    assert second.as_is() == first.as_is()


HOOKS_APP = """
from bokeh.io import curdoc
from bokeh.core.properties import Int
from bokeh.model import DataModel
from bokeh.models import Div, Slider
from service import session_state

class Settings(DataModel):
    level = Int(default=1)

said = Div(text="", name="said")
settings = Settings(level=2, name="settings")
curdoc().add_root(said)
curdoc().add_root(settings)
curdoc().add_root(Slider(start=0, end=9, value=0, name="slider"))

def add():
    said.tags = [*said.tags, Settings(level=len(said.tags) + 10)]

def tick():
    said.subtitle = "ticked"

curdoc().add_periodic_callback(add, 100000)
curdoc().add = add
"""

HOOKS = """
def on_session_created(session_context):
    session_context._document.order = ["created"]

async def on_session_restored(session_context):
    document = session_context._document
    document.order.append("restored")
    document.get_model_by_name("said").text = "restored"
"""


async def test_hooks_data_models_and_periodic_callbacks(tmp_path: Path) -> None:
    directory = tmp_path / "hooked"
    directory.mkdir()
    (directory / "main.py").write_text(HOOKS_APP)
    (directory / "app_hooks.py").write_text(HOOKS)
    first = await Run.begin(app_of(str(directory)))
    await first.pull()
    await first.do(lambda: first.session.document.add())
    await first.do(lambda: setattr(first["settings"], "level", 5))
    first.take()

    second = await first.restored()

    assert second.session.fidelity is Fidelity.EXACT
    assert second.session.document.order == ["created", "restored"]  # type: ignore[attr-defined]
    assert second["said"].text == "restored"
    assert second["settings"].level == 5
    (late,) = second["said"].tags
    assert late.level == 10
    assert type(late) is type(second["settings"])
    assert len(second.session.document.session_callbacks) == 1
    second.take()
    assert (await second.restored())["said"].text == "restored"


async def test_a_periodic_callback_runs_again() -> None:
    def build(doc: Document) -> None:
        doc.add_root(Div(text="0", name="count"))
        ticked = asyncio.Event()
        doc.ticked = ticked  # type: ignore[attr-defined]

        def tick() -> None:
            count = doc.get_model_by_name("count")
            count.text = str(int(count.text) + 1)  # type: ignore[union-attr]
            ticked.set()

        doc.add_periodic_callback(tick, 20)

    first = await Run.begin(app_of(build))
    await first.pull()
    first.take()
    second = await first.restored()
    for run in (first, second):
        await asyncio.wait_for(run.session.document.ticked.wait(), 30)  # type: ignore[attr-defined]
        await run.end()


async def test_a_panel_app_comes_back() -> None:
    """In a process of its own: Panel, once imported, has a hand in all sessions of its process."""
    script = Path(__file__).with_name("panel_app_restored.py")
    path = {"PYTHONPATH": str(Path(__file__).parents[2])}
    process = await asyncio.create_subprocess_exec(sys.executable, str(script), env={**os.environ, **path})

    assert await asyncio.wait_for(process.wait(), 100) == 0


async def test_misusing_the_state_is_said_at_once() -> None:
    run = await moved(named())
    state = session_state(run.session.document)

    with pytest.raises(RecordError):
        state["x"] = object()
    with pytest.raises(TypeError, match="text"):
        state[1] = 2  # type: ignore[index]
    with pytest.raises(RuntimeError, match="belongs to no session"):
        session_state(Document())
    assert "x" not in state


async def test_inputs_survive_one_new_version_after_the_other() -> None:
    run = await moved(named())
    for more in (True, False, True):
        run = await run.restored(app_of(named(more=more)))
        assert run.session.fidelity is Fidelity.PARTIAL
        assert run["slider"].value == 7
        run.take()


DRAWN = {
    "kind": "MessageSent",
    "msg_type": "bokeh_event",
    "msg_data": {"type": "event", "name": "document_ready", "values": {"type": "map", "entries": []}},
}


def waiting(*, more: int, name: str | None = "slider") -> Any:
    """An app that waits until its page is drawn; variations of it."""

    def build(doc: Document) -> None:
        text = Div(name="text", text="not drawn")
        doc.on_event(DocumentReady, lambda event: setattr(text, "text", "drawn"))
        for root in (Slider(start=0, end=9, value=0, name=name), text, *(Div() for _ in range(more))):
            doc.add_root(root)

    return build


async def test_each_new_version_hears_that_the_page_is_drawn() -> None:
    """BokehJS says so once, whatever becomes of the session."""
    run = await Run.begin(app_of(waiting(more=0)))
    await run.pull()
    await run.patched({"events": [DRAWN]})
    await run.sent(("slider", "value", 7))
    run.take()

    for app, fidelity in [
        (waiting(more=1), Fidelity.PARTIAL), (waiting(more=2), Fidelity.PARTIAL),
        (waiting(more=1, name=None), Fidelity.FRESH), (waiting(more=0, name=None), Fidelity.FRESH),
    ]:  # fmt: skip
        run = await run.restored(app_of(app))
        run.take()
        for each in (run, await run.restored()):
            assert each["text"].text == "drawn"
        assert run.session.fidelity is fidelity


async def test_inputs_run_their_callbacks_also_when_all_was_written_anew_since() -> None:
    """As when the store had lost everything: what only Python knows has to agree."""
    calls: list[Any] = []
    run = await moved(named(calls=calls))
    for times in (2, 3):
        assert run.session.journal is not None
        run.session.journal.lost()
        run.take()
        run = await run.restored()
        assert calls == [7] * times
        assert (run.session.fidelity, run["text"].text) == (Fidelity.EXACT, "said otherwise")


async def test_a_failing_input_is_one_at_the_next_move_too() -> None:
    """Those beside it as well: their callbacks run again, so that what only Python knows agrees."""
    calls: list[Any] = []
    run = await moved(named(fails=True, calls=calls))

    for times in (2, 3, 4):
        run = await run.restored()
        run.take()
        assert calls == [7] * times
        assert (run.session.fidelity, run["slider"].value) == (Fidelity.EXACT, 7)


async def test_without_replay_no_callback_runs_in_a_new_version_either() -> None:
    calls: list[Any] = []
    first = await Run.begin(app_of(named(calls=calls)), replay_inputs=False)
    await first.pull()
    await first.sent(("slider", "value", 7))
    first.take()

    second = await first.restored(app_of(named(more=True, calls=calls)))

    assert second.session.fidelity is Fidelity.PARTIAL
    assert (second["slider"].value, calls) == (7, [7])
