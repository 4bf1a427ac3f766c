"""What scenarios do with many tabs at once: open them, work them in a loop, watch for silence.

Also the flags that say how long sessions stay, which decide what a scenario measures.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from loadtests.bench.client import Tab, get
from loadtests.bench.servers import Side

__all__ = ("LONG", "SOON", "Probe", "Worker", "open_many", "probing", "rate", "until")

LONG = ("--unused-session-lifetime", "3600000")
"""No session ends while others are counted; what ending costs is another figure."""
SOON = ("--unused-session-lifetime", "1000", "--check-unused-sessions", "1000")
"""Sessions end within two seconds of their last tab."""
PROBE_EVERY = 0.005
OPENERS = 8
"""Tabs that are opened at the same time."""

Worker = Callable[[], Awaitable[None]]


async def open_many(side: Side, app: str, count: int) -> list[Tab]:
    """``count`` tabs, each with a session of its own."""
    tabs: list[Tab] = []

    async def work() -> None:
        while begun and begun.pop():
            tabs.append(await Tab.open(side.port, app))

    tabs.append(await Tab.open(side.port, app))
    begun = [True] * (count - 1)
    await asyncio.gather(*(work() for _ in range(OPENERS)))
    return tabs


async def rate(side: Side, seconds: float, workers: list[Worker]) -> tuple[float, float]:
    """How often the workers, each in a loop of its own, get done: per second, per CPU second."""
    done = 0

    async def work(once: Worker) -> None:
        nonlocal done
        while time.perf_counter() < end:
            await once()
            done += 1

    cpu, begin = side.cpu_seconds(), time.perf_counter()
    end = begin + seconds
    await asyncio.gather(*map(work, workers))
    return done / (time.perf_counter() - begin), done / (side.cpu_seconds() - cpu)


async def until(check: Callable[[], bool]) -> None:
    """Return soon after ``check`` is true."""
    while not check():  # noqa: ASYNC110 - counts messages, which is no event of anybody's
        await asyncio.sleep(0.005)


class Probe:
    """Asks for a page that costs nothing, again and again: the slowest answer is the longest silence."""

    def __init__(self, port: int, app: str) -> None:
        self._port, self._app = port, app
        self.waits: list[float] = []

    async def run(self) -> None:
        while True:
            began = time.perf_counter()
            await get(self._port, f"/{self._app}/metadata")
            self.waits.append(time.perf_counter() - began)
            await asyncio.sleep(PROBE_EVERY)


@asynccontextmanager
async def probing(port: int, app: str) -> AsyncIterator[Probe]:
    probe = Probe(port, app)
    task = asyncio.create_task(probe.run())
    try:
        yield probe
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
