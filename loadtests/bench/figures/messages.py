"""How long a message takes from one page to a thousand others, on three replicas."""

from __future__ import annotations

import asyncio
import gc
import itertools
import time

from loadtests.bench.client import Tab
from loadtests.bench.crowd import LONG, OPENERS
from loadtests.bench.scenario import APPS, Measures, Ratio, Row, Scale, Scenario, Upto
from loadtests.bench.servers import OURS, Side

__all__ = ("SCENARIOS",)

PAUSE_SECONDS = 0.5
"""Between messages: until the journals of what the last one has changed are written."""


async def publish(side: Side, scale: Scale) -> Measures:
    """From the move of a slider, which publishes it, until each page has what its session's callback did."""
    return await _tell(side, scale, "news", scale.count(1000, 60))


async def tell(side: Side, scale: Scale) -> Measures:
    """The same beside next-tick callbacks, which reach the sessions of one process."""
    measured = await _tell(side, scale, "told", scale.count(300, 30))
    return {"tell99": measured["publish99"], "tell_cpu": measured["publish_cpu"]}


async def _tell(side: Side, scale: Scale, app: str, sessions: int) -> Measures:
    tabs = await _open(side, app, sessions)
    first = tabs[0]
    await first.pull_parsed()
    gc.collect()
    gc.freeze()  # a collection of all tabs, in the midst of a message, would be this side's pause
    slider, delays = first.id_of("slider"), list[float]()

    async def move(value: int) -> list[float]:
        due, began = b"news %d" % value, time.perf_counter()
        receiving = [asyncio.create_task(_received(tab, due)) for tab in tabs]
        first.set(slider, "value", value)
        took = [at - began for at in await asyncio.gather(*receiving)]
        await asyncio.sleep(PAUSE_SECONDS)
        return took

    first_delays = sorted(await move(1))  # warms the servers up
    cpu = side.cpu_seconds()
    count = scale.count(10, 3)
    for value in range(2, count + 2):
        delays += await move(value)
    cost = (side.cpu_seconds() - cpu) / count
    gc.unfreeze()
    for tab in tabs:
        tab.close()
    delays.sort()
    return {
        "publish99": delays[int(len(delays) * 0.99)] * 1000,
        "publish_first": first_delays[int(len(first_delays) * 0.99)] * 1000,
        "publish50": delays[len(delays) // 2] * 1000,
        "publish_cpu": cost / len(tabs) * 1e6,
    }


async def _open(side: Side, app: str, count: int) -> list[Tab]:
    """So many tabs, each with a session of its own, in turn on all replicas."""
    tabs: list[Tab] = []
    opening = 0
    ports = itertools.cycle(side.ports)

    async def work() -> None:
        while len(tabs) + opening < count:
            await one()

    async def one() -> None:
        nonlocal opening
        opening += 1
        tab = await Tab.open(next(ports), app)
        opening -= 1
        tabs.append(tab)

    for _ in side.ports:
        await one()
    await asyncio.gather(*(work() for _ in range(OPENERS)))
    return tabs


async def _received(tab: Tab, due: bytes) -> float:
    while due not in (await tab.message())[2]:
        pass
    return time.perf_counter()


SCENARIOS = [
    Scenario(
        "publish",
        [
            Row("publish99", "a message to 1,000 sessions on 3 replicas, p99", "ms", Upto(100, "ms")),
            Row("publish_first", "the same of the first message, while the servers warm up", "ms"),
            Row("publish50", "the same, median", "ms"),
            Row("publish_cpu", "the same: CPU time per session", "us"),
        ],
        publish,
        apps=[APPS / "news.py"],
        args=LONG,
        size=3,
        spread=True,
        rounds=3,
        sides=(OURS,),
    ),
    Scenario(
        "tell",
        [
            Row("tell99", "300 sessions of one replica told of something, p99", "ms", Ratio(at_most=1)),
            Row("tell_cpu", "the same: CPU time per session", "us", Ratio(at_most=1)),
        ],
        tell,
        apps=[APPS / "told.py"],
        args=LONG,
        rounds=3,
    ),
]
