"""What opening, a slider move and ending cost on a server on which more and more sessions live."""

from __future__ import annotations

import asyncio

from loadtests.bench.client import Tab
from loadtests.bench.crowd import SOON, open_many
from loadtests.bench.scenario import Measures, Row, Scale, Scenario, Upto
from loadtests.bench.servers import Side

__all__ = ("SCENARIOS",)

LIVE = (50, 150, 300, 500)
"""Numbers of live sessions at which costs are measured: the last is ten times the first."""
BATCH = 60
"""Sessions that are opened and ended at each: so many that their end, a millisecond each, stands out
from what the server does by itself."""
MOVES = 300
KINDS = {"open": "opening", "patch": "a slider move", "end": "ending"}


async def growth(side: Side, scale: Scale) -> Measures:
    """CPU in ms per session opened, per move, per session ended; and the last against the first."""
    await _costs(side)  # brings all caches up
    measures: Measures = {}
    live: list[Tab] = []
    for wanted in LIVE[:2] if scale.quick else LIVE:
        live += await open_many(side, "sliders", wanted - len(live))
        costs = await _costs(side)
        measures |= {f"{kind}@{wanted}": 1000 * cost for kind, cost in costs.items()}
    few, many = LIVE[0], LIVE[-1]
    if not scale.quick:
        measures |= {f"{kind}_10x": measures[f"{kind}@{many}"] / measures[f"{kind}@{few}"] for kind in KINDS}
    return measures


async def _costs(side: Side) -> Measures:
    """Seconds of CPU, beside what the server does by itself all the time."""
    await _calm(side)
    idle = await _idle(side, 3.0)
    cpu = side.cpu_seconds()
    tabs = await open_many(side, "sliders", BATCH)
    opened = side.cpu_seconds()
    for tab in tabs[:5]:
        await tab.pull_parsed()
    pulled = side.cpu_seconds()
    for number in range(MOVES):
        tab = tabs[number % 5]
        tab.set(tab.id_of("offset"), "value", 1 + number % 7 / 10)
        await tab.reply()
    moved, ending = side.cpu_seconds(), asyncio.get_running_loop().time()
    for tab in tabs:
        tab.close()
    await asyncio.sleep(2.5)
    await _calm(side)
    took = asyncio.get_running_loop().time() - ending
    ended = max(0.0, side.cpu_seconds() - moved - idle * took)
    return {"open": (opened - cpu) / BATCH, "patch": (moved - pulled) / MOVES, "end": ended / BATCH}


async def _calm(side: Side) -> None:
    """Return when the server has been nearly idle for a while: whatever was to end has ended."""
    while await _idle(side) > 0.2:
        pass


async def _idle(side: Side, seconds: float = 0.5) -> float:
    """Seconds of CPU per second that go to nothing in particular."""
    cpu = side.cpu_seconds()
    await asyncio.sleep(seconds)
    return (side.cpu_seconds() - cpu) / seconds


SCENARIOS = [
    Scenario(
        "growth",
        [
            *(Row(f"{kind}_10x", f"CPU cost of {text} with 10x the live sessions", "x", Upto(1.15, "x"))
              for kind, text in KINDS.items()),
            *(Row(f"{kind}@{live}", f"{text} with {live} live sessions, CPU", "ms")
              for kind, text in KINDS.items() for live in LIVE),
        ],
        growth,
        args=SOON,
        rounds=3,
        bokeh_rounds=1,
    ),
]  # fmt: skip
