"""Many sessions lose their replica at once: all go on as they were, and all for good.

`make durability` measures how long that takes, at full size.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from devchaos.arena import Arena
from devchaos.checker import Verdict
from devchaos.faults import herd, terminate

StartArena = Callable[..., Awaitable[Arena]]


def holds(verdict: Verdict) -> None:
    """Nothing was lost or changed."""
    assert not verdict.problems, f"{verdict}\n" + "\n".join(verdict.problems)


@pytest.mark.timeout(180)
async def test_nobody_minds_that_a_replica_goes(
    arena: StartArena, record_property: Callable[..., None]
) -> None:
    """Sliders, curves that callbacks made, models that clicks added, random data; SIGKILL, SIGTERM."""
    started = await arena(visitors=60, think=1)
    killed, terminated, _ = started.fleet.replicas
    await started.everybody_used_it(3)

    killed.kill()
    await started.everybody_used_it(3)
    moved = started.moves
    await killed.start_async()
    await terminate(started, terminated)
    await started.everybody_used_it(3)

    verdict = await started.verdict()
    record_property("verdict", str(verdict))
    holds(verdict)
    assert moved >= 15, "a third of them was on the killed replica"
    assert verdict.moves >= moved + 15


@pytest.mark.timeout(180)
async def test_a_full_replica_drains(arena: StartArena, record_property: Callable[..., None]) -> None:
    """And then all connections of its former sessions are cut at once."""
    started = await arena(visitors=0, think=10, slack=1)
    leaving = started.fleet.replicas[0]
    for visitor in await started.admit(150, leaving.port):
        visitor.port = started.fleet.nginx.port

    leaving.terminate()
    assert await asyncio.to_thread(leaving.wait, 60) == 0

    await started.everybody_moved(1)
    await leaving.start_async()
    await herd(started)
    await started.everybody_moved(2)
    verdict = await started.verdict()
    record_property("verdict", str(verdict))
    holds(verdict)
    assert verdict.late == 0
    assert verdict.moves == 2 * 150
