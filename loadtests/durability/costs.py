"""What it costs to keep sessions: patches per second, encryption, bytes in Redis, hibernated sessions."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from statistics import median

from loadtests.bench.client import Tab
from loadtests.bench.crowd import LONG, open_many, rate
from loadtests.bench.figures.throughput import MOVERS, OPENERS, mover
from loadtests.bench.scenario import EXAMPLES, Scale
from loadtests.bench.servers import OURS, Side, running
from loadtests.durability.figures import Figure

__all__ = ("encryption", "hibernation", "journal", "redis_bytes")

MODES = ("off", "interval", "sync")
SLIDERS = EXAMPLES / "sliders.py"
KIB = 1024
ASLEEP = ("--hibernate-after", "0.5", "--check-unused-sessions", "250")


async def journal(scale: Scale) -> list[Figure]:
    """Slider moves with each durability, in turns, so that a machine that drifts drifts for all of them."""
    rates: dict[str, list[tuple[float, float]]] = {mode: [] for mode in MODES}
    with ExitStack() as started:
        sides = {
            mode: started.enter_context(running(OURS, [SLIDERS], args=LONG, ours_only=("--durability", mode)))
            for mode in MODES
        }
        tabs = {mode: await _parsed(await open_many(side, "sliders", MOVERS)) for mode, side in sides.items()}
        for number in range(scale.count(9, 2)):
            for mode in MODES if number % 2 else reversed(MODES):
                workers = [mover(tab, tab.id_of("offset")) for tab in tabs[mode]]
                found = await rate(sides[mode], scale.seconds, workers)
                if number:  # the first round is to warm up
                    rates[mode].append(found)
    return [figure for mode in MODES for figure in _against_off(mode, rates)]


def _against_off(mode: str, rates: dict[str, list[tuple[float, float]]]) -> list[Figure]:
    """Rates come by the clock and per second of CPU."""
    clock = median(by_clock for by_clock, _ in rates[mode])
    figures = [Figure(f"slider moves answered with `--durability {mode}`", clock, "1/s")]
    if mode != "off":
        bound = 0.9 if mode == "interval" else None
        ratios = [median(one[at] / other[at] for one, other in zip(rates[mode], rates["off"], strict=True))
                  for at in (0, 1)]  # fmt: skip
        figures.append(Figure("the same against `off`", ratios[0], "x", least=bound))
        figures.append(Figure("the same per second of CPU", ratios[1], "x", least=bound))
    return figures


async def encryption(scale: Scale) -> list[Figure]:
    """Slider moves and sessions opened with the store encrypted and not, in turns as in :func:`journal`."""
    modes = ("off", "on")
    moves: dict[str, list[float]] = {mode: [] for mode in modes}
    opens: dict[str, list[float]] = {mode: [] for mode in modes}
    with ExitStack() as started:
        sides = {
            mode: started.enter_context(
                running(OURS, [SLIDERS], args=LONG, ours_only=("--encrypt-store", mode))
            )
            for mode in modes
        }
        tabs = {mode: await _parsed(await open_many(side, "sliders", MOVERS)) for mode, side in sides.items()}
        for number in range(scale.count(9, 2)):
            for mode in modes if number % 2 else reversed(modes):
                workers = [mover(tab, tab.id_of("offset")) for tab in tabs[mode]]
                _, moved = await rate(sides[mode], scale.seconds, workers)
                opened = await _opens(sides[mode], scale)
                if number:  # the first round is to warm up
                    moves[mode].append(moved)
                    opens[mode].append(opened)
    return [
        Figure(f"{what} per second of CPU with `--encrypt-store on`, against `off`", _ratio(rates), "x")
        for what, rates in (("slider moves", moves), ("sessions opened", opens))
    ]


async def _opens(side: Side, scale: Scale) -> float:
    """Sessions opened per second of CPU."""
    opened: list[Tab] = []

    async def open_tab() -> None:
        opened.append(await Tab.open(side.port, "sliders"))

    _, by_cpu = await rate(side, scale.seconds, [open_tab] * OPENERS)
    for tab in opened:
        tab.close()
    return by_cpu


def _ratio(rates: dict[str, list[float]]) -> float:
    return median(on / off for on, off in zip(rates["on"], rates["off"], strict=True))


async def redis_bytes(scale: Scale) -> list[Figure]:
    """Memory in Redis of one session that was seen, and after its slider was moved ten times."""
    return [figure for mode in ("off", "on") for figure in await _redis_bytes(scale, mode)]


async def _redis_bytes(scale: Scale, encrypt: str) -> list[Figure]:
    count = scale.count(100, 10)
    encrypted = " with `--encrypt-store on`" if encrypt == "on" else ""
    with running(OURS, [SLIDERS], args=LONG, ours_only=("--encrypt-store", encrypt)) as side:
        tabs = await _parsed(await open_many(side, "sliders", count))
        await asyncio.sleep(1)  # the journal's interval
        seen = _memory_of_sessions(side) / count
        for tab in tabs:
            for value in range(10):
                tab.set(tab.id_of("offset"), "value", value / 2)
                await tab.reply()
        await asyncio.sleep(1)
        moved = _memory_of_sessions(side) / count
    return [
        Figure(f"Redis memory of one sliders session, seen{encrypted}", seen, "bytes"),
        Figure("the same after 10 moves", moved, "bytes"),
    ]


def _memory_of_sessions(side: Side) -> int:
    """By Redis' own account, records and journals; handoffs go by themselves."""
    assert side.redis is not None
    keys = [key for family in ("session", "journal") for key in side.redis.command("KEYS", f"svc:*:{family}")]
    return sum(side.redis.command("MEMORY", "USAGE", key, "SAMPLES", 0) for key in keys)


async def hibernation(scale: Scale) -> list[Figure]:
    """Memory of the replica per session that lives, and per session that hibernates, both with an open page.

    Those that hibernate come batch by batch: what a batch needed for a moment serves the next one again.
    What a connection takes, in both, is what one more page of a session takes that lives anyway.
    """
    count = scale.count(400, 40)
    live = await _memory_per_page((), count, rest=1)
    asleep = await _memory_per_page(ASLEEP, count, rest=2)
    socket = await _memory_per_page((), count, rest=1, shared=True)
    return [
        Figure("memory of a live sliders session with its page's connection", live / KIB, "KiB"),
        Figure("memory of a hibernated one with its page's connection", asleep / KIB, "KiB"),
        Figure("the second to the first", asleep / live, "x", most=0.1),
        Figure("memory of a connection alone", socket / KIB, "KiB"),
        Figure(
            "hibernated to live, without the connections", (asleep - socket) / (live - socket), "x", most=0.1
        ),
    ]


async def _memory_per_page(
    ours_only: tuple[str, ...], count: int, *, rest: float, shared: bool = False
) -> float:
    """Bytes per page, each with a session of its own or all with one that is ``shared``.

    ``rest`` is how many seconds after each batch memory may still change.
    """
    with running(OURS, [SLIDERS], args=LONG, ours_only=ours_only) as side:
        batch = max(1, count // 10)
        session_id = (await Tab.open(side.port, "sliders")).session_id if shared else ""

        async def opened() -> list[Tab]:
            if not shared:
                return await open_many(side, "sliders", batch)
            return [await Tab.join(side.port, "sliders", session_id) for _ in range(batch)]

        tabs: list[Tab] = []
        for _ in range(3):
            tabs += await opened()
            await asyncio.sleep(rest)
        before = side.rss()
        for _ in range(count // batch):
            tabs += await opened()
            await asyncio.sleep(rest)
        return (side.rss() - before) / (len(tabs) - 3 * batch)


async def _parsed(tabs: list[Tab]) -> list[Tab]:
    for tab in tabs:
        await tab.pull_parsed()
    return tabs
