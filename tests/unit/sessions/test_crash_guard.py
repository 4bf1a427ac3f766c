"""How much a session is trusted that comes from a dead replica, and what is announced before it is done."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import nullcontext
from typing import Any
from unittest.mock import Mock

import pytest

from service.errors import AppError
from service.sessions import crash_guard as module
from service.sessions.crash_guard import ANNOUNCEMENTS_PER_SECOND, CrashGuard, TakeoverMode, takeover_mode
from store.connect import open_store
from store.contract import Claim, Heartbeat, Outcome, SessionKey
from store.errors import StoreUnavailable
from store.redis_store import RedisStore

KEY, OTHER = SessionKey("/app", "s"), SessionKey("/app", "t")


@pytest.mark.parametrize(
    ("deaths", "suspects", "alone", "mode"),
    [
        (0, 0, 0, TakeoverMode.NONE),
        (1, 0, 0, TakeoverMode.NONE),
        (1, 1, 1, TakeoverMode.NO_REPLAY),
        (1, 2, 0, TakeoverMode.NO_REPLAY),
        (2, 0, 0, TakeoverMode.NO_REPLAY),
        (2, 1, 1, TakeoverMode.NO_REPLAY),
        (2, 1, 2, TakeoverMode.NO_REPLAY),
        (3, 0, 0, TakeoverMode.NO_REPLAY),
        (3, 2, 0, TakeoverMode.ALONE),
        (3, 1, 1, TakeoverMode.ALONE),
        (3, 1, 2, TakeoverMode.PARK),
        (9, 0, 0, TakeoverMode.NO_REPLAY),
    ],
)
def test_caution_grows_with_deaths_and_parks_who_twice_was_the_only_suspect(
    deaths: int, suspects: int, alone: int, mode: TakeoverMode
) -> None:
    assert takeover_mode(Claim(Outcome.OWN, "me", 7, deaths=deaths, suspects=suspects, alone=alone)) is mode


@pytest.fixture
async def store() -> AsyncIterator[RedisStore]:
    opened = open_store(None)
    yield opened
    await opened.close()


async def announced(store: RedisStore) -> set[bytes]:
    found: set[bytes] = await store._link.send("SMEMBERS", "svc:replica:me:work")
    return found


def session(*, input_ago: float, key: SessionKey = KEY) -> Any:
    return Mock(key=key, last_input=time.monotonic() - input_ago)


async def test_a_timer_soon_after_an_input_is_announced_while_it_runs(store: RedisStore) -> None:
    crash_guard = CrashGuard(store, "me")
    async with crash_guard.timer(session(input_ago=1)):
        async with crash_guard.timer(session(input_ago=1)):
            pass
        assert await announced(store) == {KEY.tag.encode()}, "one of the two is still at work"
    while await announced(store):  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0)


async def test_timers_that_follow_each_other_are_announced_once(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ANNOUNCEMENT_LINGER_SECONDS", 0.5)
    asked = Mock(wraps=store)
    crash_guard = CrashGuard(asked, "me")
    for _ in range(5):
        async with crash_guard.timer(session(input_ago=1)):
            assert await announced(store) == {KEY.tag.encode()}
    while await announced(store):  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0)
    assert (asked.announce.call_count, asked.withdraw.call_count) == (1, 1)

    async with crash_guard.timer(session(input_ago=1)):
        assert await announced(store) == {KEY.tag.encode()}, "it is announced anew"


async def test_what_is_announced_again_is_not_withdrawn_afterwards(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ANNOUNCEMENT_LINGER_SECONDS", 0)
    going, may_go = asyncio.Event(), asyncio.Event()

    async def withdraw(*args: Any) -> None:
        going.set()
        await may_go.wait()
        await store.withdraw(*args)

    crash_guard = CrashGuard(Mock(wraps=store, withdraw=withdraw), "me")
    async with crash_guard.timer(session(input_ago=1)):
        pass
    await going.wait()
    asyncio.get_running_loop().call_soon(may_go.set)
    async with crash_guard.timer(session(input_ago=1)):
        assert await announced(store) == {KEY.tag.encode()}


async def test_other_timers_cost_nothing(store: RedisStore) -> None:
    crash_guard = CrashGuard(store, "me")
    async with crash_guard.timer(session(input_ago=1000)):
        assert await announced(store) == set()


async def test_more_timers_than_the_budget_allows_are_not_announced(store: RedisStore) -> None:
    asked = Mock(wraps=store)
    crash_guard = CrashGuard(asked, "me")
    for number in range(10 * int(ANNOUNCEMENTS_PER_SECOND)):
        async with crash_guard.timer(session(input_ago=1, key=SessionKey("/app", str(number)))):
            pass
    assert asked.announce.call_count < 5 * ANNOUNCEMENTS_PER_SECOND


async def test_a_store_that_is_away_holds_nobody_up_twice() -> None:
    async def away(*_: Any) -> None:
        raise StoreUnavailable("away")

    store = Mock(announce=Mock(side_effect=away), withdraw=Mock(side_effect=away))
    crash_guard = CrashGuard(store, "me")
    for _ in range(5):
        async with crash_guard.timer(session(input_ago=1)):
            pass
    assert store.announce.call_count == 1


@pytest.mark.parametrize("fails", ["announce", "withdraw"])
async def test_what_could_not_be_withdrawn_is_withdrawn_later(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    """Else whatever ends this replica would be laid on a session that was idle for minutes."""
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.01)
    done = getattr(store, fails)
    calls = 0

    async def late(*args: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 1 and fails == "withdraw":
            raise StoreUnavailable("away")
        await done(*args)
        if calls == 1:
            raise StoreUnavailable("the answer came too late")

    asked = Mock(wraps=store, **{fails: late})
    async with CrashGuard(asked, "me").timer(session(input_ago=1)):
        pass
    while await announced(store) or (fails == "announce" and asked.withdraw.call_count < 2):  # noqa: ASYNC110
        await asyncio.sleep(0)


async def test_who_is_trusted_is_not_observed(store: RedisStore) -> None:
    async with CrashGuard(store, "me").taking_over(KEY, TakeoverMode.NONE):
        assert await announced(store) == set()


async def test_one_after_the_other_where_it_must_be_known_who_it_was(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "OBSERVED_SECONDS", 0.05)
    crash_guard, seen = CrashGuard(store, "me"), []

    async def take_over(key: SessionKey, mode: TakeoverMode) -> None:
        async with crash_guard.taking_over(key, mode):
            seen.append(await announced(store))

    await asyncio.gather(take_over(KEY, TakeoverMode.ALONE), take_over(OTHER, TakeoverMode.ALONE))
    while await announced(store):  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0)

    assert seen == [{KEY.tag.encode()}, {OTHER.tag.encode()}]


async def test_an_app_that_ended_three_replicas_is_not_built(store: RedisStore) -> None:
    app = Mock(built=False, path="/app", version="1")
    for replica in ("a", "b", "c"):
        await store.begin_build("/app 1", replica)

    with pytest.raises(AppError, match="3 replicas ended while they started /app"):
        async with CrashGuard(store, "me").building(app):
            raise AssertionError("it was built")

    app.version = "2"
    async with CrashGuard(store, "me").building(app):
        pass


@pytest.mark.parametrize("alive", [True, False])
async def test_who_builds_and_beats_is_alive(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch, alive: bool
) -> None:
    """A heartbeat of before says nothing: who died a moment ago has one."""
    monkeypatch.setattr(module, "CRASHED_REPLICA_SECONDS", 0.5)
    others = [Heartbeat(replica, "http://there", "1", started=0.0) for replica in "abc"]
    for other in others:
        await store.begin_build("/app 1", other.replica)
        await store.beat(other, ttl=60)

    async def beat_on() -> None:
        while alive:
            for other in others:
                await store.beat(other, ttl=60)
            await asyncio.sleep(0.05)

    beating = asyncio.create_task(beat_on())
    with nullcontext() if alive else pytest.raises(AppError, match="3 replicas ended"):
        async with CrashGuard(store, "me").building(Mock(built=False, path="/app", version="1")):
            pass
    beating.cancel()
