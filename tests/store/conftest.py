"""Stores to test: the embedded one, and one over a real Redis that is empty at the start of each test."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from harness.redis_server import RedisServer

from store.connect import open_store
from store.encryption import PLAIN, Encryption
from store.redis_store import RedisStore

BACKENDS = (
    "embedded",
    "embedded encrypted",
    pytest.param("redis", marks=pytest.mark.redis),
    pytest.param("redis encrypted", marks=pytest.mark.redis),
)
SECRET = "a secret of the tests"


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """Shared; for tests that leave it as they found it, but for its data."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def own_redis_server() -> Iterator[Callable[..., RedisServer]]:
    """Starts servers for one test alone, which may break them."""
    started: list[RedisServer] = []

    def start(**options: str) -> RedisServer:
        started.append(RedisServer(options))
        started[-1].start()
        return started[-1]

    yield start
    for server in started:
        server.__exit__()


@pytest.fixture
async def opened() -> AsyncIterator[Callable[..., RedisStore]]:
    """Opens stores, which are closed at the end of the test."""
    stores: list[RedisStore] = []

    def open_one(*args: Any, **options: Any) -> RedisStore:
        stores.append(open_store(*args, **options))
        return stores[-1]

    yield open_one
    for store in stores:
        await store.close()


@pytest.fixture(params=BACKENDS)
async def store(
    request: pytest.FixtureRequest, opened: Callable[..., RedisStore]
) -> AsyncIterator[RedisStore]:
    """One empty store of each kind."""
    kind, _, encrypted = request.param.partition(" ")
    encryption = Encryption([SECRET], writes=True) if encrypted else PLAIN
    if kind == "embedded":
        yield opened(None, encryption=encryption)
        return
    server: RedisServer = request.getfixturevalue("redis_server")
    server.command("FLUSHALL")
    yield opened(server.socket_url, encryption=encryption)


class Raw:
    """Looks behind the store: plain commands on the same data."""

    def __init__(self, store: RedisStore) -> None:
        self._twin = store.twin()

    async def __call__(self, *args: Any) -> Any:
        return await self._twin._link.send(*args)

    async def keys(self) -> dict[str, tuple[str, bool]]:
        """Every key with its type and whether it expires."""
        names = sorted(await self("KEYS", "*"))
        return {
            name.decode(): ((await self("TYPE", name)).decode(), await self("PTTL", name) > 0)
            for name in names
        }

    async def close(self) -> None:
        await self._twin.close()


@pytest.fixture
async def raw(store: RedisStore) -> AsyncIterator[Raw]:
    behind = Raw(store)
    yield behind
    await behind.close()


async def until(check: Callable[[], Awaitable[Any]], *, within: float = 30.0) -> Any:
    """What ``check`` gives once that is true."""
    deadline = time.monotonic() + within
    while not (found := await check()):
        assert time.monotonic() < deadline, f"not within {within} s"
        await asyncio.sleep(0.005)
    return found


@pytest.fixture(name="until")
def until_fixture() -> Callable[..., Awaitable[Any]]:
    return until
