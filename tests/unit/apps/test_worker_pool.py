"""Who gets a thread, what comes of a call there, and what becomes of one that nobody waits for any more."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextvars import ContextVar

import pytest
import pytest_asyncio

from service.apps.worker_pool import PoolExecutor, WorkerPool
from service.errors import AppCodeAbandoned


@pytest_asyncio.fixture
async def pool() -> AsyncIterator[WorkerPool]:
    made = WorkerPool(4)
    made.open()
    yield made
    made.close()


class Gate:
    """Work that waits until it may end."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.open = threading.Event()

    def __call__(self) -> str:
        self.begun.set()
        assert self.open.wait(30)
        return threading.current_thread().name

    async def has_begun(self) -> None:
        assert await asyncio.to_thread(self.begun.wait, 30)


async def test_a_call_runs_elsewhere_in_this_context_and_raises_here(pool: WorkerPool) -> None:
    variable: ContextVar[str] = ContextVar("variable")
    variable.set("mine")
    workers = pool.workers("/app")

    assert await workers.submit(threading.get_ident) != threading.get_ident()
    assert await workers.submit(variable.get) == "mine"
    with pytest.raises(ZeroDivisionError):
        await workers.submit(lambda: 1 / 0)
    with pytest.raises(RuntimeError, match="StopIteration"):
        await workers.submit(next, iter(()))
    assert pool.busy == 0


async def test_the_event_loop_waits_a_moment_for_quick_calls_only(pool: WorkerPool) -> None:
    workers, gate = pool.workers("/app"), Gate()

    quick = workers.submit(lambda: "quick", wait=True)
    at_once = quick.runs_at_once()
    slow = workers.submit(gate, wait=True)
    assert not slow.runs_at_once()
    gate.open.set()

    assert await quick == "quick"
    assert at_once is quick.done()
    assert await slow == "svc app code"


async def test_one_app_leaves_threads_to_others_and_builds_leave_some_to_callbacks(pool: WorkerPool) -> None:
    one, other = pool.workers("/one"), pool.workers("/other")
    builds, calls, others = ([Gate() for _ in range(3)] for _ in range(3))

    building = [one.submit(each, build=True) for each in builds]
    calling = [one.submit(each) for each in calls]
    assert (one.busy, one.queued) == (3, 3)  # two builds, one call: a quarter is for others
    asked = [other.submit(each) for each in others]
    assert (other.busy, other.queued) == (1, 2)
    await others[0].has_begun()

    calls[0].open.set()
    await calling[0]
    await calls[1].has_begun()  # who has a page comes before the third build
    assert not builds[2].begun.is_set()
    for each in (*builds, *calls, *others):
        each.open.set()
    await asyncio.gather(*building, *calling, *asked)
    assert pool.busy == pool.queued == 0


async def test_what_has_begun_is_finished_before_a_cancellation_is_heard(pool: WorkerPool) -> None:
    gate = Gate()

    async def wait() -> None:
        await pool.workers("/app").submit(gate)

    task = asyncio.create_task(wait())
    await gate.has_begun()
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    gate.open.set()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_has_not_begun_leaves_the_queue(pool: WorkerPool) -> None:
    workers, gates = pool.workers("/app"), [Gate() for _ in range(4)]
    running = [workers.submit(each) for each in gates]
    waiting = workers.submit(threading.get_ident)
    assert workers.queued == 1

    waiting.cancel()

    assert workers.queued == 0
    for each in gates:
        each.open.set()
    await asyncio.gather(*running)


async def test_who_is_given_up_keeps_no_thread_from_others(pool: WorkerPool) -> None:
    workers, gates = pool.workers("/app"), [Gate() for _ in range(4)]
    stuck = [workers.submit(each) for each in gates]
    waiting = workers.submit(lambda: "its turn")
    await gates[0].has_begun()
    assert "Gate" in stuck[0].what

    pool.give_up(stuck[0])

    with pytest.raises(AppCodeAbandoned):
        await stuck[0]
    assert await waiting == "its turn"
    for each in gates:
        each.open.set()
    await asyncio.gather(*stuck[1:])
    assert await workers.submit(lambda: "as ever") == "as ever"


async def test_a_closed_pool_waits_for_nobody(pool: WorkerPool) -> None:
    gate = Gate()
    stuck = pool.workers("/app").submit(gate)
    await gate.has_begun()

    pool.close()

    with pytest.raises(AppCodeAbandoned):
        await stuck
    with pytest.raises(AppCodeAbandoned):
        pool.workers("/app").submit(threading.get_ident)
    gate.open.set()


async def test_who_wants_an_executor_gets_the_same_threads(pool: WorkerPool) -> None:
    executor = PoolExecutor(pool, "panel")

    future = await asyncio.to_thread(
        executor.submit, lambda word: threading.current_thread().name + word, "!"
    )

    assert await asyncio.wrap_future(future) == "svc app code!"
    executor.shutdown(wait=True)
    with pytest.raises(ZeroDivisionError):
        await asyncio.wrap_future(executor.submit(lambda: 1 / 0))


async def test_timers_may_be_set_on_any_thread(pool: WorkerPool) -> None:
    loop, rang = asyncio.get_running_loop(), asyncio.Event()

    def on_thread() -> None:
        asyncio.get_event_loop().call_later(0, rang.set)
        asyncio.get_event_loop().call_later(0, pytest.fail).cancel()

    await pool.workers("/app").submit(on_thread)

    await asyncio.wait_for(rang.wait(), 30)
    assert loop.call_later(1000, rang.clear).when() > loop.time()


def test_a_pool_serves_the_next_event_loop_with_threads_of_its_own() -> None:
    """Those of the loop before may have ended with it, or would tell that one what they have done."""
    pool = WorkerPool(2)

    async def serve() -> int:
        pool.open()
        return int(await pool.workers("/app").submit(threading.get_ident))

    assert asyncio.run(serve())
    assert asyncio.run(serve())
    pool.close()
