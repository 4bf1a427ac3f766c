"""Memory, round trips, big columns, and what a session costs when many others live."""

from __future__ import annotations

import asyncio

from loadtests.bench.client import Tab
from loadtests.bench.figures.crowds import LONG, SOON, open_many
from loadtests.bench.scenario import APPS, Measures, Ratio, Row, Scale, Scenario, Upto
from loadtests.bench.servers import OURS, Side

__all__ = ("SCENARIOS",)

GROWTH = (10, 100, 200, 300, 400, 500)
"""Numbers of live sessions at which costs are measured."""
MIB = 1024 * 1024


async def column(side: Side, scale: Scale) -> Measures:
    tab = await Tab.open(side.port, "column")
    await tab.pull_parsed()
    slider = tab.id_of("slider")

    async def push(value: int) -> None:
        tab.set(slider, "value", value)
        await tab.reply()

    await push(1)
    side.forget_peak()
    rss, cpu, count = side.rss(), side.cpu_seconds(), scale.count(10, 3)
    for value in range(2, 2 + count):
        await push(value)
    cost = (side.cpu_seconds() - cpu) * 1000 / count
    return {"column_ms": cost, "column_peak": (side.peak_rss() - rss) / MIB}


async def memory(side: Side, scale: Scale) -> Measures:
    await open_many(side, "sliders", 20)
    before, count = side.rss(), scale.count(200, 40)
    await open_many(side, "sliders", count)
    return {"session_kb": (side.rss() - before) / count / 1024}


async def churn(side: Side, scale: Scale) -> Measures:
    """Sessions come and go; the start is after as many as bring all caches up."""

    async def batch(count: int) -> None:
        for tab in await open_many(side, "sliders", count):
            tab.close()
        await asyncio.sleep(2.5)

    size, batches = 100, scale.count(20, 2)
    await batch(size)
    before = side.rss()
    for _ in range(batches):
        await batch(size)
    return {"left": side.rss() / before}


async def round_trips(side: Side, scale: Scale) -> Measures:
    """As Redis counts its reads, so without the journal, whose one write per interval is many reads long."""
    await open_many(side, "sliders", 4)
    await asyncio.sleep(1)
    idle = side.redis_reads()
    await asyncio.sleep(2)
    per_second = (side.redis_reads() - idle) / 2
    count = scale.count(200, 40)
    loop = asyncio.get_running_loop()
    reads, began = side.redis_reads(), loop.time()
    await open_many(side, "sliders", count)
    background = per_second * (loop.time() - began)
    return {"trips": (side.redis_reads() - reads - background) / count}


async def scaling(side: Side, scale: Scale) -> Measures:
    """The cost of opening, of a patch and of ending with a few live sessions and with ten times as many."""
    few = scale.count(40, 10)
    await open_many(side, "sliders", few)
    little = await _costs(side)
    await open_many(side, "sliders", few * 9)
    much = await _costs(side)
    return {f"{name}_10x": much[name] / little[name] for name in little}


async def growth(side: Side, scale: Scale) -> Measures:
    """What opening and a patch cost, in ms of CPU, while more and more sessions live."""
    measures: Measures = {}
    live = 0
    for wanted in GROWTH:
        if scale.quick and wanted > 100:
            break
        await open_many(side, "sliders", max(1, wanted - live))
        costs = await _costs(side)
        live = wanted + 30
        measures |= {f"{name}@{wanted}": 1000 * cost for name, cost in costs.items()}
    return measures


async def _costs(side: Side) -> Measures:
    cpu = side.cpu_seconds()
    tabs = await open_many(side, "sliders", 30)
    opened = side.cpu_seconds()
    for tab in tabs[:5]:
        await tab.pull_parsed()
    pulled = side.cpu_seconds()
    for number in range(200):
        tab = tabs[number % 5]
        tab.set(tab.id_of("offset"), "value", 1 + number % 7 / 10)
        await tab.reply()
    return {"open": (opened - cpu) / 30, "patch": (side.cpu_seconds() - pulled) / 200}


SCENARIOS = [
    Scenario(
        "column",
        [
            Row("column_ms", "a 10 MB column pushed to a browser: CPU time", "ms", Ratio(at_most=0.5)),
            Row("column_peak", "the same: most memory on top", "MiB", Ratio(at_most=0.5)),
        ],
        column,
        apps=[APPS / "column.py"],
        args=LONG,
    ),
    Scenario(
        "memory",
        [Row("session_kb", "memory per live session", "KiB", Ratio(at_most=0.9))],
        memory,
        args=LONG,
        rounds=2,
    ),
    Scenario(
        "churn",
        [Row("left", "memory after 2,000 sessions came and went, to that before", "x", Upto(1.1, "x"))],
        churn,
        args=SOON,
        rounds=1,
        sides=(OURS,),
    ),
    Scenario(
        "redis",
        [Row("trips", "round trips to Redis per session opened, beside the journal", "", Upto(2))],
        round_trips,
        args=LONG,
        ours_only=("--durability", "off"),
        rounds=3,
        sides=(OURS,),
    ),
    Scenario(
        "scaling",
        [
            Row("open_10x", "cost of opening with 10x the live sessions", "x", Upto(1.15, "x")),
            Row("patch_10x", "cost of a slider move with 10x the live sessions", "x", Upto(1.15, "x")),
        ],
        scaling,
        args=LONG,
        rounds=2,
    ),
    Scenario(
        "growth",
        [Row(f"open@{count}", f"opening with {count} live sessions, CPU", "ms") for count in GROWTH]
        + [Row(f"patch@{count}", f"a slider move with {count} live sessions, CPU", "ms") for count in GROWTH],
        growth,
        args=LONG,
        rounds=1,
    ),
]
