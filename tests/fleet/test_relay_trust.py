"""A living owner is not gone because another replica has another clock or key, or cannot dial it."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from devfleet.redis_server import RedisServer
from devfleet.replica import Replica
from harness.apps import CountedApp
from harness.client import Client
from harness.pages import get_page
from harness.tools import require
from harness.wire import WireClosed

OLD, NEW = "the key before " * 3, "the key afterwards " * 3

CLOCK_AHEAD = """
import time
_right = time.time
time.time = lambda: _right() + 60
"""

StartReplica = Callable[..., Replica]


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    require("redis-server")
    with RedisServer() as server:
        yield server


@pytest.fixture
def app(tmp_path: Path) -> CountedApp:
    return CountedApp(tmp_path, "app")


@pytest.fixture
def start(redis: RedisServer, app: CountedApp, tmp_path: Path) -> Iterator[StartReplica]:
    """Starts a replica: `start(secret, previous)`; `patch` is Python code that it runs first."""
    with ExitStack() as started:

        def one(secret: str = OLD, previous: str | None = None, *, patch: str = "") -> Replica:
            env: dict[str, str | None] = {"SVC_SECRET_KEY": secret}
            if previous is not None:
                env["SVC_PREVIOUS_SECRET_KEY"] = previous
            if patch:
                folder = tmp_path / f"patch{len(list(tmp_path.iterdir()))}"
                folder.mkdir()
                (folder / "sitecustomize.py").write_text(patch)
                env["PYTHONPATH"] = str(folder)
            replica = Replica([app.path], redis_url=redis.url, env=env)
            started.callback(replica.stop)
            return replica.start()

        yield one


async def shared(owner: Replica, other: Replica, *, page_of: Replica) -> None:
    """Somebody's session on `owner` is joined through `other`, and nothing that was acknowledged is lost."""
    token = (await get_page(page_of.app_url())).token
    async with Client(owner.app_url(), token) as client, Client(other.app_url(), token) as through:
        await client.pull()
        await client.patch("slider", value=7)

        await through.pull()

        assert through.value("slider", "value") == 7
        await through.patch("slider", value=3)
        await client.expect_value("slider", "value", 3)
        assert not other.matching("seizing the session")


@pytest.mark.parametrize("ahead", ["owner", "other"])
async def test_clocks_may_differ(start: StartReplica, ahead: str) -> None:
    owner, other = (start(patch=CLOCK_AHEAD if ahead == which else "") for which in ("owner", "other"))

    await shared(owner, other, page_of=owner)


async def test_keys_may_be_rotated_one_replica_after_the_other(start: StartReplica) -> None:
    before, rotated = start(OLD), start(NEW, OLD)

    # Tokens of pages that the old key signed are known to both.
    await shared(before, rotated, page_of=before)
    await shared(rotated, before, page_of=before)


async def test_an_owner_that_does_not_let_us_in_is_not_gone(start: StartReplica, app: CountedApp) -> None:
    owner, stranger = start(OLD), start(NEW)
    client = await Client.open(owner.app_url(), session_id="shared")
    await client.patch("slider", value=7)

    page = await get_page(stranger.app_url(), session_id="shared")

    assert page.status == 503
    stranger.wait_line("which is alive, does not let this one in")
    assert not stranger.matching("seizing the session")
    assert client.connected
    await client.patch("slider", value=8)
    assert app.runs == [owner.pid]
    metrics = (await get_page(f"{stranger.url}/metrics")).text
    assert 'svc_claims_total{outcome="denied"} 1.0' in metrics
    await client.close()


async def test_who_has_no_descriptor_left_to_dial_with_does_not_seize(start: StartReplica) -> None:
    owner, narrow = start(), start()
    client = await Client.open(owner.app_url())
    await client.patch("slider", value=7)
    # Enough to accept a connection, but not to make another one.
    before = resource.prlimit(narrow.pid, resource.RLIMIT_NOFILE)
    room = len(os.listdir(f"/proc/{narrow.pid}/fd")) + 1
    resource.prlimit(narrow.pid, resource.RLIMIT_NOFILE, (room, before[1]))

    refused = Client(narrow.app_url(), client.token)
    with pytest.raises(WireClosed):
        await refused.connect()

    assert refused.close_code == 1013
    narrow.wait_line("which is alive, cannot be dialled from here: .*Too many open files")
    assert not narrow.matching("seizing the session")
    await client.patch("slider", value=8)
    resource.prlimit(narrow.pid, resource.RLIMIT_NOFILE, before)
    async with Client(narrow.app_url(), client.token) as through:
        await through.pull()
        assert through.value("slider", "value") == 8
    await client.close()
