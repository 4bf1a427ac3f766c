"""Many at once: tabs that close together, 500 sessions at work, one Document in 50 tabs."""

from __future__ import annotations

import asyncio
import itertools
import time

from loadtests.bench.client import Tab
from loadtests.bench.crowd import LONG, SOON, open_many, probing, until
from loadtests.bench.scenario import APPS, Measures, Ratio, Row, Scale, Scenario, Upto
from loadtests.bench.servers import Side

__all__ = ("SCENARIOS",)


async def closing(side: Side, scale: Scale) -> Measures:
    tabs = await open_many(side, "sliders", scale.count(300, 60))
    cpu = side.cpu_seconds()
    async with probing(side.port, "sliders") as probe:
        await asyncio.sleep(0.2)
        for tab in tabs:
            tab.close()
        # Long enough for any server to have noticed; and until one that was silent speaks again.
        await asyncio.sleep(4)
        answered = len(probe.waits)
        await until(lambda: len(probe.waits) > answered)
        await asyncio.sleep(0.5)
    cost = (side.cpu_seconds() - cpu) / len(tabs)
    return {"silence": max(probe.waits) * 1000, "closing_cpu": cost * 1000}


async def lag(side: Side, scale: Scale) -> Measures:
    tabs = await open_many(side, "noop", scale.count(500, 80))
    for tab in tabs:
        await tab.pull_parsed()
    begin = time.perf_counter()
    end = begin + scale.seconds * 2

    async def move(tab: Tab, offset: float) -> None:
        slider, places = tab.id_of("slider"), itertools.cycle([1, 2, 3])
        await asyncio.sleep(offset)
        while time.perf_counter() < end:
            tab.set(slider, "value", next(places))
            await asyncio.gather(tab.reply(), asyncio.sleep(1))

    cpu = side.cpu_seconds()
    async with probing(side.port, "noop") as probe:
        await asyncio.gather(*(move(tab, at / len(tabs)) for at, tab in enumerate(tabs)))
    waits = sorted(probe.waits)
    busy = (side.cpu_seconds() - cpu) / (time.perf_counter() - begin)
    return {
        "lag99": waits[int(len(waits) * 0.99)] * 1000,
        "lag50": waits[len(waits) // 2] * 1000,
        "busy": busy * 100,
    }


async def broadcast(side: Side, scale: Scale) -> Measures:
    return await _broadcast(side, scale, 50)


async def broadcast_to_many(side: Side, scale: Scale) -> Measures:
    measured = await _broadcast(side, scale, scale.count(1000, 100))
    return {"many_rows": measured["rows"], "many_rows_cpu": measured["rows_cpu"]}


async def _broadcast(side: Side, scale: Scale, count: int) -> Measures:
    first = await Tab.open(side.port, "broadcast")
    await first.pull_parsed()
    tabs = [await Tab.join(side.port, "broadcast", first.session_id) for _ in range(count - 1)]
    slider, sent, received = first.id_of("slider"), 0, 0

    async def watch(tab: Tab) -> None:
        nonlocal received
        while True:
            await tab.message()
            received += 1

    watching = [asyncio.create_task(watch(tab)) for tab in tabs]
    cpu, began = side.cpu_seconds(), time.perf_counter()
    while time.perf_counter() - began < scale.seconds:
        sent += 1
        first.set(slider, "value", sent)
        await first.reply()
    await until(lambda: received >= sent * len(tabs))
    took, cost = time.perf_counter() - began, side.cpu_seconds() - cpu
    for task in watching:
        task.cancel()
    for tab in tabs:
        tab.close()
    return {"rows": sent * count / took, "rows_cpu": sent * count / cost}


SCENARIOS = [
    Scenario(
        "broadcast",
        [
            Row("rows", "rows streamed to 50 tabs of one session, tabs times rows", "1/s", Ratio(at_least=5)),
            Row("rows_cpu", "the same per second of CPU", "1/s", Ratio(at_least=5)),
        ],
        broadcast,
        apps=[APPS / "broadcast.py"],
        args=LONG,
    ),
    Scenario(
        "broadcast-1000",
        [
            Row("many_rows", "rows streamed to 1,000 tabs of one session, tabs times rows", "1/s",
                Ratio(at_least=5)),
            Row("many_rows_cpu", "the same per second of CPU", "1/s", Ratio(at_least=5)),
        ],
        broadcast_to_many,
        apps=[APPS / "broadcast.py"],
        args=LONG,
        rounds=3,
    ),
    Scenario(
        "lag",
        [
            Row("lag99", "answer to a probe, p99, 500 sessions at 1 patch/s each", "ms", Upto(50, "ms")),
            Row("lag50", "the same, median", "ms"),
            Row("busy", "the same: how busy the core is, probes included", "%"),
        ],
        lag,
        apps=[APPS / "noop.py"],
        args=LONG,
        bokeh_rounds=2,
    ),
    Scenario(
        "closing",
        [
            Row("silence", "longest silence while 300 tabs close at once", "ms", Upto(50, "ms")),
            Row("closing_cpu", "the same: CPU time per tab, probes included", "ms"),
        ],
        closing,
        args=SOON,
        bokeh_rounds=1,
    ),
]  # fmt: skip
