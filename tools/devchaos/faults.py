"""What happens to a fleet. Each fault is a coroutine that returns when it is over and all is whole again."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

from devfleet.replica import Replica

from devchaos.arena import Arena

__all__ = ("FAULTS", "freeze_long", "kill", "terminate")

SHORT = 0.4
"""Seconds of a pause that nobody should mind."""

LONG = 4.0
"""Seconds of a pause in which the others take over."""


async def kill(arena: Arena, replica: Replica | None = None) -> None:
    """SIGKILL of a replica; it is started again."""
    victim = replica or random.choice(arena.fleet.replicas)
    victim.kill()
    await victim.start_async()


async def terminate(arena: Arena, replica: Replica | None = None) -> None:
    """SIGTERM of a replica, which has to end with 0; it is started again."""
    victim = replica or random.choice(arena.fleet.replicas)
    victim.terminate()
    code = await asyncio.to_thread(victim.wait, 40)
    if code != 0:
        raise AssertionError(f"{victim.name} ended with {code}:\n{victim.tail()}")
    await victim.start_async()


async def rolling_restart(arena: Arena) -> None:
    """One replica after the other ends and is started again."""
    for replica in arena.fleet.replicas:
        await terminate(arena, replica)


async def freeze_short(arena: Arena) -> None:
    """SIGSTOP and SIGCONT, too soon for anybody to take over."""
    with random.choice(arena.fleet.replicas).paused():
        await asyncio.sleep(SHORT)


async def freeze_long(arena: Arena, replica: Replica | None = None) -> None:
    """SIGSTOP; its health check takes it out of nginx, some users come back elsewhere; SIGCONT."""
    victim = replica or random.choice(arena.fleet.replicas)
    with victim.paused():
        await asyncio.to_thread(arena.fleet.balance_over, arena.fleet.others(victim))
        for visitor in random.sample(arena.visitors, len(arena.visitors) // 2):
            visitor.cut()
        await asyncio.sleep(LONG)
    await asyncio.to_thread(arena.fleet.balance_over, arena.fleet.replicas)


async def partition(arena: Arena) -> None:
    """One replica is cut off from all others for a while; half of the users come back elsewhere."""
    assert arena.island is not None, "start the arena with an island"
    cut_off = arena.fleet.replicas[-1]
    arena.island.cut()
    try:
        await asyncio.to_thread(arena.fleet.balance_over, arena.fleet.others(cut_off))
        for visitor in random.sample(arena.visitors, len(arena.visitors) // 2):
            visitor.cut()
        await asyncio.sleep(LONG)
    finally:
        arena.island.heal()
    await asyncio.to_thread(arena.fleet.balance_over, arena.fleet.replicas)


async def redis_restart(arena: Arena) -> None:
    """Redis ends in order, and starts with its data."""
    await asyncio.to_thread(arena.redis.shutdown)
    await asyncio.sleep(0.5)
    await asyncio.to_thread(arena.redis.start)


async def redis_kill(arena: Arena) -> None:
    """SIGKILL of Redis, which starts with the data it had written to its log."""
    await asyncio.to_thread(arena.redis.kill)
    await asyncio.to_thread(arena.redis.start)


async def redis_stall(arena: Arena) -> None:
    """Redis answers nothing for 2 seconds."""
    arena.redis.pause()
    try:
        await asyncio.sleep(2)
    finally:
        arena.redis.resume()


async def redis_empty(arena: Arena) -> None:
    """FLUSHALL: everything is gone."""
    await asyncio.to_thread(arena.redis.command, "FLUSHALL")
    await asyncio.sleep(1)


async def scripts_flushed(arena: Arena) -> None:
    """SCRIPT FLUSH, over and over for 2 seconds."""
    until = time.monotonic() + 2
    while time.monotonic() < until:
        await asyncio.to_thread(arena.redis.command, "SCRIPT", "FLUSH")
        await asyncio.sleep(0.02)


async def replies_lost(arena: Arena) -> None:
    """For 3 seconds one of twenty answers of Redis gets lost, after what was asked was done."""
    assert arena.proxy is not None, "start the arena with proxied=True"
    arena.proxy.loss = 0.05
    await asyncio.sleep(3)
    arena.proxy.loss = 0


async def herd(arena: Arena) -> None:
    """All connections are cut, and everybody comes back at once."""
    for visitor in arena.visitors:
        visitor.cut()
    await asyncio.sleep(0)


FAULTS: dict[str, Callable[[Arena], Awaitable[None]]] = {
    "kill": kill,
    "terminate": terminate,
    "rolling restart": rolling_restart,
    "freeze, short": freeze_short,
    "freeze, long": freeze_long,
    "partition": partition,
    "Redis restart": redis_restart,
    "Redis kill": redis_kill,
    "Redis stall": redis_stall,
    "Redis empty": redis_empty,
    "scripts flushed": scripts_flushed,
    "replies lost": replies_lost,
    "herd": herd,
}
