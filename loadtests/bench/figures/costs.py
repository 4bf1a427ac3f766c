"""Big columns, memory, and what opening asks of Redis."""

from __future__ import annotations

import asyncio
import json
import time
from statistics import median

from redis.asyncio import Redis

from loadtests.bench.client import Tab, get
from loadtests.bench.crowd import LONG, SOON, open_many
from loadtests.bench.scenario import APPS, Measures, Ratio, Row, Scale, Scenario, Upto
from loadtests.bench.servers import OURS, Side

__all__ = ("SCENARIOS",)

MIB = 1024 * 1024
FRAME_BYTES = 9_570_000
"""Of the frame that `cached` computes, as it is stored."""

INTERVAL = 0.1
"""Seconds between journal writes, by default."""


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


async def start(side: Side, scale: Scale) -> Measures:
    """The servers listen when this begins, and have been asked for their health alone."""
    while side.name == OURS and not await _is_ready(side.port):  # noqa: ASYNC110 - it is another process
        await asyncio.sleep(0.01)
    ready = side.cpu_seconds()
    tab = await Tab.open(side.port, "sliders")
    first = side.cpu_seconds()
    tab.close()
    return {"start_ready": ready, "start_page": first}


async def _is_ready(port: int) -> bool:
    try:
        await get(port, "/readyz")
    except RuntimeError:
        return False
    return True


async def churn(side: Side, scale: Scale) -> Measures:
    """Sessions come and go; the start is after as many as bring all caches up."""

    async def batch(count: int) -> None:
        for tab in await open_many(side, "sliders", count):
            tab.close()
        await asyncio.sleep(2.5)

    size, batches = scale.count(500, 100), scale.count(20, 2)
    await batch(size)
    before = side.rss()
    cpu = side.cpu_seconds()
    for _ in range(batches):
        await batch(size)
    cost = (side.cpu_seconds() - cpu) / (size * batches)
    return {"left": side.rss() / before, "life_cpu": cost * 1000}


async def redis(side: Side, scale: Scale) -> Measures:
    """As the server counts its requests: a pipeline is one, however long. With the journal on.

    Commands, those of scripts included, and bytes as Redis counts them.
    """
    assert side.redis is not None
    port = side.redis.port

    async def counted() -> tuple[float, float]:
        found = await side.metrics("svc_store_request_seconds_count", "svc_journal_writes_total")
        return found[0] - found[1], found[1]

    async def served() -> tuple[float, float]:
        async with Redis(port=port) as client:
            calls = await client.info("commandstats")
            network = await client.info("stats")
        return sum(each["calls"] for each in calls.values()), network["total_net_input_bytes"]

    await open_many(side, "sliders", 4)
    await asyncio.sleep(1)
    (idle, _), at_rest = await counted(), await served()
    await asyncio.sleep(2)
    per_second = ((await counted())[0] - idle) / 2
    resting = [(after - before) / 2 for before, after in zip(at_rest, await served(), strict=True)]
    loop, count = asyncio.get_running_loop(), scale.count(200, 40)
    (trips, writes), before, began = await counted(), await served(), loop.time()
    await open_many(side, "sliders", count)
    took = loop.time() - began
    trips_then, writes_then = await counted()
    await asyncio.sleep(2 * INTERVAL)  # the last ones are written, too
    rest, after = loop.time() - began, await served()
    commands, sent = (
        (then - first - idly * rest) / count for first, then, idly in zip(before, after, resting, strict=True)
    )
    return {
        "redis_commands": commands,
        "redis_kb": sent / 1000,
        # To a tenth: a heartbeat more or less falls into this time.
        "trips": round((trips_then - trips - per_second * took) / count, 1),
        "writes": (writes_then - writes) / (took / INTERVAL),
    }


async def shared(side: Side, scale: Scale) -> Measures:
    """As the app measures it on its thread: the median of what several calls took."""
    tab = await Tab.open(side.port, "shared")
    await tab.pull_parsed()
    slider, found = tab.id_of("slider"), []
    for value in range(1, 2 + scale.count(20, 3)):
        tab.set(slider, "value", value)
        found.append(await _microseconds(tab))
    tab.close()
    return {"shared_read": median(found[1:])}


async def cached(side: Side, scale: Scale) -> Measures:
    """As the app measures it, next to reading as many bytes from the same Redis."""
    assert side.redis is not None
    tab = await Tab.open(side.port, "cached")
    await tab.pull_parsed()
    slider, found, raw = tab.id_of("slider"), [], []
    async with Redis(port=side.redis.port) as redis:
        await redis.set("raw", bytes(FRAME_BYTES))
        frames = 8  # so many the app has; each is computed once, and read from Redis then
        for value in range(1, 1 + frames + scale.count(40, 8)):
            tab.set(slider, "value", value)
            found.append(json.loads(await _said(tab)))
            began = time.perf_counter()
            await redis.get("raw")
            raw.append((time.perf_counter() - began) * 1000)
    tab.close()
    hits, copies = ([each[at] for each in found[frames:]] for at in (0, 1))
    plain = median(raw[frames:])
    return {"cache_hit": median(hits) / plain, "cache_copy": median(copies) / plain}


async def _microseconds(tab: Tab) -> float:
    """What the app says next that a read took."""
    return float(await _said(tab))


async def _said(tab: Tab) -> str:
    while True:
        message = await tab.message()
        if b'"text"' in message[2]:
            (event,) = json.loads(message[2])["events"]
            return str(event["new"])


SCENARIOS = [
    Scenario(
        "shared",
        [Row("shared_read", "a value that the fleet shares, read by a callback", "us", Upto(20, "us"))],
        shared,
        apps=[APPS / "shared.py"],
        args=LONG,
        rounds=3,
        sides=(OURS,),
    ),
    Scenario(
        "cached",
        [
            Row(
                "cache_hit",
                "a 10 MB frame that another replica has computed: as reading its bytes from Redis",
                "x",
                Upto(2, "x"),
            ),
            Row("cache_copy", "the same again on one replica", "x", Upto(2, "x")),
        ],
        cached,
        apps=[APPS / "cached.py"],
        args=LONG,
        rounds=3,
        sides=(OURS,),
    ),
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
        "start",
        [
            Row("start_ready", "CPU time until a server is ready", "s", Ratio(at_most=1.0)),
            Row("start_page", "the same until its first page is open", "s", Ratio(at_most=1.0)),
        ],
        start,
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
        [
            Row("left", "memory after 10,000 sessions came and went, to that before", "x", Upto(1.1, "x")),
            Row("life_cpu", "the same: CPU time per session, from page to end", "ms"),
        ],
        churn,
        args=SOON,
        rounds=1,
        sides=(OURS,),
    ),
    Scenario(
        "redis",
        [
            Row("trips", "round trips to Redis per session opened, beside the journal", "", Upto(2)),
            Row(
                "redis_commands",
                "commands to Redis per session opened, those of scripts included",
                "",
                Upto(12),
            ),
            Row("redis_kb", "the same: bytes to Redis", "kB", Upto(6, "kB")),
            Row("writes", "journal writes to Redis per interval and replica, at work", "", Upto(1)),
        ],
        redis,
        args=LONG,
        rounds=3,
        sides=(OURS,),
    ),
]
