"""Sessions that change their replica, as their users see it: by SIGKILL, SIGTERM, a drain, a broken network.

Users are those of the chaos tests, and so is their judge: a figure counts only where nothing was lost.
"""

from __future__ import annotations

import asyncio
import time

from devchaos.arena import Arena
from devchaos.checker import Verdict
from devchaos.faults import herd as cut_all
from devchaos.faults import kill, terminate

from loadtests.bench.scenario import Scale
from loadtests.durability.figures import Figure

__all__ = ("drained", "herd", "killed", "terminated")

SLACK = 1.0
"""Seconds that a write of the journal may take beyond its interval where one machine plays all users, too."""


async def killed(scale: Scale) -> list[Figure]:
    """SIGKILL of one of three replicas."""
    return await _one_goes("SIGKILL", scale)


async def terminated(scale: Scale) -> list[Figure]:
    """SIGTERM of one of three replicas."""
    return await _one_goes("SIGTERM", scale)


async def _one_goes(name: str, scale: Scale) -> list[Figure]:
    count = scale.count(300, 30)
    fault = {"SIGKILL": kill, "SIGTERM": terminate}[name]
    async with Arena(visitors=count, think=5, slack=SLACK) as arena:
        await arena.everybody_used_it(1)
        await fault(arena, arena.fleet.replicas[0])
        await arena.everybody_used_it(1)
        verdict = await arena.verdict()
    return _back(f"{name} with {count} sessions on 3 replicas", verdict)


async def drained(scale: Scale) -> list[Figure]:
    """SIGTERM of a replica that holds all sessions there are."""
    count = scale.count(1000, 60)
    async with Arena(visitors=0, think=60, slack=SLACK) as arena:
        leaving = arena.fleet.replicas[0]
        for visitor in await arena.admit(count, leaving.port):
            visitor.port = arena.fleet.nginx.port
        began = time.monotonic()
        leaving.terminate()
        code = await asyncio.to_thread(leaving.wait, 120)
        took = time.monotonic() - began
        await arena.everybody_moved(1)
        verdict = await arena.verdict()
    label = f"{count} sessions on one replica drain"
    figures = [
        Figure(f"{label}: until it ended", took, "s", most=15),
        Figure(f"{label}: exit code", code, most=0),
    ]
    return figures + _back(label, verdict)


async def herd(scale: Scale) -> list[Figure]:
    """All connections are cut at once; the replicas live."""
    count = scale.count(1000, 60)
    async with Arena(visitors=count, think=60, slack=SLACK) as arena:
        await cut_all(arena)
        await arena.everybody_moved(1)
        verdict = await arena.verdict()
    return _back(f"{count} connections on 3 replicas are cut", verdict)


def _back(label: str, verdict: Verdict) -> list[Figure]:
    for problem in verdict.problems[:20]:
        print(f"  {problem}", flush=True)
    lost = Figure(f"{label}: lost or changed", len(verdict.problems), most=0)
    return [
        Figure(f"{label}: moves", verdict.moves),
        lost,
        *(
            Figure(f"{label}: back, p{share:.0%}".rstrip("%"), verdict.percentile(share), "s")
            for share in (0.5, 0.99)
        ),
        Figure(f"{label}: back, slowest", verdict.slowest, "s"),
    ]
