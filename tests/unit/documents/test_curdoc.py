"""`curdoc()` per context. Fails when Bokeh keeps its stack elsewhere than we replace it."""

from __future__ import annotations

import asyncio
import weakref

import bokeh.io.state
import pytest
from bokeh.document import Document
from bokeh.io import curdoc
from bokeh.io.doc import patch_curdoc, set_curdoc
from bokeh.io.state import curstate
from harness.runs import Run, app_of

from service.documents import curdoc as ours
from service.documents import ids
from service.documents.ids import IdSpace, current_ids


@pytest.fixture(autouse=True)
def _installed() -> None:
    ours.install()


def test_curdoc_is_the_document_of_the_context() -> None:
    document = Document()
    token = ours.current_documents.set((weakref.ref(document),))

    assert curdoc() is document

    ours.current_documents.reset(token)
    assert curdoc() is not document


def test_bokehs_own_patch_nests_within() -> None:
    outer, inner = Document(), Document()
    with patch_curdoc(outer):
        with patch_curdoc(inner):
            assert curdoc() is inner
        assert curdoc() is outer


async def test_a_task_that_awaits_does_not_show_its_document_to_others() -> None:
    first, second = Document(), Document()
    both_inside = asyncio.Barrier(2)

    async def callback(document: Document) -> Document:
        with patch_curdoc(document):
            await both_inside.wait()
            return curdoc()

    assert await asyncio.gather(callback(first), callback(second)) == [first, second]


def test_a_callback_that_fails_leaves_nothing_behind_in_the_context_around_it() -> None:
    document = Document()

    async def fail() -> None:
        with patch_curdoc(document):
            raise LookupError

    with pytest.raises(LookupError):
        asyncio.run(fail())

    assert curdoc() is not document


def test_installing_twice_keeps_what_is_there() -> None:
    document = Document()
    with patch_curdoc(document):
        ours.install()
        assert curdoc() is document


def test_the_default_document_has_no_ids_of_whoever_meets_it_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bokeh.io.state, "_STATE", None)
    ids.install()
    space = IdSpace("session")
    token = current_ids.set(space)
    try:
        ours.install()
        curstate()
    finally:
        current_ids.reset(token)

    assert space.count == 0


async def test_what_an_app_makes_the_default_document_is_not_so_for_others() -> None:
    before = curdoc()

    def as_panel_does(doc: Document) -> None:
        set_curdoc(doc)

    run = await Run.begin(app_of(as_panel_does))

    assert curdoc() is before
    await run.end()
