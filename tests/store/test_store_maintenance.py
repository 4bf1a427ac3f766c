"""Maintenance mode in the store: per app and for all, told with heartbeats."""

from __future__ import annotations

from typing import Any

from store.contract import Heartbeat
from store.keys import Keys
from store.maintenance import ALL_APPS, MaintenanceNotice
from store.redis_store import RedisStore

BEAT = Heartbeat("a", "http://a", "1", 0.0)
NOTICE = MaintenanceNotice("back at nine", 1.5, retry_after=30, operator="ada@laptop")
OTHER = MaintenanceNotice("the archive moves", 2.5)


async def test_replicas_are_told_what_it_was_begun_for(store: RedisStore) -> None:
    assert (await store.beat(BEAT, ttl=5)).maintenance == {}

    await store.maintenance.begin(ALL_APPS, NOTICE)
    await store.maintenance.begin("/ä", OTHER)

    assert (await store.beat(BEAT, ttl=5)).maintenance == {ALL_APPS: NOTICE, "/ä": OTHER}
    assert await store.maintenance.all() == {ALL_APPS: NOTICE, "/ä": OTHER}


async def test_a_later_notice_takes_the_place_of_an_earlier_one(store: RedisStore) -> None:
    await store.maintenance.begin("/a", NOTICE)
    await store.maintenance.begin("/a", OTHER)

    assert await store.maintenance.all() == {"/a": OTHER}


async def test_it_ends_for_one_app_or_for_everything(store: RedisStore) -> None:
    for app in (ALL_APPS, "/a", "/b"):
        await store.maintenance.begin(app, NOTICE)

    for _ in range(2):
        await store.maintenance.end("/a")
        assert await store.maintenance.all() == {ALL_APPS: NOTICE, "/b": NOTICE}

    for _ in range(2):
        await store.maintenance.end(by="ada@laptop")
        assert await store.maintenance.all() == {}
    told = await store.beat(BEAT, ttl=5)
    assert (told.maintenance, told.maintenance_ended_by) == ({}, "ada@laptop")


async def test_a_notice_that_cannot_be_read_counts_all_the_same(store: RedisStore) -> None:
    link: Any = store._link
    await link.send("HSET", Keys().maintenance, b"/a", b"of a later release")

    assert (await store.beat(BEAT, ttl=5)).maintenance == {"/a": MaintenanceNotice("", 0.0)}
