"""Sessions that change their replica, as their users see it: by SIGKILL, SIGTERM, a drain, a broken network.

Users are those of the chaos tests, and so is their judge: a figure counts only where nothing was lost.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from devchaos.arena import Arena
from devchaos.checker import Verdict
from devchaos.faults import herd as cut_all
from devchaos.faults import kill, terminate
from devchaos.visitor import SLOW_APP, Visitor
from devfleet.replica import Replica

from loadtests.bench.scenario import Scale
from loadtests.bench.servers import cpu_seconds
from loadtests.durability.figures import Figure

__all__ = ("drained", "herd", "killed", "slow", "terminated")

Env: TypeAlias = "Mapping[str, str | None] | None"
"""Of the replicas: with another checkout on their path they are of that build."""

SLACK = 1.0
"""Seconds that a write of the journal may take beyond its interval where one machine plays all users, too."""


async def killed(scale: Scale, env: Env = None) -> list[Figure]:
    """SIGKILL of one of three replicas."""
    return await _one_goes("SIGKILL", scale, env)


async def terminated(scale: Scale, env: Env = None) -> list[Figure]:
    """SIGTERM of one of three replicas."""
    return await _one_goes("SIGTERM", scale, env)


async def _one_goes(name: str, scale: Scale, env: Env) -> list[Figure]:
    count = scale.count(300, 30)
    fault = {"SIGKILL": kill, "SIGTERM": terminate}[name]
    async with Arena(visitors=count, think=5, slack=SLACK, env=env) as arena:
        await _all_is_written(arena)
        await fault(arena, arena.fleet.replicas[0])
        await arena.everybody_used_it(1)
        verdict = await arena.verdict()
    label = f"{name} with {count} sessions on 3 replicas"
    if name == "SIGKILL":
        return _back(label, verdict, most={"p50": 0.4, "p99": 1}, row="kill")
    return _back(label, verdict)


async def slow(scale: Scale, env: Env = None) -> list[Figure]:
    """SIGKILL of a replica whose app takes a second to build. Its users go on at once."""
    count, others = scale.count(20, 6), 4
    async with Arena(visitors=0, think=0.2, slack=SLACK, users_of=[SLOW_APP], env=env) as arena:
        victim, *survivors = arena.fleet.replicas
        moving = await arena.admit(count, victim.port)
        for each in survivors:
            await arena.admit(others // 2, each.port)
        staying = arena.visitors[count:]
        for visitor in moving:
            visitor.port = arena.fleet.nginx.port
        await _all_is_written(arena)
        victim.kill()
        died, used = time.monotonic(), _cpu(survivors)
        await _moved(moving)
        shown = _cpu(survivors) - used
        await arena.everybody_used_it(1)
        answered = [_answered_after(each) for each in moving]
        waited = max(_longest_answer(each, died) for each in staying)
        verdict = await arena.verdict()
    label = f"SIGKILL with {count} sessions whose app takes 1 s to build"
    return [
        *_back(label, verdict),
        Figure(f"{label}: all are shown again", verdict.slowest, "s", most=1, key="slow shown"),
        Figure(f"{label}: a move at once", max(answered), "s", most=3, key="slow answered"),
        Figure(f"{label}: longest answer to others", waited, "s", most=0.1, key="slow stayed"),
        Figure(f"{label}: CPU until shown", 1000 * shown / count, "ms", most_times=0.2, key="slow cpu"),
    ]


async def _all_is_written(arena: Arena) -> None:
    """Return when everybody has used the app and even a slow write has reached the store."""
    await arena.everybody_used_it(1)
    await asyncio.sleep(2 * SLACK)


async def _moved(visitors: Sequence[Visitor]) -> None:
    """Return when all of them have come back."""
    async with asyncio.timeout(90):
        while not all(each.log.moves or each.log.failure for each in visitors):  # noqa: ASYNC110 - no events
            await asyncio.sleep(0.01)


def _answered_after(visitor: Visitor) -> float:
    """Seconds from the drop of its socket until the first change that it made afterwards was answered."""
    move = visitor.log.moves[0]
    answered = (change.acked for change in visitor.log.changes[move.changes :] if change.acked is not None)
    return next(answered, float("inf")) - move.dropped


def _longest_answer(visitor: Visitor, since: float) -> float:
    changes = (each for each in visitor.log.changes if each.acked is not None and each.acked >= since)
    return max(each.acked - each.sent for each in changes if each.acked is not None)


def _cpu(replicas: Sequence[Replica]) -> float:
    return sum(cpu_seconds(each.pid) for each in replicas)


async def drained(scale: Scale, env: Env = None) -> list[Figure]:
    """SIGTERM of a replica that holds all sessions there are."""
    count = scale.count(1000, 60)
    async with Arena(visitors=0, think=60, slack=SLACK, env=env) as arena:
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
        Figure(f"{label}: until it ended", took, "s", most=5, key="drain ended"),
        Figure(f"{label}: exit code", code, most=0),
    ]
    return figures + _back(label, verdict)


async def herd(scale: Scale, env: Env = None) -> list[Figure]:
    """All connections are cut at once; the replicas live."""
    count = scale.count(1000, 60)
    async with Arena(visitors=count, think=60, slack=SLACK, env=env) as arena:
        await cut_all(arena)
        await arena.everybody_moved(1)
        verdict = await arena.verdict()
    return _back(f"{count} connections on 3 replicas are cut", verdict, most={"p99": 3}, row="herd")


def _back(
    label: str, verdict: Verdict, most: Mapping[str, float] | None = None, row: str = ""
) -> list[Figure]:
    """With targets in seconds for some ("p50", "p99"), which are those of a ``row`` of the main table."""
    for problem in verdict.problems[:20]:
        print(f"  {problem}", flush=True)
    targets = most or {}
    seconds = {"p50": verdict.percentile(0.5), "p99": verdict.percentile(0.99), "slowest": verdict.slowest}
    return [
        Figure(f"{label}: moves", verdict.moves),
        Figure(f"{label}: lost or changed", len(verdict.problems), most=0),
        *(
            Figure(
                f"{label}: back, {name}", value, "s", most=targets.get(name),
                key=f"{row} {name}" if name in targets else "",
            )
            for name, value in seconds.items()
        ),
    ]  # fmt: skip
