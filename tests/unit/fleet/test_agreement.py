"""Replicas keep agreeing on a secret through a store that loses it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from service.fleet.agreement import Agreement
from store.connect import open_store
from store.redis_store import RedisStore


@pytest_asyncio.fixture
async def store() -> AsyncIterator[RedisStore]:
    opened = open_store(None)
    yield opened
    await opened.close()


class Replica:
    """Notes what it was told to sign with."""

    def __init__(self, store: RedisStore) -> None:
        self.agreement = Agreement(store)
        self.told: list[tuple[str, str | None]] = []

    async def start(self) -> str:
        await self.agreement.on("tokens", lambda secret, previous: self.told.append((secret, previous)))
        return self.told[-1][0]


async def lose(store: RedisStore) -> None:
    await store._link.send("FLUSHALL")


async def test_all_get_the_same(store: RedisStore) -> None:
    assert await Replica(store).start() == await Replica(store).start()


async def test_said_again_it_holds_for_the_next_replica(store: RedisStore) -> None:
    first = Replica(store)
    secret = await first.start()
    await lose(store)

    await first.agreement.again()

    assert await Replica(store).start() == secret
    assert len(first.told) == 1


async def test_a_new_replica_was_faster(store: RedisStore, caplog: pytest.LogCaptureFixture) -> None:
    first = Replica(store)
    secret = await first.start()
    await lose(store)
    other = await Replica(store).start()

    await first.agreement.again()

    assert first.told[-1] == (other, secret)
    assert "was faster" in caplog.text
