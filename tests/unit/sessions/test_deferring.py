"""What callbacks put off is done before a journal is laid over it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from bokeh.document import Document, without_document_lock

from service.apps.execution import Execution
from service.apps.imports import ImportSpace
from service.documents import curdoc
from service.sessions import deferring
from service.sessions.deferring import Deferred


@pytest.fixture(autouse=True)
def _installed() -> Iterator[None]:
    curdoc.install()
    yield
    for task in list(deferring._running):
        task.cancel()


def a_document() -> tuple[Document, Deferred]:
    document = Document()
    return document, Deferred(document, Execution(ImportSpace(None), None, document))


async def test_it_is_done_in_its_order_and_with_all_that_follows() -> None:
    document, deferred = a_document()
    done: list[str] = []

    def more() -> None:
        done.append("tick")
        document.add_next_tick_callback(lambda: done.append("following"))

    document.add_timeout_callback(lambda: done.append("timeout"), 50)
    document.add_next_tick_callback(more)
    await deferred.done()

    assert done == ["tick", "timeout", "following"]
    assert document.session_callbacks == []


async def test_the_apps_own_clock_is_left_alone() -> None:
    document, deferred = a_document()
    done: list[str] = []
    document.add_timeout_callback(lambda: done.append("later"), 5000)
    document.add_periodic_callback(lambda: done.append("again"), 10)
    await deferred.done()

    assert done == []
    assert len(document.session_callbacks) == 2


async def test_coroutines_are_awaited_with_and_without_the_lock() -> None:
    document, deferred = a_document()
    done: list[str] = []

    async def locked() -> None:
        await asyncio.sleep(0)
        done.append("locked")

    @without_document_lock
    async def unlocked() -> None:
        await asyncio.sleep(0.01)
        document.add_next_tick_callback(lambda: done.append("unlocked"))

    document.add_next_tick_callback(locked)
    document.add_next_tick_callback(unlocked)
    await deferred.done()

    assert sorted(done) == ["locked", "unlocked"]


async def test_a_coroutine_without_an_end_goes_on_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deferring, "TURN_SECONDS", 0.001)
    document, deferred = a_document()
    going_on = asyncio.Event()
    turns: list[int] = []

    @without_document_lock
    async def feed() -> None:
        while True:
            await going_on.wait()
            going_on.clear()
            turns.append(1)

    document.add_next_tick_callback(feed)
    async with asyncio.timeout(30):
        await deferred.done()
    going_on.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert turns


async def test_callbacks_that_put_off_without_an_end_do_not_hold_it_up() -> None:
    document, deferred = a_document()

    def again() -> None:
        document.add_next_tick_callback(again)

    document.add_next_tick_callback(again)
    async with asyncio.timeout(30):
        await deferred.done()
    assert len(document.session_callbacks) == 1


async def test_one_that_fails_is_counted_and_the_others_run() -> None:
    document, deferred = a_document()
    done: list[str] = []
    document.add_next_tick_callback(lambda: 1 / 0)
    document.add_timeout_callback(lambda: done.append("other"), 1)
    await deferred.done()

    assert deferred.failed == 1
    assert done == ["other"]
