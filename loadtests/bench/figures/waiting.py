"""How long others wait while one user's app code takes its time."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager

from loadtests.bench.client import Tab
from loadtests.bench.crowd import LONG
from loadtests.bench.scenario import APPS, Measures, Row, Scale, Scenario, Upto
from loadtests.bench.servers import Side

__all__ = ("SCENARIOS",)

MOVE_EVERY = 0.02
"""Seconds from an answer to the neighbour's next move."""


async def callbacks(side: Side, scale: Scale) -> Measures:
    """The slowest answer to a neighbour, whose own callback does nothing, in milliseconds."""
    slow = await _opened(side, "slow")

    async def move(name: str, value: int) -> None:
        slow.set(slow.id_of(name), "value", value)
        await slow.reply()

    measures = {name: await _longest_answer(side, move(name, 1)) for name in ("sleep", "compute")}
    for value in range(1, 51):
        await move("quick_at_first", value)
    return measures | {"quick_at_first": await _longest_answer(side, move("quick_at_first", 51))}


async def builds(side: Side, scale: Scale) -> Measures:
    alone = await _longest_answer(side, Tab.open(side.port, "slow_build"))
    count, began = scale.count(20, 4), time.perf_counter()
    await asyncio.gather(*(Tab.open(side.port, "slow_build") for _ in range(count)))
    return {"build": alone, "last_drawn": time.perf_counter() - began}


async def _opened(side: Side, app: str) -> Tab:
    tab = await Tab.open(side.port, app)
    await tab.pull_parsed()
    return tab


async def _longest_answer(side: Side, work: Awaitable[object]) -> float:
    """Milliseconds that a neighbour's move took to be answered, at most, until ``work`` was done."""
    neighbour = await _opened(side, "slow")
    async with _moving(neighbour) as waits:
        await work
    neighbour.close()
    return max(waits) * 1000


@asynccontextmanager
async def _moving(tab: Tab) -> AsyncIterator[list[float]]:
    """Move the tab's slider again and again: how long each answer took. The last one is waited for."""
    waits: list[float] = []
    over = asyncio.Event()

    async def move() -> None:
        for value in itertools.cycle(range(1, 100)):
            began = time.perf_counter()
            tab.set(tab.id_of("nothing"), "value", value)
            await tab.reply()
            waits.append(time.perf_counter() - began)
            if over.is_set():
                return
            await asyncio.sleep(MOVE_EVERY)

    moving = asyncio.create_task(move())
    try:
        yield waits
    finally:
        over.set()
        await moving


SCENARIOS = [
    Scenario(
        "callbacks",
        [
            Row("sleep", "longest answer to a neighbour while a callback sleeps 3 s", "ms", Upto(50, "ms")),
            Row("compute", "the same while a callback computes 3 s in Python", "ms", Upto(150, "ms")),
            Row("quick_at_first", "the same: a callback that was quick fifty times", "ms", Upto(50, "ms")),
        ],
        callbacks,
        apps=[APPS / "slow.py"],
        args=LONG,
        rounds=3,
    ),
    Scenario(
        "builds",
        [
            Row("build", "longest answer to a neighbour while an app builds for 1 s", "ms", Upto(50, "ms")),
            Row("last_drawn", "20 tabs of it opened at once: the last has its Document", "s", Upto(4, "s")),
        ],
        builds,
        apps=[APPS / "slow.py", APPS / "slow_build.py"],
        args=LONG,
        rounds=3,
    ),
]
