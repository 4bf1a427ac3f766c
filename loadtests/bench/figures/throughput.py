"""Sessions, pages and slider moves per second, by the clock and by the servers' CPU time.

The clock suffers from whatever else runs on the machine, CPU time does not: where both are given
and differ, the second says what one core can do.
"""

from __future__ import annotations

import itertools
from statistics import median

from devfleet.asgi import AsgiReplica, BokehAsgi
from devfleet.replica import Replica

from loadtests.bench.client import Tab, get
from loadtests.bench.crowd import LONG, Worker, rate
from loadtests.bench.scenario import APPS, EXAMPLES, Measures, Ratio, Row, Scale, Scenario
from loadtests.bench.servers import BOKEH, OURS, Side, running
from service.lines import line

__all__ = ("SCENARIOS",)

MOVES = Ratio(at_least=3 if line.VERSION >= (3, 10) else 2.5)
"""Bokeh 3.10's server does more for each message than that of 3.9: there is more to save."""

OPENERS = 4
"""Tabs that are opened at the same time."""
MOVERS = 8
"""Sessions whose sliders are moved at the same time."""


def mover(tab: Tab, slider: str) -> Worker:
    """Moves a slider and waits for the answer; never twice to the same place."""
    places = itertools.cycle([1.5, 2.0, 2.5, 3.0])

    async def move() -> None:
        tab.set(slider, "value", next(places))
        await tab.reply()

    return move


async def sliders(side: Side, scale: Scale) -> Measures:
    tabs: list[Tab] = []
    around = itertools.cycle(range(len(side.ports)))

    async def open_tab() -> None:
        at = next(around)
        # The balancer's next pick: page and socket never meet on one replica by affinity.
        tabs.append(await Tab.open(side.ports[at], "sliders", socket_port=side.ports[at - 1]))

    for _ in range(2 * len(side.ports)):
        await open_tab()  # warm
    opened, opened_cpu = await rate(side, scale.seconds, [open_tab] * OPENERS)
    measures = {"open": opened, "open_cpu": opened_cpu}
    if len(side.ports) == 1:
        measures |= await _moves(side, scale, tabs[:MOVERS], "offset") | await _pages(side, scale)
    for tab in tabs:
        tab.close()
    return measures


async def noop(side: Side, scale: Scale) -> Measures:
    tabs = [await Tab.open(side.port, "noop") for _ in range(MOVERS)]
    return await _moves(side, scale, tabs, "slider")


async def threads(side: Side, scale: Scale) -> Measures:
    """CPU of one slider move and of one session, as many times as with everything on the event loop."""
    with running(OURS, [EXAMPLES / "sliders.py"], args=LONG, ours_only=["--app-threads", "0"]) as on_loop:
        found: dict[str, list[Measures]] = {"threads": [], "loop": []}
        for _ in range(scale.count(4, 1)):  # in turns, as the machine is not always as fast
            found["threads"].append(await sliders(side, scale))
            found["loop"].append(await sliders(on_loop, scale))
    return {
        f"{what}_times": median(each[what] for each in found["loop"])
        / median(each[what] for each in found["threads"])
        for what in ("moves_cpu", "open_cpu")
    }


async def _moves(side: Side, scale: Scale, tabs: list[Tab], slider: str) -> Measures:
    for tab in tabs:
        await tab.pull_parsed()
    workers = [mover(tab, tab.id_of(slider)) for tab in tabs]
    moves, moves_cpu = await rate(side, scale.seconds, workers)
    return {"moves": moves, "moves_cpu": moves_cpu, "patch_ms": 1000 / moves_cpu}


async def _pages(side: Side, scale: Scale) -> Measures:
    async def page() -> None:
        await get(side.port, "/sliders")

    pages, pages_cpu = await rate(side, scale.seconds, [page] * OPENERS)
    return {"pages": pages, "pages_cpu": pages_cpu}


SCENARIOS = [
    Scenario(
        "sliders",
        [
            Row("open", "sessions opened, one replica", "1/s", Ratio(at_least=4)),
            Row("open_cpu", "the same per second of CPU", "1/s", Ratio(at_least=4)),
            Row("moves", "slider moves answered", "1/s", MOVES),
            Row("moves_cpu", "the same per second of CPU", "1/s", MOVES),
            Row("pages", "pages where the app need not run", "1/s", Ratio(at_least=30)),
            Row("pages_cpu", "the same per second of CPU", "1/s", Ratio(at_least=30)),
        ],
        sliders,
        args=LONG,
    ),
    Scenario(
        "asgi",
        [
            Row("open_cpu", "under uvicorn, against `BokehASGI`: sessions per second of CPU", "1/s"),
            Row("moves_cpu", "the same: slider moves answered", "1/s"),
            Row("pages_cpu", "the same: pages where the app need not run", "1/s"),
        ],
        sliders,
        args=LONG,
        kind=AsgiReplica,
        peer=BokehAsgi,
        sides=(OURS, BOKEH) if line.VERSION >= (3, 10) else (OURS,),
    ),
    Scenario(
        "fronts",
        [
            Row("open_cpu", "under uvicorn, against `svc serve`: sessions per second of CPU", "1/s"),
            Row("moves_cpu", "the same: slider moves answered", "1/s"),
            Row("pages_cpu", "the same: pages where the app need not run", "1/s"),
        ],
        sliders,
        args=LONG,
        kind=AsgiReplica,
        peer=Replica,
    ),
    Scenario(
        "fleet",
        [
            Row("open", "sessions opened, three replicas on one core, round robin", "1/s", Ratio(at_least=5)),
            Row("open_cpu", "the same per second of CPU", "1/s", Ratio(at_least=5)),
        ],
        sliders,
        args=LONG,
        size=3,
    ),
    Scenario(
        "threads",
        [
            Row("moves_cpu_times", "CPU per slider move, against --app-threads 0", "x"),
            Row("open_cpu_times", "CPU per session opened, against --app-threads 0", "x"),
        ],
        threads,
        args=LONG,
        rounds=3,
        sides=(OURS,),
    ),
    Scenario(
        "noop",
        [Row("patch_ms", "framework CPU time per patch (no-op callback)", "ms", Ratio(at_most=0.25))],
        noop,
        apps=[APPS / "noop.py"],
        args=LONG,
    ),
]
