"""Redis is found by its name as long as names are found, and where it was when they are not."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest
from harness.redis_server import RedisServer

from store import addresses
from store.errors import StoreUnavailable
from store.redis_store import RedisStore

NAME = "redis.example"


class Names:
    """Lookups of :data:`NAME`, which find ``found``; or nothing at all, or wait until they may go on."""

    def __init__(self) -> None:
        self.found = ["127.0.0.1"]
        self.go_on = threading.Event()
        self.go_on.set()
        self.asked = 0
        self._right = socket.getaddrinfo

    def lookup(self, host: Any, port: Any, *args: Any, **options: Any) -> Any:
        if host != NAME:
            return self._right(host, port, *args, **options)
        self.asked += 1
        self.go_on.wait()
        if not self.found:
            raise socket.gaierror(socket.EAI_AGAIN, "temporary failure in name resolution")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in self.found]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    made = Names()
    monkeypatch.setattr(socket, "getaddrinfo", made.lookup)
    addresses._found.clear()
    return made


@pytest.fixture
def store(
    names: Names, own_redis_server: Callable[..., RedisServer], opened: Callable[..., RedisStore]
) -> RedisStore:
    return opened(f"redis://{NAME}:{own_redis_server().port}", patience=1.0)


async def connected_anew(store: RedisStore) -> None:
    await store._link.client.refresh()
    await store.ping()


async def test_one_of_several_addresses_will_do(store: RedisStore, names: Names) -> None:
    names.found = ["127.0.0.2", "127.0.0.1"]
    await store.ping()
    await connected_anew(store)


async def test_a_name_that_is_not_found_any_more_stands_for_what_it_did(
    store: RedisStore, names: Names
) -> None:
    await store.ping()
    names.found = []
    await connected_anew(store)
    assert names.asked == 2


async def test_one_lookup_at_a_time_hangs_and_nobody_with_it(store: RedisStore, names: Names) -> None:
    await store.ping()
    names.go_on.clear()
    for _ in range(3):
        await connected_anew(store)
    await asyncio.gather(*(store.ping() for _ in range(10)))
    assert names.asked == 2
    names.go_on.set()  # for whose thread the event loop waits as it closes


async def test_a_name_that_moved_is_found_again(store: RedisStore, names: Names) -> None:
    names.found = ["127.0.0.2"]  # where nobody listens
    with pytest.raises(StoreUnavailable):
        await store.ping()
    names.found = ["127.0.0.1"]
    await store.ping()


async def test_a_name_that_never_was_found_is_an_error(store: RedisStore, names: Names) -> None:
    names.found = []
    with pytest.raises(StoreUnavailable, match="name resolution"):
        await store.ping()
