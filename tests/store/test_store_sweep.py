"""Sessions of replicas that are gone: found, given their time, discarded; never somebody else's."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from store.contract import Heartbeat, PageRequest, SessionKey
from store.redis_store import RedisStore

Until = Callable[..., Awaitable[Any]]
KEYS = [SessionKey("/app", str(i)) for i in range(5)]


def heartbeat(replica: str) -> Heartbeat:
    return Heartbeat(replica=replica, address=f"http://{replica}", version="1", started=0.0)


async def hold(store: RedisStore, replica: str, keys: list[SessionKey]) -> list[int]:
    claims = [await store.claim(key, replica, request=PageRequest()) for key in keys]
    await store.beat(heartbeat(replica), ttl=30, opened=keys)
    return [claim.epoch for claim in claims]


async def die(raw: Any, replica: str) -> None:
    """What a heartbeat that ran out leaves behind."""
    await raw("DEL", f"svc:replica:{replica}")


async def remaining(store: RedisStore) -> list[SessionKey]:
    return [key for key in KEYS if await store.read(key) is not None]


async def sweep_until_none_is_due(store: RedisStore, raw: Any, until: Until, lifetime: float) -> int:
    discarded = 0

    async def done() -> bool:
        nonlocal discarded
        discarded += await store.sweep(lifetime)
        return not await raw("ZCARD", "svc:unused")

    await until(done)
    return discarded


async def lifetimes_end(raw: Any) -> None:
    """What passing time does: all that are due at some time are due now."""
    for tag in await raw("ZRANGE", "svc:unused", 0, -1):
        await raw("ZADD", "svc:unused", "XX", 0, tag)


async def test_sessions_of_a_dead_replica_are_discarded(store: RedisStore, raw: Any, until: Until) -> None:
    await hold(store, "dead", KEYS)
    await hold(store, "alive", [alive := SessionKey("/app", "alive")])
    await die(raw, "dead")

    assert await sweep_until_none_is_due(store, raw, until, 0.02) == len(KEYS)

    assert await remaining(store) == []
    assert await store.read(alive) is not None
    assert await raw("ZRANGE", "svc:replicas", 0, -1) == [b"alive"]
    assert await store.sweep(0.02) == 0


async def test_they_have_their_lifetime(store: RedisStore, raw: Any) -> None:
    await hold(store, "dead", KEYS)
    await die(raw, "dead")
    for _ in range(3):
        assert await store.sweep(30) == 0
    assert await remaining(store) == KEYS
    assert await raw("ZCARD", "svc:unused") == len(KEYS)


async def test_a_session_taken_over_stays(store: RedisStore, raw: Any, until: Until) -> None:
    epochs = await hold(store, "dead", KEYS)
    await die(raw, "dead")
    assert await store.sweep(30) == 0
    await store.seize(KEYS[0], "alive", owner="dead", epoch=epochs[0])
    await store.beat(heartbeat("alive"), ttl=30, opened=KEYS[:1])

    await lifetimes_end(raw)
    assert await sweep_until_none_is_due(store, raw, until, 30) == len(KEYS) - 1

    assert await remaining(store) == KEYS[:1]


async def test_a_stored_session_stays(store: RedisStore, raw: Any, until: Until) -> None:
    epochs = await hold(store, "dead", KEYS[:1])
    await store.release(KEYS[0], "dead", epoch=epochs[0], retention=30)
    await die(raw, "dead")
    assert await sweep_until_none_is_due(store, raw, until, 0.01) == 0
    assert await remaining(store) == KEYS[:1]


async def test_a_replica_that_was_only_late_is_indexed_again(
    store: RedisStore, raw: Any, until: Until
) -> None:
    await hold(store, "late", KEYS)
    await die(raw, "late")
    assert await store.sweep(30) == 0
    await store.beat(heartbeat("late"), ttl=30)
    assert await store.sessions("late") == []

    await lifetimes_end(raw)
    assert await sweep_until_none_is_due(store, raw, until, 30) == 0

    assert {record.key for record in await store.sessions("late")} == set(KEYS)


async def test_dying_again_gives_the_full_lifetime_again(store: RedisStore, raw: Any) -> None:
    await hold(store, "flaps", KEYS[:1])
    await die(raw, "flaps")
    await store.sweep(10)
    first = float(await raw("ZSCORE", "svc:unused", KEYS[0].tag))
    await store.beat(heartbeat("flaps"), ttl=30, opened=KEYS[:1])
    await die(raw, "flaps")

    await store.sweep(20)

    assert float(await raw("ZSCORE", "svc:unused", KEYS[0].tag)) >= first + 9000


async def test_a_call_handles_at_most_its_limit(store: RedisStore, raw: Any, until: Until) -> None:
    await hold(store, "dead", KEYS)
    await die(raw, "dead")
    counts = []

    async def done() -> bool:
        counts.append(await store.sweep(0.001, limit=2))
        return not await remaining(store)

    await until(done)
    assert sum(counts) == len(KEYS)
    assert max(counts) <= 2


async def test_several_sweepers_discard_each_session_once(store: RedisStore, raw: Any, until: Until) -> None:
    await hold(store, "dead", KEYS)
    await die(raw, "dead")
    discarded = 0

    async def done() -> bool:
        nonlocal discarded
        discarded += sum(await asyncio.gather(*(store.sweep(0.01) for _ in range(5))))
        return not await raw("ZCARD", "svc:unused")

    await until(done)
    assert discarded == len(KEYS)
    assert await remaining(store) == []


@pytest.mark.parametrize("step", range(1, 20))
async def test_a_sweep_cut_short_is_finished_by_the_next(
    step: int, store: RedisStore, raw: Any, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    await hold(store, "dead", KEYS)
    await die(raw, "dead")
    steps, link = 0, store._link
    original = link.patiently

    async def cut_short(attempt: Any) -> Any:
        nonlocal steps
        steps += 1
        if steps > step:
            raise ConnectionResetError
        return await original(attempt)

    with monkeypatch.context() as patch:
        patch.setattr(link, "patiently", cut_short)
        try:
            await store.sweep(0.001)
            await store.sweep(0.001)
        except ConnectionResetError:
            pass

    await sweep_until_none_is_due(store, raw, until, 0.001)
    assert await remaining(store) == []
    assert await raw.keys() == {}


async def test_what_a_retired_replica_did_not_release_goes_later(store: RedisStore, raw: Any) -> None:
    await hold(store, "a", KEYS)
    await store.retire("a")
    assert await store.sessions("a") == []
    assert await raw("ZCARD", "svc:unused") == len(KEYS)
    assert await store.sweep(0.001) == 0
    assert await remaining(store) == KEYS


async def test_what_has_expired_takes_no_memory_of_ours(
    opened: Callable[..., RedisStore], until: Until
) -> None:
    store, key = opened(None), KEYS[0]

    async def put_and_sweep(count: int) -> None:
        for number in range(count):
            await store.put_handoff(key, str(number), PageRequest(), ttl=0.01)

        async def gone() -> bool:
            return await store.handoff(key, str(count - 1)) is None

        await until(gone)
        await store.sweep(1.0)

    await put_and_sweep(10)  # scripts are loaded
    gc.collect()
    before = sys.getallocatedblocks()
    await put_and_sweep(1000)

    gc.collect()
    assert sys.getallocatedblocks() - before < 2000  # each takes five or more
