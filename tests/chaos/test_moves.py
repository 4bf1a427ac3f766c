"""A session goes on, on another replica, as its user left it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from devfleet.asgi import AsgiReplica
from devfleet.fleet import Fleet
from devfleet.replica import Replica
from harness.client import Client
from operations.scrape import journaled

APP = Path(__file__).with_name("moving_app.py")

PATIENT = ["--heartbeat-ttl", "600"]
"""Who waited until a silent replica counts as gone would never come back here."""


@pytest.fixture(params=[Replica, AsgiReplica], ids=["tornado", "asgi"])
def fleet(start_fleet: Callable[..., Fleet], request: pytest.FixtureRequest) -> Iterator[Fleet]:
    """A fleet for each test: replicas go here. The last one is on each of the fronts."""
    started = start_fleet([APP], make_last=request.param, args=PATIENT)
    yield started
    started.stop()


async def used(client: Client, value: int) -> None:
    """Do what a user does, and wait until it shows."""
    await client.patch("slider", value=value)
    await client.patch("kind", value="cos")
    for clicks in (1, 2):
        await client.click("add")
        await client.expect_value("count", "text", str(clicks))


def seen(client: Client) -> dict[str, object]:
    """What the user looks at, but for the ticking."""
    return {
        "noise": list(client.value("noise", "data")["y"]),
        "curve": np.asarray(client.value("curve", "data")["y"]).tolist(),
        "t": np.asarray(client.value("curve", "data")["t"]).tolist(),
        "slider": client.value("slider", "value"),
        "kind": client.value("kind", "value"),
        "count": client.value("count", "text"),
        "hidden": client.value("hidden", "value"),
        "children": [child.name for child in client.value("layout", "children")],
        "title": client.document.title,
    }


async def still_works(client: Client) -> None:
    """Callbacks live: of inputs, buttons, the clock; and app state went along."""
    await client.patch("slider", value=3)
    expected = np.cos(np.linspace(0, 1, 20) * 3)
    await client.expect(lambda client: np.allclose(client.value("curve", "data")["y"], expected))
    await client.click("add")
    await client.expect_value("count", "text", "3")
    last = client.value("ticks", "data")["n"][-1]
    await client.expect(lambda client: client.value("ticks", "data")["n"][-1] > last)


@pytest.mark.parametrize("way", ["kill", "terminate"])
async def test_a_session_survives_its_replica(fleet: Fleet, way: str) -> None:
    owner = fleet.replicas[-1]
    client = await Client.open(owner.app_url())
    await used(client, 42)
    await asyncio.to_thread(journaled, owner)
    before = seen(client)

    getattr(owner, way)()
    await client.wait_closed()
    if way == "terminate" and isinstance(owner, AsgiReplica):
        await asyncio.to_thread(owner.wait)  # uvicorn closes its sockets first, a page may come back twice
    client.url = fleet.app_url()
    await client.reconnect()

    assert seen(client) == before
    await still_works(client)
    await client.close()
    if way == "terminate":
        assert owner.wait() in owner.good_exits


async def test_svc_drain_moves_the_sessions_and_shows_it(fleet: Fleet) -> None:
    owner = fleet.replicas[-1]
    svc = str(Path(sys.executable).with_name("svc"))
    async with await Client.open(owner.app_url()) as client:
        await used(client, 5)
        before = seen(client)
        command = [svc, "drain", "--redis", fleet.redis.url, owner.id]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, "")
        assert "1 sessions left" in done.stdout  # how far it is when svc looks the next time is open
        assert "is gone" in done.stdout
        assert owner.wait() in owner.good_exits
        await client.wait_closed()
        client.url = fleet.app_url()
        await client.reconnect()
        assert seen(client) == before


def test_draining_nobody_names_who_there_is(fleet: Fleet) -> None:
    svc = str(Path(sys.executable).with_name("svc"))
    command = [svc, "drain", "--redis", fleet.redis.url, "nobody"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "no replica is called nobody; there are: " in done.stderr
