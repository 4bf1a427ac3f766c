"""One value that cannot be kept, or read back, costs that value or its column; the rest is exact."""

from __future__ import annotations

import asyncio
import logging
import math
from typing import Any

import numpy as np
import pytest
from bokeh.document import Document
from bokeh.models import ColumnDataSource, Div, Slider
from harness.runs import Run, app_of
from hypothesis import given, settings
from hypothesis import strategies as st

from service.apps.state import session_state
from service.documents.restore import Fidelity
from store.records import pack_entry, unpack_entry


class Unknown:
    """Nothing that can be kept."""

    def __repr__(self) -> str:
        raise RuntimeError("no words for it")


def app(doc: Document) -> None:
    state = session_state(doc)
    state.setdefault("kept", [1])
    slider = Slider(start=0, end=99, value=0, name="slider")
    slider.on_change("value", lambda attr, old, new: setattr(out, "text", f"is {new}"))
    out = Div(name="out")
    doc.add_root(slider)
    doc.add_root(out)
    doc.add_root(Div(name="notes", tags=["built"]))
    doc.add_root(ColumnDataSource({"x": np.random.default_rng().random(3), "y": [1, 2, 3]}, name="rows"))


async def used() -> Run:
    run = await Run.begin(app_of(app))
    await run.pull()
    await run.sent(("slider", "value", 5))
    return run


def seen(run: Run) -> dict[str, Any]:
    return {
        "slider": run["slider"].value,
        "out": run["out"].text,
        "notes": run["notes"].tags,
        "x": list(run["rows"].data["x"]),
        "y": list(run["rows"].data["y"]),
    }


async def test_a_column_that_cannot_be_kept(caplog: pytest.LogCaptureFixture) -> None:
    run = await used()

    def change() -> None:
        columns: Any = run["rows"].data
        dict.__setitem__(columns, "y", [Unknown(), 2, 3])  # no client could be told of this
        run.session.journal._mark(run["rows"].id, "data", False, 0)  # type: ignore[union-attr]

    await run.do(change)
    run.take()
    assert run.session.journal is not None
    (loss,) = run.session.journal.losses.take()
    assert loss.startswith("data['y'] of ColumnDataSource rows: ")
    again = await run.restored()

    assert again.session.fidelity is Fidelity.EXACT
    assert list(again["rows"].data["x"]) == list(run["rows"].data["x"])
    assert [math.isnan(item) for item in again["rows"].data["y"]] == [True] * 3
    assert again["out"].text == "is 5"
    assert "this value could not be read back: data['y'] of ColumnDataSource rows" in caplog.text
    assert all(record.levelno <= logging.WARNING for record in caplog.records)


async def test_state_that_was_made_unfit_in_place() -> None:
    run = await used()
    state = session_state(run.session.document)
    state["more"] = items = [1]
    items.append(Unknown())  # type: ignore[arg-type]
    run.take()
    assert run.session.journal is not None
    (loss,) = run.session.journal.losses.take()
    assert loss.startswith("session_state['more']: ")
    again = await run.restored()
    assert again.state == {"kept": [1]}
    assert again["out"].text == "is 5"


def field_of(run: Run, prefix: str, attr: str) -> str:
    (name,) = (name for name in run.stored if name.startswith(prefix) and name.endswith(attr))
    return name


@pytest.mark.parametrize("damage", [b"", b"\xc1", b"\x81\xa1v\x01", pack_entry(None), pack_entry({"a": 1})])
@pytest.mark.parametrize("which", ["v:", "c:", "exact", "a:"])
async def test_damaged_fields_of_values(which: str, damage: bytes, caplog: pytest.LogCaptureFixture) -> None:
    run = await used()
    await run.do(lambda: setattr(run["notes"], "tags", ["set"]))
    await run.do(lambda: run["rows"].stream({"x": [0.5], "y": [4]}))
    run.take()
    before = seen(run)
    names = {"v:": field_of(run, f"v:{run['notes'].id}", "tags"), "c:": field_of(run, "c:", "")}
    run.stored[names.get(which, "a:kept" if which == "a:" else which)] = damage

    again = await run.restored()

    lost = {"v:": {"notes": ["built"]}, "c:": {"x": before["x"][:3], "y": [1, 2, 3]}}
    if which != "a:" or len(damage) < 2:  # anything is a value of the state
        assert "could not be read back" in caplog.text
    assert again.session.fidelity is Fidelity.EXACT
    assert seen(again) == before | lost.get(which, {})


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_whatever_stands_in_a_value(data: st.DataObject) -> None:
    asyncio.run(check_damage(data))


async def check_damage(data: st.DataObject) -> None:
    run = await used()
    values = [
        np.array([1, 2**60]),
        np.ma.array([1.0], mask=[1]),
        ("a", 1),
        np.array(["x", None], dtype=object),
    ]
    await run.do(lambda: setattr(run["notes"], "tags", values))
    run.take()
    name = field_of(run, f"v:{run['notes'].id}", "tags")
    entry = unpack_entry(run.stored[name])
    entry[5] = mangled(entry[5], data)
    run.stored[name] = bytes(pack_entry(entry))

    again = await run.restored()

    assert again.session.fidelity is Fidelity.EXACT
    assert again["out"].text == "is 5"
    await run.end()
    await again.end()


_junk = st.one_of(
    st.none(), st.integers(-(2**63), 2**63), st.text(), st.binary(), st.just([]), st.just({"svc": "x"})
)


def mangled(value: Any, data: st.DataObject) -> Any:
    """With one part, somewhere within, replaced by something else."""
    if not isinstance(value, list | dict) or not value or data.draw(st.booleans()):
        return data.draw(_junk)
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    key = data.draw(st.sampled_from(keys))
    copy: Any = dict(value) if isinstance(value, dict) else list(value)
    copy[key] = mangled(value[key], data)
    return copy


async def test_structure_that_is_damaged_begins_afresh() -> None:
    """Nobody is shown half a Document."""
    run = await used()
    layout = {"svc": "tuple", "value": [{"id": "p-nothing"}]}
    await run.do(lambda: setattr(run["notes"], "tags", ["set"]))
    run.take()
    name = field_of(run, f"v:{run['notes'].id}", "tags")
    entry = unpack_entry(run.stored[name])
    entry[5] = layout
    run.stored[name] = bytes(pack_entry(entry))

    assert (await run.restored()).session.fidelity is Fidelity.FRESH


async def test_a_journal_of_the_release_before_is_read() -> None:
    """Its base has no exact values beside it: those are guessed by what the app's run makes."""
    run = await used()
    run.take()
    del run.stored["exact"]
    again = await run.restored()
    assert again.session.fidelity is Fidelity.EXACT
    assert seen(again) == seen(run)
