"""The heart: it beats on a thread of its own, tells what came and went, and outlives a store that is away."""

from __future__ import annotations

import asyncio
import errno
import logging
import threading
from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from devfleet.redis_server import RedisServer, eventually

from service.fleet.heartbeat import Heartbeater
from service.fleet.store_clock import StoreClock
from store.connect import open_store
from store.contract import Beat, Heartbeat, PageRequest, SessionKey
from store.maintenance import MaintenanceNotice
from store.redis_store import RedisStore

REPLICA = "r1"
KEY = SessionKey("/app", "one")


class Beating:
    """A heart over a real Redis, and what it said."""

    def __init__(self, url: str) -> None:
        self.store: RedisStore = open_store(url)
        self.changes: deque[tuple[SessionKey, bool]] = deque()
        self.draining = False
        self.doubts = 0
        self.drains: list[str] = []
        self.ends: list[tuple[frozenset[tuple[str, int]], Mapping[str, str]]] = []
        self.maintenance: list[tuple[Mapping[str, MaintenanceNotice], str]] = []
        self.heartbeater = Heartbeater(
            self.store.twin,
            lambda: Heartbeat(REPLICA, "http://127.0.0.1:1", "0", 0.0, draining=self.draining),
            self.changes,
            StoreClock(),
            ttl=5,
            on_doubt=self._doubt,
            on_drain=self.drains.append,
            on_end=lambda *asked: self.ends.append(asked),
            on_maintenance=lambda *told: self.maintenance.append(told),
        )

    def _doubt(self) -> None:
        self.doubts += 1

    async def listed(self, count: int) -> None:
        """Until the store lists that many sessions of this replica."""
        async with asyncio.timeout(30):
            while len(await self.store.sessions(REPLICA)) != count:
                pass  # asks again


@pytest.fixture
async def beating(redis_server: RedisServer) -> AsyncIterator[Beating]:
    redis_server.command("FLUSHALL")
    made = Beating(redis_server.url)
    await made.heartbeater.start(own_thread=True)
    yield made
    await made.heartbeater.stop()
    await made.store.close()


async def test_the_first_beat_is_out_when_it_has_started(beating: Beating) -> None:
    found = await beating.store.replica(REPLICA)
    assert found is not None
    assert beating.heartbeater.beating


async def test_what_others_must_know_at_once_is_in_the_store_when_that_returns(beating: Beating) -> None:
    beating.draining = True
    await beating.heartbeater.beat_now(within=30)

    found = await beating.store.replica(REPLICA)
    assert found is not None
    assert found.draining


async def test_that_is_not_waited_for_while_the_store_is_away(
    beating: Beating, redis_server: RedisServer
) -> None:
    redis_server.pause()
    try:
        await beating.heartbeater.beat_now(within=0.1)
    finally:
        redis_server.resume()


async def test_it_beats_while_the_event_loop_is_blocked(beating: Beating, redis_server: RedisServer) -> None:
    def last_beat() -> bytes:
        return redis_server.command("ZSCORE", "svc:replicas", REPLICA)

    before = last_beat()
    eventually(lambda: last_beat() > before, what="another beat while this blocks the event loop")


async def test_sessions_that_came_and_went_are_told(beating: Beating) -> None:
    await beating.store.claim(KEY, REPLICA, request=PageRequest())
    beating.changes.append((KEY, True))
    await beating.listed(1)
    beating.changes.append((KEY, False))
    await beating.listed(0)


async def test_a_store_that_forgot_the_replica_raises_doubts(
    beating: Beating, redis_server: RedisServer
) -> None:
    redis_server.command("FLUSHALL")
    await asyncio.to_thread(eventually, lambda: beating.doubts)
    assert beating.drains == []


async def test_it_tells_what_somebody_wants_to_end(beating: Beating) -> None:
    claim = await beating.store.claim(KEY, REPLICA, request=PageRequest())
    await beating.store.ask_to_end(KEY, owner=REPLICA, epoch=claim.epoch, by="ada@laptop")

    await asyncio.to_thread(eventually, lambda: beating.ends)

    assert beating.ends[0] == ({(KEY.tag, claim.epoch)}, {KEY.tag: "ada@laptop"})


async def test_it_tells_who_wants_it_to_drain(beating: Beating) -> None:
    await beating.store.ask_to_drain(REPLICA, by="ada@laptop")

    await asyncio.to_thread(eventually, lambda: beating.drains)

    assert beating.drains[0] == "ada@laptop"


async def test_it_tells_once_what_changes_of_maintenance(beating: Beating) -> None:
    notice = MaintenanceNotice("back at nine", 1.0)
    await beating.store.maintenance.begin("/app", notice)
    await asyncio.to_thread(eventually, lambda: beating.maintenance)
    await beating.store.maintenance.end(by="ada@laptop")
    await asyncio.to_thread(eventually, lambda: len(beating.maintenance) > 1)

    assert beating.maintenance == [({"/app": notice}, ""), ({}, "ada@laptop")]


async def test_at_its_end_it_leaves_the_fleet(redis_server: RedisServer) -> None:
    redis_server.command("FLUSHALL")
    made = Beating(redis_server.url)
    await made.heartbeater.start(own_thread=True)
    await made.heartbeater.stop()
    assert await made.store.replicas() == []
    await made.store.close()


async def test_changes_wait_for_a_store_that_is_away() -> None:
    with RedisServer() as redis:
        made = Beating(redis.url)
        await made.heartbeater.start(own_thread=True)
        await made.store.claim(KEY, REPLICA, request=PageRequest())
        redis.kill()
        made.changes.append((KEY, True))
        await asyncio.to_thread(eventually, lambda: not made.heartbeater.beating)
        redis.start()
        await made.store.claim(KEY, REPLICA, request=PageRequest())
        await made.listed(1)
        # The store knows of a beat before the heart hears of its success.
        await asyncio.to_thread(eventually, lambda: made.heartbeater.beating)
        await made.heartbeater.stop()
        await made.store.close()


async def test_a_heart_without_file_descriptors_says_so_in_one_line_and_beats_on(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    redis_server.command("FLUSHALL")
    tried = threading.Event()

    class Narrow(RedisStore):
        left = 3

        async def beat(self, *args: Any, **options: Any) -> Beat:
            self.left -= 1
            if self.left >= 0:
                raise OSError(errno.EMFILE, "Too many open files")
            tried.set()
            return await super().beat(*args, **options)

    made = Beating(redis_server.url)
    narrow = made.store.twin()
    narrow.__class__ = Narrow
    made.changes.append((KEY, True))
    heartbeater = Heartbeater(
        lambda: narrow,
        lambda: Heartbeat(REPLICA, "http://127.0.0.1:1", "0", 0.0),
        made.changes,
        StoreClock(),
        ttl=5,
        on_doubt=made._doubt,
        on_drain=made.drains.append,
        on_end=lambda *asked: made.ends.append(asked),
        on_maintenance=lambda *told: made.maintenance.append(told),
    )
    with caplog.at_level(logging.WARNING, "service.fleet.heartbeat"):
        await heartbeater.start(own_thread=True)
        assert not heartbeater.beating
        await asyncio.to_thread(tried.wait, 20)
        await heartbeater.stop(retire=False)

    assert heartbeater.beating
    assert [record.getMessage() for record in caplog.records] == [
        "a heartbeat cannot be sent: [Errno 24] Too many open files"
    ]
    assert caplog.records[0].exc_info is None
    await made.store.close()
