"""A page that was shown a Document, and is told what has changed since, sees what it is by now."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from bokeh.document import Document
from bokeh.layouts import column
from bokeh.models import ColumnDataSource, CustomJS, Div, Slider, TextInput
from harness.histories import everything, play, scripts
from harness.pulls import differences, leave_out_defaults, pulled
from harness.runs import Run, app_of
from hypothesis import given, settings

from service.documents.composing import changes_since
from service.documents.encoding import encode_document


def shown(document: Document) -> str:
    return encode_document(document, inline=True)[0]


def told(before: str, changes: str) -> Document:
    page = Document.from_json(json.loads(before)["doc"])
    if changes:
        page.apply_json_patch(json.loads(changes))
    return page


def assert_same(document: Document, page: Document) -> None:
    there, here = pulled(shown(document), ()), pulled(shown(page), ())
    leave_out_defaults(document, here, there)
    # What does not hang in the Document (any more), and what was made for this page alone, is not looked at.
    assert not differences(here["models"], there["models"])
    assert (here["roots"], here["title"]) == (there["roots"], there["title"])


@settings(deadline=None, max_examples=15)
@given(scripts, scripts)
def test_whatever_happened(script: list[tuple[str, int]], more: list[tuple[str, int]]) -> None:
    async def check() -> None:
        run = await Run.begin(app_of(everything))
        await play(run, script)
        document = run.session.document
        before = shown(document)
        await play(run, more)
        changes = changes_since(before, document)
        if changes is None:
            assert pulled(before, ())["roots"] != pulled(shown(document), ())["roots"]
        else:
            assert_same(document, told(before, changes))
        await run.end()

    asyncio.run(check())


@pytest.fixture
def document() -> Document:
    made = Document()
    made.add_root(column(Div(name="text", text="one"), TextInput(name="entry"), name="layout"))
    made.add_root(ColumnDataSource({"x": [1, 2]}, name="source"))
    return made


def named(document: Document, name: str) -> Any:
    return document.get_model_by_name(name)


def test_nothing_has_changed(document: Document) -> None:
    assert changes_since(shown(document), document) == ""


def test_only_what_has_changed_is_told(document: Document) -> None:
    before = shown(document)
    named(document, "text").text = "two"

    (event,) = json.loads(changes_since(before, document) or "")["events"]

    assert event == {
        "kind": "ModelChanged", "model": {"id": named(document, "text").id}, "attr": "text", "new": "two",
    }  # fmt: skip


def test_what_is_as_by_default_again_is_told(document: Document) -> None:
    named(document, "entry").update(value="typed", title="title")
    before = shown(document)
    named(document, "entry").update(value="", title="")

    assert_same(document, told(before, changes_since(before, document) or ""))


def test_new_models_are_described_once(document: Document) -> None:
    before = shown(document)
    layout, new = named(document, "layout"), Slider(start=0, end=9, value=4)
    layout.children = [new, *layout.children]
    layout.tags = [new]

    assert_same(document, told(before, changes_since(before, document) or ""))


@pytest.mark.parametrize("what", ["roots", "callbacks", "types"])
def test_what_changes_do_not_do_is_pulled_anew(document: Document, what: str) -> None:
    before = shown(document)
    match what:
        case "roots":
            document.add_root(Div())
        case "callbacks":
            document.js_on_event("document_ready", CustomJS(code="return 1"))
        case "types":
            before = before.replace("TextInput", "PasswordInput")

    assert changes_since(before, document) is None
