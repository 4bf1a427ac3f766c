"""Journals that get to the store while the event loop they come from has no time at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from devfleet.redis_server import eventually
from harness.redis_server import RedisServer

from store.contract import JournalWrite, PageRequest, SessionKey, Written
from store.errors import StoreUnavailable
from store.journal_thread import JournalThread
from store.redis_store import RedisStore

pytestmark = pytest.mark.redis

KEY = SessionKey("/app", "one")


@pytest.fixture
async def store(redis_server: RedisServer, opened: Callable[..., RedisStore]) -> RedisStore:
    redis_server.command("FLUSHALL")
    return opened(redis_server.url)


@pytest.fixture
async def journals(store: RedisStore) -> AsyncIterator[JournalThread]:
    thread = JournalThread(store.twin())
    thread.start()
    yield thread
    await thread.close()


def write(epoch: int, number: int = 1) -> JournalWrite:
    return JournalWrite(KEY, epoch, number, {"v:p1:value": b"kept"})


async def test_a_write_needs_no_turn_of_the_event_loop(
    redis_server: RedisServer, store: RedisStore, journals: JournalThread
) -> None:
    epoch = (await store.claim(KEY, "a", request=PageRequest())).epoch
    writing = asyncio.create_task(journals.write_journals("a", [write(epoch)]))
    await asyncio.sleep(0)  # it has begun

    # Without any await: as long as it takes, nothing else runs on this loop.
    eventually(lambda: redis_server.command("EXISTS", store._keys.journal(KEY.tag)), within=30)

    assert await writing == [Written.OK]
    assert (await store.read_journal(KEY))["v:p1:value"] == b"kept"
    assert await journals.reassert(KEY, "a", epoch=epoch, request=PageRequest()) is Written.OK


async def test_what_fails_there_is_raised_here(journals: JournalThread) -> None:
    await journals._store.close()

    with pytest.raises(StoreUnavailable):
        await journals.write_journals("a", [write(1)])
