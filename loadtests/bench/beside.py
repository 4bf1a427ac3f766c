"""Two builds of ours, compared burst by burst: ``python -m loadtests.bench.beside CHECKOUT [--rounds N]``.

Builds differ by percents, and a machine that others share gets faster and slower by half within minutes.
So both servers are there all the time, on one core, and have half a second of load each in turn: what is
compared was measured within a second. The ratio is the median of the pairs', with the quartiles.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median, quantiles

from loadtests.bench.client import Tab
from loadtests.bench.crowd import LONG, Worker, rate
from loadtests.bench.figures.throughput import MOVERS, OPENERS, mover
from loadtests.bench.report import machine
from loadtests.bench.scenario import EXAMPLES
from loadtests.bench.servers import BOKEH, OURS, Side, pin_to_load_core, running

BURST_SECONDS = 0.5

Burst = Callable[[], Awaitable[float]]
"""Load for a moment; how much was done per second of the server's CPU time."""


async def moves(side: Side) -> Burst:
    tabs = [await Tab.open(side.port, "sliders") for _ in range(MOVERS)]
    for tab in tabs:
        await tab.pull_parsed()
    workers: list[Worker] = [mover(tab, tab.id_of("offset")) for tab in tabs]

    async def burst() -> float:
        return (await rate(side, BURST_SECONDS, workers))[1]

    return burst


async def sessions(side: Side) -> Burst:
    async def burst() -> float:
        tabs: list[Tab] = []

        async def open_tab() -> None:
            tabs.append(await Tab.open(side.port, "sliders"))

        per_cpu_second = (await rate(side, BURST_SECONDS, [open_tab] * OPENERS))[1]
        for tab in tabs:
            tab.close()
        return per_cpu_second

    return burst


FIGURES = {"slider moves": moves, "sessions opened": sessions}


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="beside", description="This build beside another one of ours.")
    parser.add_argument("checkout", type=Path, help="of the other build, with which this one is compared")
    parser.add_argument("--rounds", type=int, default=40, help="pairs of bursts (default: %(default)s)")
    options = parser.parse_args(argv)
    pin_to_load_core()
    with ExitStack() as started:
        app = [EXAMPLES / "sliders.py"]
        ours = started.enter_context(running(OURS, app, args=LONG))
        other = started.enter_context(running(BOKEH, app, args=LONG, against=options.checkout))
        asyncio.run(_compare(ours, other, options.rounds))


async def _compare(ours: Side, other: Side, rounds: int) -> None:
    print(f"{machine()}, {rounds} pairs of bursts:\n")
    print("| per second of CPU | this build | the other | ratio | quartiles |\n|---|---|---|---|---|")
    for label, prepare in FIGURES.items():
        bursts = [await prepare(ours), await prepare(other)]
        await asyncio.gather(*(burst() for burst in bursts))  # warm
        pairs = [await _pair(bursts, first=number % 2) for number in range(rounds)]
        ratios = [here / there for here, there in pairs]
        low, _, high = quantiles(ratios, n=4)
        here, there = (f"{median(side):.0f}" for side in zip(*pairs, strict=True))
        print(f"| {label} | {here} | {there} | {median(ratios):.2f}x | {low:.2f} to {high:.2f} |", flush=True)


async def _pair(bursts: list[Burst], *, first: int) -> tuple[float, float]:
    done = {which: await bursts[which]() for which in (first, 1 - first)}
    return done[0], done[1]


if __name__ == "__main__":
    main()
