"""Threads of the pool: what is handed to one runs on it, and the event loop hears of its end once."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from service.apps.pool_threads import PoolThread


class Job:
    """Notes where it ran; ``waited_for`` is what the event loop says it does."""

    def __init__(self, func: Callable[[], object] = int, *, waited_for: bool = False) -> None:
        self.thread = 0
        self.over = threading.Event()
        self._func, self._waited_for = func, waited_for

    def run(self) -> None:
        self.thread = threading.get_ident()
        self._func()

    def ran(self) -> bool:
        self.over.set()
        return self._waited_for


@pytest.fixture(params=["eventfd", "pipe"])
def _wakeup(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Systems other than Linux have pipes only."""
    if request.param == "pipe":
        monkeypatch.delattr(os, "eventfd", raising=False)
    elif not hasattr(os, "eventfd"):
        pytest.skip("this system has no eventfd")


@pytest.fixture
def _impatient() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def descriptors() -> set[str]:
    return {path.name for path in Path("/dev/fd").iterdir()}


@pytest.mark.usefixtures("_wakeup", "_impatient")
async def test_jobs_run_on_idle_threads_and_none_is_lost() -> None:
    idle: list[PoolThread] = []
    told: asyncio.Queue[Job] = asyncio.Queue()
    before = descriptors()
    for _ in range(4):
        PoolThread(asyncio.get_running_loop(), idle, told.put_nowait).start()
    begun: list[Job] = []
    over: list[Job] = []

    for _ in range(500):
        while idle:
            begun.append(Job())
            idle.pop().hand(begun[-1])
        over.append(await told.get())
    while len(over) < len(begun):
        over.append(await told.get())

    assert set(over) == set(begun)
    assert len(over) == len(begun)
    assert len({job.thread for job in over} - {threading.get_ident()}) <= 4
    assert all(job.thread for job in over)

    assert len(idle) == 4
    threads = [each._thread for each in idle]
    while idle:
        idle.pop().hand(None)
    await asyncio.to_thread(lambda: [each.join(20) for each in threads])
    assert not any(each.is_alive() for each in threads)
    assert not descriptors() - before


async def test_nobody_is_told_of_what_is_waited_for() -> None:
    """And the thread is idle by then: the next job may be handed to it at once."""
    idle: list[PoolThread] = []
    told: asyncio.Queue[Job] = asyncio.Queue()
    PoolThread(asyncio.get_running_loop(), idle, told.put_nowait).start()
    first, second = Job(waited_for=True), Job()
    thread = idle.pop()
    thread.hand(first)
    assert await asyncio.to_thread(first.over.wait, 20)
    idle.pop().hand(second)

    assert await told.get() is second
    assert told.empty()
    assert first.thread == second.thread

    idle.pop().hand(None)


def test_a_thread_ends_when_it_has_nobody_to_tell() -> None:
    gate = threading.Event()

    async def begin() -> threading.Thread:
        idle: list[PoolThread] = []
        PoolThread(asyncio.get_running_loop(), idle, print).start()
        thread = idle.pop()
        thread.hand(Job(gate.wait))
        return thread._thread

    thread = asyncio.run(begin())
    gate.set()
    thread.join(20)

    assert not thread.is_alive()
