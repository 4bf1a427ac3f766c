"""The lock of a Document, which tells who holds it from who does not."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from service.background import begin
from service.sessions.lock import DocumentLock


async def test_it_is_locked_for_the_code_that_holds_it_only() -> None:
    lock = DocumentLock()
    seen = {}

    async def others() -> None:
        seen["another task"] = lock.locked()

    other = asyncio.create_task(others())  # begins while the lock is held, but not by who holds it
    async with lock:
        await other
        seen["the holder"] = lock.locked()
        with ThreadPoolExecutor(1) as pool:
            seen["a thread"] = await asyncio.get_running_loop().run_in_executor(pool, lock.locked)
        seen["a thread it waits for"] = await asyncio.to_thread(lock.locked)
        assert lock.taken
    assert not lock.taken
    assert seen == {
        "another task": False, "the holder": True, "a thread": False, "a thread it waits for": True,
    }  # fmt: skip


async def test_a_task_begun_in_a_turn_holds_nothing_afterwards() -> None:
    lock = DocumentLock()
    over = asyncio.Event()

    async def later() -> tuple[bool, bool]:
        within = lock.locked()
        await over.wait()
        async with asyncio.timeout(30), other:
            return within, lock.locked()

    other = DocumentLock()
    async with lock:
        task = asyncio.create_task(later())
        await asyncio.sleep(0)
    async with lock:  # somebody else's turn
        over.set()
        assert await task == (True, False)


async def test_locks_of_two_sessions_are_told_apart() -> None:
    one, other = DocumentLock(), DocumentLock()
    async with one:
        assert not other.locked()
        async with other:
            assert one.locked()
            assert other.locked()
        assert one.locked()


async def test_a_turn_at_once_gives_back_the_turn_it_came_in_between() -> None:
    lock = DocumentLock()
    with lock.at_once():
        assert lock.locked()
        assert lock.taken
    assert not lock.locked()
    async with lock:
        with lock.at_once():
            assert lock.locked()
        assert lock.locked()


async def test_a_turn_that_has_to_wait_after_all_is_the_tasks_that_goes_on_with_it() -> None:
    lock = DocumentLock()
    over, order = asyncio.Event(), []

    async def rest() -> None:
        async with lock.prolonged():
            order.append(("rest", lock.locked()))
            await over.wait()
            order.append(("end", lock.locked()))

    lock.begin_turn()
    working = begin(rest())
    lock.pass_turn()
    assert (lock.taken, lock.locked()) == (True, False)
    assert working is not None

    async def next_one() -> None:
        async with lock:
            order.append(("next", lock.locked()))

    waiting = asyncio.create_task(next_one())
    await asyncio.sleep(0)
    over.set()
    await asyncio.gather(working, waiting)
    assert order == [("rest", True), ("end", True), ("next", True)]
    assert not lock.taken


async def test_a_turn_that_was_over_at_once_leaves_nothing() -> None:
    lock = DocumentLock()
    lock.begin_turn()
    assert lock.locked()
    lock.end_turn()
    assert (lock.taken, lock.locked()) == (False, False)
