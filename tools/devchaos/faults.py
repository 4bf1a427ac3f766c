"""What happens to a fleet. Each fault is a coroutine that returns when it is over and all is whole again."""

from __future__ import annotations

import asyncio
import os
import random
import resource
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from urllib.parse import urlsplit

from devfleet.replica import Replica

from devchaos.arena import POISON_FILE, Arena
from devchaos.clocks import WrongClock, no_libfaketime
from devchaos.names import NameServer, no_resolver
from loadtests.bench.client import Tab
from loadtests.bokehjs import RECONNECT_DELAYS

__all__ = ("FAULTS", "MISSING", "freeze_long", "kill", "terminate")

SHORT = 0.4
"""Seconds of a pause that nobody should mind."""

POISON = POISON_FILE.stem

LONG = 4.0
"""Seconds of a pause in which the others take over."""

WRONG = (60, -60, 3600, 0)
"""How many seconds a clock is ahead, one after the other."""

GIVEN_UP = 12.0
"""Seconds in which glibc has given up a lookup that nobody answers: twice five."""

STORE_NAME = "redis.chaos.test"


async def kill(arena: Arena, replica: Replica | None = None) -> None:
    """SIGKILL of a replica; it is started again."""
    victim = replica or random.choice(arena.fleet.replicas)
    victim.kill()
    await victim.start_async()


async def terminate(arena: Arena, replica: Replica | None = None) -> None:
    """SIGTERM of a replica, which has to end well; it is started again."""
    victim = replica or random.choice(arena.fleet.replicas)
    victim.terminate()
    code = await asyncio.to_thread(victim.wait, 40)
    if code not in victim.good_exits:
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
        _cut_half(arena)
        await asyncio.sleep(LONG)
    await asyncio.to_thread(arena.fleet.balance_over, arena.fleet.replicas)


async def partition(arena: Arena) -> None:
    """One replica is cut off from all others for a while; half of the users come back elsewhere."""
    assert arena.island is not None, "start the arena with an island"
    cut_off = arena.fleet.replicas[-1]
    arena.island.cut()
    try:
        await asyncio.to_thread(arena.fleet.balance_over, arena.fleet.others(cut_off))
        _cut_half(arena)
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


async def key_rotation(arena: Arena) -> None:
    """A new secret key for one replica after the other; in between they do not have the same."""
    old, arena.secret = arena.secret, secrets.token_hex(16)
    for replica in random.sample(arena.fleet.replicas, len(arena.fleet.replicas)):
        replica.configure("--secret-key", arena.secret, "--previous-secret-key", old)
        await terminate(arena, replica)
        await asyncio.sleep(1)


async def clock_skew(arena: Arena) -> None:
    """A replica's clock is a minute ahead, jumps back, and so on, while users come, and come back."""
    clock = WrongClock(arena.home / "clock")
    async with _changed(arena, clock.env) as victim:
        with _nobody_seizes(arena):
            for seconds in WRONG:
                clock.set(seconds)
                _cut_half(arena)
                await arena.admit(len(arena.fleet.replicas))
                await arena.everybody_used_it()
        assert victim.running


async def dns_hangs(arena: Arena) -> None:
    """A replica that knows Redis by its name gets no answer from its nameserver any more; users come back."""
    async with NameServer() as names:
        url = f"redis://{STORE_NAME}:{urlsplit(arena.redis.url).port}/0"
        async with _changed(arena, names.env, "--redis", url) as victim:
            with _nobody_seizes(arena):
                names.answering = False
                _cut_half(arena)
                await asyncio.sleep(GIVEN_UP)
                await arena.everybody_used_it()
            assert victim.running
            names.answering = True


async def descriptors(arena: Arena) -> None:
    """A replica has no file descriptor left for a while; half of the users come back, also to that one."""
    victim = random.choice(arena.fleet.replicas)
    before = resource.prlimit(victim.pid, resource.RLIMIT_NOFILE)
    in_use = len(os.listdir(f"/proc/{victim.pid}/fd"))
    resource.prlimit(victim.pid, resource.RLIMIT_NOFILE, (in_use, before[1]))
    try:
        _cut_half(arena)
        await asyncio.sleep(LONG)
    finally:
        resource.prlimit(victim.pid, resource.RLIMIT_NOFILE, before)


async def poison(arena: Arena) -> None:
    """Somebody's session ends each replica that restores it; the dead are started again, as by Kubernetes."""
    tab = await Tab.open(arena.fleet.nginx.port, POISON, pull=False)
    await tab.pull_parsed()
    tab.set(tab.id_of("slider"), "value", 3)
    deaths = 0
    for delay in RECONNECT_DELAYS[:4]:
        await asyncio.sleep(delay + 1)
        deaths += await _start_the_dead(arena)
        with suppress(OSError, RuntimeError, TimeoutError):
            async with asyncio.timeout(20):
                await tab.connect()
    await asyncio.sleep(1)
    deaths += await _start_the_dead(arena)
    tab.close()
    if not 1 <= deaths <= 3:
        raise AssertionError(f"one session ended {deaths} replicas")


async def _start_the_dead(arena: Arena) -> int:
    """How many there were."""
    dead = [each for each in arena.fleet.replicas if not each.running]
    for each in dead:
        await each.start_async()
    return len(dead)


async def herd(arena: Arena) -> None:
    """All connections are cut, and everybody comes back at once."""
    for visitor in arena.visitors:
        visitor.cut()
    await asyncio.sleep(0)


def _cut_half(arena: Arena) -> None:
    """Half of the users lose their connections, and come back to whatever replica nginx chooses."""
    for visitor in random.sample(arena.visitors, len(arena.visitors) // 2):
        visitor.cut()


@asynccontextmanager
async def _changed(arena: Arena, env: Mapping[str, str], *flags: str) -> AsyncIterator[Replica]:
    """A replica ends in order and starts with that; and then as it was before."""
    # The last one may live where it cannot reach what the others can.
    victim = random.choice(arena.fleet.replicas[:-1] if arena.island else arena.fleet.replicas)
    victim.configure(*flags)
    victim.set_env(env)
    try:
        await terminate(arena, victim)
        yield victim
    finally:
        victim.configure("--redis", arena.redis.url)
        victim.set_env({})
        await terminate(arena, victim)


@contextmanager
def _nobody_seizes(arena: Arena) -> Iterator[None]:
    """AssertionError when a replica takes sessions from another one: all of them live."""
    before = _seized(arena)
    yield
    if found := [line for line in _seized(arena) if line not in before]:
        raise AssertionError(f"{len(found)} sessions were seized from replicas that live: {found[0]}")


def _seized(arena: Arena) -> list[str]:
    return [line for each in arena.fleet.replicas for line in each.matching("seizing the session from")]


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
    "key rotation": key_rotation,
    "clock skew": clock_skew,
    "DNS that hangs": dns_hangs,
    "descriptors": descriptors,
    "poison": poison,
}

MISSING: dict[str, Callable[[], str | None]] = {
    "clock skew": no_libfaketime,
    "DNS that hangs": no_resolver,
}
"""Why that fault cannot be had here; None where it can."""
