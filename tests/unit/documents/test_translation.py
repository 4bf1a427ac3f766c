"""A journal that other versions of Bokeh or of an extension wrote: each value comes back, or is named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from bokeh.document import Document
from bokeh.layouts import column
from bokeh.models import ColumnDataSource, Div, Select, Slider, TextInput
from harness.runs import Run, app_of

from service.documents.restore import Fidelity
from store.records import pack_entry, unpack_entry


def app(*, more: int = 0, options: tuple[str, ...] = ("a", "b")) -> Callable[[Document], None]:
    """The same app as versions build it: with `more` models before the others."""

    def build(doc: Document) -> None:
        extra = [Div(text="of this version") for _ in range(more)]
        slider = Slider(start=0, end=99, value=0, title="unnamed")
        text, select = TextInput(name="text"), Select(name="select", options=list(options), value="a")
        twice, source = Div(name="twice"), ColumnDataSource({"x": [1, 2]}, name="source")
        slider.on_change("value", lambda attr, old, new: setattr(twice, "text", f"twice {2 * new}"))
        doc.add_root(column(*extra, slider, text, select, twice))
        doc.add_root(source)

    return build


async def used(build: Callable[[Document], None]) -> Run:
    run = await Run.begin(app_of(build))
    await run.pull()
    slider = run.session.document.select_one({"type": Slider})
    moved = {"kind": "ModelChanged", "model": {"id": slider.id}, "attr": "value", "new": 7}
    await run.patched({"events": [moved]})
    await run.sent(("text", "value", "typed"), ("select", "value", "b"))
    await run.do(lambda: run["source"].stream({"x": [3]}))
    run.take()
    return run


def by_others(stored: dict[str, bytes], **meta: Any) -> dict[str, bytes]:
    """As another version would have written it."""
    written = unpack_entry(stored["meta"]) | {"made_with": "3.8.0 00000000", **meta}
    return stored | {"meta": bytes(pack_entry(written))}


async def restored(first: Run, build: Callable[[Document], None], **meta: Any) -> Run:
    app_now = app_of(build)
    stored = by_others(first.stored, version=app_now.version, **meta)
    return await Run.begin(app_now, stored)


def shown(run: Run) -> dict[str, Any]:
    slider = run.session.document.select_one({"type": Slider})
    return {
        "slider": slider.value,
        "text": run["text"].value,
        "select": run["select"].value,
        "twice": run["twice"].text,
        "x": list(run["source"].data["x"]),
    }


ALL = {"slider": 7, "text": "typed", "select": "b", "twice": "twice 14", "x": [1, 2, 3]}


@pytest.mark.parametrize("more", [0, 3])
async def test_values_come_back_whatever_ids_their_models_have_now(more: int) -> None:
    second = await restored(await used(app()), app(more=more))
    assert shown(second) == ALL
    assert second.session.pages.losses == []
    assert second.session.fidelity is Fidelity.EXACT
    divs = second.session.document.select({"type": Div})
    assert sum(each.text == "of this version" for each in divs) == more


async def test_what_was_translated_is_written_again_and_restored_once_more() -> None:
    second = await restored(await used(app()), app(more=2))
    second.take()
    assert unpack_entry(second.stored["meta"])["made_with"] != "3.8.0 00000000"
    third = await Run.begin(second.app, second.stored)
    assert shown(third) == ALL


async def test_a_property_of_another_version_costs_only_itself(caplog: pytest.LogCaptureFixture) -> None:
    first = await used(app())
    name = f"v:{first['text'].id}:value"
    newer = f"{name.rpartition(':')[0]}:of_a_later_version"
    first.stored[newer] = first.stored[name]
    second = await restored(first, app())
    assert shown(second) == ALL
    (loss,) = second.session.pages.losses
    assert loss == "of_a_later_version of TextInput text: this version does not know it"
    assert second.session.fidelity is Fidelity.PARTIAL
    (warned,) = [each for each in caplog.records if "restored without" in each.message]
    assert warned.levelname == "WARNING"
    assert not [each for each in caplog.records if each.exc_info]


async def test_a_part_that_is_gone_is_named() -> None:
    def without_text(doc: Document) -> None:
        app()(doc)
        (text,) = doc.select({"name": "text"})
        text.name, text.title = "other", "other"
        doc.roots[0].children = [each for each in doc.roots[0].children if each is not text]

    second = await restored(await used(app()), without_text)
    (loss,) = second.session.pages.losses
    assert "value of TextInput text" in loss
