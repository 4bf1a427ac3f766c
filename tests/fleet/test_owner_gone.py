"""The replica that holds a session dies or freezes, and the session's next visitor hardly notices."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from devfleet.fleet import Fleet
from devfleet.redis_server import eventually
from devfleet.replica import Replica
from harness.apps import CountedApp
from harness.client import Client

SHORT_LIVES = ["--unused-session-lifetime", "400", "--check-unused-sessions", "200", "--heartbeat-ttl", "1"]
SHORT_LIVES += ["--session-retention", "0"]


@pytest.fixture
def fleet(
    start_fleet: Callable[..., Fleet], plain: CountedApp, request: pytest.FixtureRequest
) -> Iterator[Fleet]:
    """A fleet for each test: replicas die here."""
    started = start_fleet([plain.path], n=2, args=getattr(request, "param", []))
    yield started
    started.stop()


async def visited(owner: Replica) -> Client:
    """A client whose tab is closed again; `owner` holds its session."""
    client = await Client.open(owner.app_url())
    await client.patch("slider", value=9)
    await client.close()
    return client


async def comes_back(client: Client, elsewhere: Replica) -> None:
    """The same tab is served by another replica."""
    client.url = elsewhere.app_url()
    await client.reconnect()


@pytest.mark.parametrize("way", ["kill", "pause"])
async def test_the_next_visitor_is_served_elsewhere(fleet: Fleet, plain: CountedApp, way: str) -> None:
    owner, other = fleet.replicas
    client = await visited(owner)
    getattr(owner, way)()

    await comes_back(client, other)

    assert client.value("slider", "name") == "slider"
    await client.patch("slider", value=4)
    await client.expect_value("double", "text", "8")
    assert plain.runs[-1] == other.pid  # only now for sure: it was shown from its record, if that was written
    await client.close()


async def test_an_owner_that_wakes_up_does_not_serve_what_it_held(fleet: Fleet) -> None:
    """The session has gone on elsewhere; the former owner relays to there, like everybody else."""
    owner, other = fleet.replicas
    client = await visited(owner)
    owner.pause()
    await comes_back(client, other)
    await client.patch("slider", value=44)
    owner.resume()
    owner.wait_line("another replica owns it now; dropping this copy")

    async with Client(owner.app_url(), client.token) as late:
        await late.pull()
        assert late.value("slider", "value") == 44
    await client.close()


async def test_who_is_connected_through_another_replica_is_told_to_come_back(fleet: Fleet) -> None:
    owner, other = fleet.replicas
    async with await Client.open(owner.app_url()) as client:
        await relayed(client, other)
        owner.kill()
        assert await client.wait_closed() == 1012
        await goes_on(client, other)


async def test_whose_relay_stops_is_told_to_come_back(fleet: Fleet) -> None:
    owner, other = fleet.replicas
    async with await Client.open(owner.app_url()) as client:
        await relayed(client, other)
        other.terminate()
        assert await client.wait_closed() == 1012
        await goes_on(client, owner)


async def relayed(client: Client, by: Replica) -> None:
    client.url = by.app_url()
    await client.reconnect()


async def goes_on(client: Client, at: Replica) -> None:
    """The tab comes back to a replica, and what it does there is answered."""
    client.url = at.app_url()
    await client.reconnect()
    await client.patch("slider", value=5)
    await client.expect_value("double", "text", "10")


async def test_through_the_balancer_as_well(fleet: Fleet) -> None:
    client = await visited(fleet.replicas[0])
    client.url = fleet.app_url()
    fleet.replicas[0].kill()
    await client.reconnect()
    await client.close()


@pytest.mark.parametrize("fleet", [SHORT_LIVES], indirect=True)
async def test_sessions_of_a_dead_replica_disappear_from_the_store(fleet: Fleet) -> None:
    owner, _ = fleet.replicas
    async with await Client.open(owner.app_url()), await Client.open(owner.app_url()):
        eventually(lambda: indexed(fleet) == [2], what="the heart has beaten since")
        assert len(held(fleet)) == 2
        owner.kill()
        eventually(lambda: not held(fleet), within=60, what="the dead replica's sessions are gone")
    eventually(lambda: len(fleet.redis.command("ZRANGE", "svc:replicas", 0, -1)) == 1)
    assert not indexed(fleet)


@pytest.mark.parametrize("fleet", [SHORT_LIVES], indirect=True)
async def test_unused_sessions_disappear_from_the_store(fleet: Fleet) -> None:
    await (await Client.open(fleet.replicas[0].app_url())).close()
    eventually(lambda: not held(fleet), within=60, what="the session is gone")
    eventually(lambda: not indexed(fleet), what="so is its entry in the index")


def held(fleet: Fleet) -> list[bytes]:
    """The session records in the store."""
    return list(fleet.redis.command("KEYS", "svc:{*}:session"))


def indexed(fleet: Fleet) -> list[int]:
    """How many sessions each replica has that has any."""
    redis = fleet.redis
    return [redis.command("SCARD", key) for key in redis.command("KEYS", "svc:replica:*:sessions")]
