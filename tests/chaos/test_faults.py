"""Whatever happens to replicas or Redis, users keep what was acknowledged, and go on.

Each test runs a few visitors through some faults and lets the checker judge what all of them saw. The long
run, with more of everything, is `make chaos`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from devchaos.arena import Arena
from devchaos.faults import FAULTS, MISSING, terminate
from devchaos.visitor import APP, SLOW_APP
from devfleet.asgi import AsgiReplica
from devfleet.replica import Replica
from harness.tools import unavailable

StartArena = Callable[..., Awaitable[Arena]]

VISITORS = 8


async def go_through(arena: Arena, *faults: str) -> None:
    """Everybody uses the app before, between and after the faults; then nothing may be missing."""
    await arena.everybody_used_it()
    for name in faults:
        await FAULTS[name](arena)
        await arena.everybody_used_it()
    verdict = await arena.verdict()
    assert not verdict.problems, f"{verdict}\n" + "\n".join(verdict.problems)


@pytest.mark.parametrize("durability", ["interval", "sync"])
async def test_replicas_go(arena: StartArena, durability: str) -> None:
    started = await arena(visitors=VISITORS, durability=durability)

    await go_through(started, "kill", "terminate", "freeze, long", "herd")

    assert started.moves >= VISITORS


async def test_replicas_go_whose_apps_take_long_to_build(arena: StartArena) -> None:
    """Sessions are shown, used and moved again before their apps have run."""
    started = await arena(visitors=VISITORS, users_of=[APP, SLOW_APP])

    await go_through(started, "kill", "terminate", "freeze, long", "herd")

    assert started.moves >= VISITORS


async def test_redis_goes(arena: StartArena) -> None:
    started = await arena(visitors=VISITORS)

    await go_through(started, "Redis restart", "Redis kill", "Redis stall", "Redis empty", "kill")


async def test_redis_misbehaves(arena: StartArena) -> None:
    started = await arena(visitors=VISITORS, durability="sync", proxied=True)

    await go_through(started, "scripts flushed", "replies lost", "kill")


@pytest.mark.parametrize("fault", list(MISSING))
async def test_replicas_live_in_a_world_that_is_wrong(arena: StartArena, fault: str) -> None:
    """Nobody seizes from them, see the faults; and nothing is lost."""
    if reason := MISSING[fault]():
        unavailable(reason)
    started = await arena(visitors=VISITORS, replicas=2)

    await go_through(started, fault)


@pytest.mark.parametrize("front", [Replica, AsgiReplica])
async def test_nothing_is_lost_when_a_busy_replica_drains(arena: StartArena, front: type[Replica]) -> None:
    """Not even what was acknowledged a moment before, or while the sessions leave."""
    started = await arena(visitors=VISITORS, think=0.01, make_last=front)
    await started.everybody_used_it()

    for replica in started.fleet.replicas[-2:]:
        await terminate(started, replica)
    await started.everybody_used_it()

    verdict = await started.verdict()
    assert not verdict.problems, f"{verdict}\n" + "\n".join(verdict.problems)
    assert verdict.late == 0
