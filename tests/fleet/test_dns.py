"""Nameservers that hang, or know nothing: replicas live on, and nobody takes their sessions.

Real lookups by glibc, at a nameserver of our own.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack

import pytest
from devchaos.names import NameServer, no_resolver
from devfleet.ports import free_port
from devfleet.redis_server import RedisServer
from devfleet.replica import Replica
from harness.apps import CountedApp
from harness.client import Client
from harness.tools import require, unavailable
from harness.wire import WireClosed
from operations.scrape import scrape, until

StartReplica = Callable[..., Replica]

DOUBTED = 3.0
"""Seconds of silence in which an owner is seized from, and more."""


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    require("redis-server")
    with RedisServer() as server:
        yield server


@pytest.fixture
async def names() -> AsyncIterator[NameServer]:
    if reason := no_resolver():
        unavailable(reason)
    async with NameServer() as started:
        yield started


@pytest.fixture
def start(plain: CountedApp, redis: RedisServer) -> Iterator[StartReplica]:
    """Starts a replica: `await start(names, redis_host=..., args=...)` asks that nameserver."""
    with ExitStack() as started:

        async def one(
            names: NameServer | None = None, *, redis_host: str = "127.0.0.1", **options: object
        ) -> Replica:
            url = f"redis://{redis_host}:{redis.port}/0"
            env = names.env if names else {}
            replica = Replica([plain.path], redis_url=url, env=env, **options)  # type: ignore[arg-type]
            started.callback(replica.stop, 60)  # it may have to wait for a lookup
            return await replica.start_async()

        yield one


async def refused(replica: Replica, token: str) -> int | None:
    """The code with which a socket is closed at once."""
    client = Client(replica.app_url(), token)
    with pytest.raises(WireClosed):
        await client.connect()
    return client.close_code


@pytest.mark.parametrize("broken", [False, True], ids=["connected", "connections to Redis break"])
async def test_a_replica_whose_nameserver_hangs_keeps_its_sessions(
    start: StartReplica, names: NameServer, redis: RedisServer, broken: bool
) -> None:
    owner, other = await start(names, redis_host="redis.chaos.test"), await start()
    client = await Client.open(owner.app_url())
    await client.patch("slider", value=4)
    names.answering = False
    if broken:
        redis.command("CLIENT", "KILL", "TYPE", "normal")

    ends, value = time.monotonic() + DOUBTED, 4
    while time.monotonic() < ends:
        value += 1
        await client.patch("slider", value=value)
        async with Client(other.app_url(), client.token) as through:
            await through.pull()
            assert through.value("slider", "value") == value

    assert not other.matching("seizing the session")
    assert owner.status("/readyz") == 200
    assert names.ignored > 0 or not broken
    until(lambda: scrape(owner.url)("svc_journal_lag_seconds") == 0)
    owner.kill()
    await client.wait_closed()
    client.url = other.app_url()
    await client.reconnect()
    assert client.value("slider", "value") == value
    await client.close()


async def test_an_owner_whose_name_is_not_found_is_not_gone(start: StartReplica, names: NameServer) -> None:
    port = free_port()
    advertised = ["--advertise", f"http://owner.chaos.test:{port}"]
    owner, other = await start(port=port, args=advertised), await start(names)
    client = await Client.open(owner.app_url())
    await client.patch("slider", value=4)
    names.knowing = False

    assert await refused(other, client.token) == 1013

    other.wait_line("which is alive, cannot be dialled from here")
    assert not other.matching("seizing the session")
    assert scrape(other.url)("svc_claims_total", outcome="unreached") == 1
    await client.patch("slider", value=5)
    names.knowing = True
    async with Client(other.app_url(), client.token) as through:
        await through.pull()
        assert through.value("slider", "value") == 5
    until(lambda: scrape(owner.url)("svc_journal_lag_seconds") == 0)
    owner.kill()
    names.knowing = False
    async with Client(other.app_url(), client.token) as after:
        await after.pull()
        assert after.value("slider", "value") == 5
    await client.close()
