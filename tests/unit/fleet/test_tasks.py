"""``fleet.every``: the real parts of two replicas over the embedded store."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
from bokeh.document import Document
from harness.runs import Run, app_of

from service import fleet
from service.apps.app import App
from service.fleet.store_thread import StoreThread
from service.fleet.tasks import Tasks
from store.connect import open_store
from store.errors import StoreUnavailable
from store.redis_store import RedisStore


def nothing(doc: Document) -> None:
    return


class Replica:
    def __init__(self, store: RedisStore, name: str) -> None:
        self.thread = StoreThread(store.twin)
        self.tasks = Tasks(self.thread, name)
        self.app: App = app_of(nothing)
        self.app.server_context.shares(None, self.tasks.of(self.app))

    async def every(self, *args: Any, **options: Any) -> None:
        await self.app.run(lambda: fleet.every(*args, **options))


class Runs:
    """What a task's function was given."""

    def __init__(self) -> None:
        self.seen: list[fleet.TaskRun] = []
        self._news = threading.Event()

    def __call__(self, run: fleet.TaskRun) -> None:
        self.seen.append(run)
        self._news.set()

    async def are(self, count: int) -> None:
        async with asyncio.timeout(30):
            while len(self.seen) < count:
                await asyncio.to_thread(self._news.wait, 0.2)
                self._news.clear()


@pytest.fixture
async def store() -> AsyncIterator[RedisStore]:
    store = open_store(None)
    yield store
    await store.close()


@pytest.fixture
async def replicas(store: RedisStore) -> AsyncIterator[tuple[Replica, Replica]]:
    both = Replica(store, "a"), Replica(store, "b")
    yield both
    for each in both:
        await asyncio.to_thread(each.thread.close)


async def test_one_of_two_replicas_runs_each(replicas: tuple[Replica, Replica]) -> None:
    runs = Runs()
    for each in replicas:
        await each.every("1s", runs, name="tick")
    await runs.are(3)

    dues = [each.due for each in runs.seen]
    fences = [each.fence for each in runs.seen]
    assert dues == sorted(set(dues))
    assert fences == sorted(set(fences))


async def test_what_a_run_raises_is_known_and_the_next_comes(
    replicas: tuple[Replica, Replica], store: RedisStore, caplog: pytest.LogCaptureFixture
) -> None:
    runs = Runs()

    async def fails(run: fleet.TaskRun) -> None:
        runs(run)
        raise ValueError(f"number {len(runs.seen)}")

    await replicas[0].every(1, fails)
    await runs.are(2)

    (task,) = await store.tasks()
    assert (task.name.app, task.name.name, task.schedule, task.owner) == ("/app", "fails", "1s", "a")
    assert task.error.startswith("ValueError: number ")
    labels = {"app": "/app", "task": "fails", "outcome": "failed"}
    counted = replicas[0].tasks.meter.registry
    assert (counted.get_sample_value("svc_task_runs_total", labels) or 0) >= 1
    assert any("the task 'fails' failed" in each.message for each in caplog.records)


async def test_due_times_without_a_store_are_counted_as_missed(
    replicas: tuple[Replica, Replica], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, asked, gone = Runs(), 0, threading.Event()
    here = replicas[0]
    await here.every("1s", runs, name="tick")
    await runs.are(1)

    async def away(*_: Any, **__: Any) -> Any:
        nonlocal asked
        asked += 1
        if asked == 4:  # a second lies between two
            gone.set()
        raise StoreUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(here.thread._store, "begin_task", away)
        assert await asyncio.to_thread(gone.wait, 60)
        before = len(runs.seen)
    await runs.are(before + 1)

    labels = {"app": "/app", "task": "tick"}
    assert (here.tasks.meter.registry.get_sample_value("svc_task_missed_runs_total", labels) or 0) >= 1


async def test_a_function_without_arguments_gets_none(replicas: tuple[Replica, Replica]) -> None:
    ran = asyncio.Event()

    async def plain() -> None:
        ran.set()

    await replicas[0].every("1s", plain)
    async with asyncio.timeout(30):
        await ran.wait()


async def test_a_replica_that_stops_begins_nothing_and_lets_runs_end(
    replicas: tuple[Replica, Replica],
) -> None:
    here, there = replicas
    begun, go_on = asyncio.Event(), asyncio.Event()
    runs = Runs()

    async def long() -> None:
        begun.set()
        await go_on.wait()

    await here.every("1s", long, name="task")
    async with asyncio.timeout(30):
        await begun.wait()
    await there.every("1s", runs, name="task")
    here.tasks.stop()
    ending = asyncio.create_task(here.tasks.ended(30))
    await asyncio.sleep(0)
    assert (runs.seen, ending.done()) == ([], False)
    go_on.set()
    await ending
    begun.clear()
    await runs.are(2)

    assert not begun.is_set()


async def test_under_one_name_the_last_call_counts(replicas: tuple[Replica, Replica]) -> None:
    before, after = Runs(), Runs()
    await replicas[0].every("1w", before, name="task")
    await replicas[0].every("1s", before, name="task")
    await replicas[0].every("1s", after, name="task")
    await after.are(2)

    assert len(before.seen) <= 1


async def test_what_makes_no_sense_is_refused(replicas: tuple[Replica, Replica]) -> None:
    with pytest.raises(RuntimeError, match="belongs to an app"):
        fleet.every("1s", print)
    for schedule, name in (("soon", "task"), ("1s", "x" * 201)):
        with pytest.raises(ValueError, match=r"says no time|name of a task"):
            await replicas[0].every(schedule, print, name=name)
    assert not replicas[0].thread.begun


async def test_a_function_of_a_sessions_script_is_refused(replicas: tuple[Replica, Replica]) -> None:
    run = await Run.begin(replicas[0].app)

    def task() -> None:
        return

    task.__module__ = "bokeh_app_0123"
    with pytest.raises(RuntimeError, match="ends with that session"):
        await run.do(lambda: fleet.every("1s", task))
    await run.end()
