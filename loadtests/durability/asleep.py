"""What many open tabs cost a replica whose sessions sleep: memory, and CPU time while nothing happens."""

from __future__ import annotations

import asyncio
import resource
import time

from loadtests.bench.client import Tab
from loadtests.bench.crowd import LONG, OPENERS
from loadtests.bench.scenario import APPS, Scale
from loadtests.bench.servers import OURS, Side, running
from loadtests.durability.figures import Figure

__all__ = ("open_tabs",)

TABS = 50_000
SPARE_DESCRIPTORS = 500
"""For all that is not a tab, on either side."""
TABS_PER_ADDRESS = 20_000
"""Each address of this side has some 28,000 ports (Linux)."""
KEEP_ALIVE_SECONDS = 37
"""As is the default of ``--keep-alive``: every tab was pinged once in this time."""
SETTLING_SECONDS = 30
"""In which what the last ones have left is collected, and their handoffs go."""
WARM_TABS = TABS // 10
"""That come first, however many there can be: what sessions need until they sleep serves all later ones."""
ASLEEP = ("--hibernate-after", "0.5", "--check-unused-sessions", "5000")
KIB = 1024


async def open_tabs(scale: Scale) -> list[Figure]:
    """As many as there are to be, or as the limit of descriptors allows this side and that."""
    count = min(scale.count(TABS, 200), _descriptors() - SPARE_DESCRIPTORS)
    warm = min(scale.count(WARM_TABS, 20), count // 2)
    with running(OURS, [APPS / "noop.py"], args=LONG, ours_only=ASLEEP) as side:
        seconds = scale.count(KEEP_ALIVE_SECONDS, 3)
        without = await _busy(side, seconds)
        tabs = await _asleep(side, 0, warm)
        before = side.rss()
        tabs += await _asleep(side, len(tabs), count)
        each = (side.rss() - before) / (count - warm)
        await asyncio.sleep(scale.count(SETTLING_SECONDS, 1))
        busy = await _busy(side, seconds)
        at_full = without + (busy - without) * TABS / count
        for tab in tabs:
            tab.cut()
        side.servers[0].kill()  # to move them all is another figure
    targets = (None, None) if scale.quick else (6, 20)
    return [
        Figure("open tabs asleep on one replica, as many as its descriptors allow up to 50,000", count),
        Figure("CPU of the process while nothing happens, with keep-alives", busy * 100, "%"),
        Figure("memory of each, with its socket", each / KIB, "KiB", most=targets[0], key="asleep memory"),
        Figure("idle CPU at 50,000 tabs", at_full * 100, "%", most=targets[1], key="asleep cpu"),
    ]


def _descriptors() -> int:
    """As many as are wanted, where this user may raise the limit; child processes have the same."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(most, TABS + SPARE_DESCRIPTORS)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
    except (OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        return most
    return wanted


async def _asleep(side: Side, begun: int, count: int) -> list[Tab]:
    """The tabs from ``begun`` to ``count``, once all there are sleep."""
    numbers = iter(range(begun, count))
    tabs: list[Tab] = []

    async def open_some() -> None:
        for number in numbers:
            source = f"127.0.0.{1 + number // TABS_PER_ADDRESS}"
            tabs.append(await Tab.open(side.port, "noop", source=source))

    await asyncio.gather(*(open_some() for _ in range(OPENERS)))
    while await asyncio.sleep(0.5, (await side.metrics("svc_hibernated_sessions"))[0] < count):
        pass
    await asyncio.sleep(1)  # the journal's interval, and the last ones' hooks
    return tabs


async def _busy(side: Side, seconds: float) -> float:
    """Share of one core that the process takes."""
    cpu, began = side.cpu_seconds(), time.perf_counter()
    await asyncio.sleep(seconds)
    return (side.cpu_seconds() - cpu) / (time.perf_counter() - began)
