"""Many sessions are told of one message in few turns of threads, and yet each as if it were alone."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from bokeh.document import Document
from bokeh.io import curdoc
from bokeh.models import Div
from harness.runs import Run, app_of

from service import fleet
from service.apps import batched_calls
from service.apps.app import App
from service.apps.batched_calls import batches_end
from service.apps.worker_pool import WorkerPool
from service.fleet.store_thread import StoreThread
from service.fleet.topics import Topics
from service.metrics import Metrics
from store.connect import open_store

SESSIONS = 40


@pytest.fixture
async def pool() -> AsyncIterator[WorkerPool]:
    made = WorkerPool(4)
    made.open()
    yield made
    made.close()


@pytest.fixture
async def topics() -> AsyncIterator[Topics]:
    store = open_store(None)
    thread = StoreThread(store.twin)
    yield Topics(thread, Metrics())
    await asyncio.to_thread(thread.close)
    await store.close()


class Room:
    """Sessions of one app. ``told`` is called first, with the session's name and what was published."""

    def __init__(
        self, pool: WorkerPool, topics: Topics, told: Callable[[str, Any], Any] = lambda name, value: None
    ) -> None:
        self.turns = 0
        """Of threads."""
        self.app: App = app_of(self._build)
        self.app.run_on(pool.workers(self.app.path, self._turn_begins))
        self.app.server_context.publishes(topics)
        self.runs: list[Run] = []
        self._told = told

    def _turn_begins(self, waited: float) -> None:
        self.turns += 1

    def _build(self, doc: Document) -> None:
        shown = Div(name="shown", text="")
        doc.add_root(shown)

        def show(value: Any) -> Awaitable[None] | None:
            assert curdoc() is doc
            try:
                result: Awaitable[None] | None = self._told(doc.session_context.id, value)
            finally:
                shown.text += f"{value} "
            return result

        fleet.subscribe("news", show)

    async def filled(self, count: int = SESSIONS) -> Room:
        self.runs = [await Run.begin(self.app, name=f"{number}") for number in range(count)]
        return self

    async def publish(self, value: int) -> None:
        await self.runs[0].do(lambda: fleet.publish("news", value))

    async def all_show(self, text: str, but: str = "") -> None:
        runs = [run for run in self.runs if run.session.id != but]
        async with asyncio.timeout(30):
            # No event of anybody's.
            while any(run.session.locked or run["shown"].text.strip() != text for run in runs):  # noqa: ASYNC110
                await asyncio.sleep(0.005)

    async def end(self) -> None:
        for run in self.runs:
            await run.end()


async def test_sessions_at_rest_share_turns_of_threads(pool: WorkerPool, topics: Topics) -> None:
    room = await Room(pool, topics).filled()
    await room.publish(1)
    await room.all_show("1")

    before = room.turns
    await room.publish(2)
    await room.all_show("1 2")

    # One publishes, which may not be at rest when its turn has come, and of the others sixteen at a time.
    assert room.turns - before <= 2 + -(-SESSIONS // 16)
    await room.end()


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3)])
async def test_one_that_fails_takes_nothing_from_the_others(
    pool: WorkerPool, topics: Topics, error: BaseException
) -> None:
    def told(name: str, value: Any) -> None:
        if name == "5":
            raise error

    room = await Room(pool, topics, told).filled()

    await room.publish(1)
    await room.all_show("1")
    await room.publish(2)

    await room.all_show("1 2")
    await room.end()


async def test_nobody_waits_for_one_that_blocks(pool: WorkerPool, topics: Topics) -> None:
    blocks, goes_on = threading.Event(), threading.Event()

    def told(name: str, value: Any) -> None:
        if name == "5":
            blocks.set()
            assert goes_on.wait(20)

    room = await Room(pool, topics, told).filled()
    blocked = room.runs[5].session
    await room.publish(1)

    await room.all_show("1", but="5")
    assert blocks.is_set()
    assert blocked.locked
    assert blocked.at_work
    assert blocked.document.select_one({"name": "shown"}).text == ""

    goes_on.set()
    await room.all_show("1")
    assert not blocked.at_work
    await room.end()


async def test_one_that_is_given_up_gives_its_turn_back(pool: WorkerPool, topics: Topics) -> None:
    blocks, goes_on = threading.Event(), threading.Event()

    def told(name: str, value: Any) -> None:
        if name == "5":
            blocks.set()
            goes_on.wait(20)

    room = await Room(pool, topics, told).filled()
    blocked = room.runs.pop(5).session
    await room.publish(1)
    await room.all_show("1")

    blocked.disown()
    blocked.give_up_code()

    async with asyncio.timeout(30):
        while blocked.locked:  # noqa: ASYNC110 - no event of anybody's
            await asyncio.sleep(0.005)
    await room.publish(2)
    await room.all_show("1 2")
    goes_on.set()
    await room.end()


async def test_what_a_plain_function_gives_to_await_keeps_the_lock(pool: WorkerPool, topics: Topics) -> None:
    goes_on = asyncio.Event()

    def told(name: str, value: Any) -> Awaitable[None] | None:
        return wait() if name == "5" else None

    async def wait() -> None:
        await goes_on.wait()

    room = await Room(pool, topics, told).filled()
    await room.publish(1)

    await room.all_show("1", but="5")
    assert room.runs[5].session.locked

    goes_on.set()
    await room.all_show("1")
    await room.end()


async def test_who_is_at_work_is_told_afterwards(pool: WorkerPool, topics: Topics) -> None:
    room = await Room(pool, topics).filled(3)
    goes_on = asyncio.Event()
    working = asyncio.create_task(room.runs[2].session.with_document_locked(goes_on.wait))
    await asyncio.sleep(0)

    await room.publish(1)
    await room.all_show("1", but="2")
    assert room.runs[2]["shown"].text == ""

    goes_on.set()
    await working
    await room.all_show("1")
    await room.end()


async def test_who_waits_for_the_batches_goes_on_when_all_are_told(
    pool: WorkerPool, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batched_calls, "SLOW_CALL_SECONDS", 60.0)
    begun, go_on = threading.Event(), threading.Event()

    def told(name: str, value: Any) -> None:
        if value == 2 and name == "1":
            begun.set()
            assert go_on.wait(20)

    room = await Room(pool, topics, told).filled()
    await room.publish(1)
    await room.all_show("1")

    await room.publish(2)
    assert await asyncio.to_thread(begun.wait, 20)
    waiting = asyncio.create_task(batches_end(60))
    await batches_end(0.01)  # as long as it may take
    assert not waiting.done()
    go_on.set()
    await waiting
    assert all(run["shown"].text.strip() == "1 2" for run in room.runs[1:])  # the first one publishes
    await batches_end(60)
    await room.end()
