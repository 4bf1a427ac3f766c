"""Periodic, timeout and next-tick callbacks of one session, without a session."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from bokeh.server.callbacks import NextTickCallback, PeriodicCallback, TimeoutCallback
from bokeh.util.serialization import make_id

from service.sessions.callbacks import SessionCallbacks


class Runner:
    """Runs callbacks under one lock, as a session does, and counts them."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.runs = 0
        self.failures = 0
        self.ran = asyncio.Event()
        self.callbacks = SessionCallbacks(asyncio.get_running_loop(), self.run, self.note_failure)

    async def run(self, callback: Callable[..., Any]) -> Any:
        async with self.lock:
            try:
                result = callback()
                return await result if asyncio.iscoroutine(result) else result
            finally:
                self.runs += 1
                self.ran.set()

    def note_failure(self, error: BaseException) -> None:
        self.failures += 1

    async def until(self, runs: int) -> None:
        async with asyncio.timeout(30):
            while self.runs < runs:
                self.ran.clear()
                await self.ran.wait()

    async def at_rest(self) -> None:
        """Until no callback is left."""
        async with asyncio.timeout(30):
            while self.callbacks._tasks:
                await asyncio.wait(self.callbacks._tasks.values())

    def left_over(self) -> int:
        return len(self.callbacks) + len(self.callbacks._removed) + len(self.callbacks._under_way)


def nothing() -> None:
    """A callback's work."""


async def test_each_kind_runs_as_it_says() -> None:
    runner = Runner()
    runner.callbacks.add(NextTickCallback(nothing, callback_id=make_id()))
    runner.callbacks.add(TimeoutCallback(nothing, 1, callback_id=make_id()))
    await runner.until(2)
    await runner.at_rest()
    periodic = PeriodicCallback(nothing, 1, callback_id=make_id())
    runner.callbacks.add(periodic)
    await runner.until(7)
    runner.callbacks.remove(periodic)
    await runner.at_rest()
    assert runner.left_over() == 0


async def test_a_callback_that_removes_itself_is_finished_and_forgotten() -> None:
    """As every one-shot callback of Bokeh does, so whatever is kept of one is kept for ever."""
    runner = Runner()
    finished = []

    for _ in range(50):
        made: list[NextTickCallback] = []

        async def once(made: list[NextTickCallback] = made) -> None:
            runner.callbacks.remove(made[0])
            await asyncio.sleep(0)
            finished.append(1)

        made.append(NextTickCallback(once, callback_id=make_id()))
        runner.callbacks.add(made[0])
    await runner.until(50)
    await runner.at_rest()

    assert len(finished) == 50
    assert runner.left_over() == 0


async def test_a_run_under_way_is_finished_when_it_is_removed() -> None:
    runner = Runner()
    begun, go_on, finished = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def long() -> None:
        begun.set()
        await go_on.wait()
        finished.set()

    callback = PeriodicCallback(long, 1, callback_id=make_id())
    runner.callbacks.add(callback)
    await begun.wait()
    runner.callbacks.remove(callback)
    go_on.set()
    await runner.at_rest()

    assert finished.is_set()
    assert runner.runs == 1


async def test_a_run_that_waits_for_the_lock_can_be_called_off() -> None:
    runner = Runner()
    callback = NextTickCallback(nothing, callback_id=make_id())
    async with runner.lock:
        runner.callbacks.add(callback)
        await asyncio.sleep(0)
        runner.callbacks.remove(callback)
        await runner.at_rest()
    assert runner.runs == 0


async def test_a_slow_callback_does_not_pile_up() -> None:
    runner = Runner()
    at_once = most = 0

    async def slow() -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.01)
        at_once -= 1

    callback = PeriodicCallback(slow, 1, callback_id=make_id())
    runner.callbacks.add(callback)
    await runner.until(5)
    assert most == 1
    assert len(runner.callbacks) == 1
    runner.callbacks.close()
    await runner.at_rest()


async def test_one_that_fails_is_logged_and_comes_again(caplog: pytest.LogCaptureFixture) -> None:
    runner = Runner()

    def fails() -> None:
        raise ValueError("on purpose")

    callback = PeriodicCallback(fails, 1, callback_id=make_id())
    runner.callbacks.add(callback)
    await runner.until(3)
    runner.callbacks.close()
    await runner.at_rest()
    assert runner.failures >= 2
    assert "on purpose" in caplog.text


async def test_callbacks_come_from_threads() -> None:
    runner = Runner()
    thread_of_run: list[int] = []
    callback = NextTickCallback(lambda: thread_of_run.append(threading.get_ident()), callback_id=make_id())

    await asyncio.to_thread(runner.callbacks.add, callback)
    await runner.until(1)

    assert thread_of_run == [threading.get_ident()]
    await runner.at_rest()


async def test_after_the_end_nothing_is_added() -> None:
    runner = Runner()
    runner.callbacks.close()
    runner.callbacks.add(NextTickCallback(nothing, callback_id=make_id()))
    assert len(runner.callbacks) == 0
