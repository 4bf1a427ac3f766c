"""The Redis of the manifests, for real: its configuration and its restricted user, under a replica."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from devfleet.ports import free_port
from devfleet.processes import Process
from devfleet.replica import Replica
from harness.client import Client
from harness.tools import require

from operations.manifests import K8S
from operations.scrape import scrape, until
from service.fleet.ending import end_session
from store.connect import open_store
from store.contract import MessagePlace, Publishing, SessionKey, TopicName

pytestmark = pytest.mark.redis


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """A redis-server with our redis.conf and the user of users.acl.example."""
    users = (K8S / "redis/users.acl.example").read_text().replace("CHANGE-ME", "pass")
    (tmp_path / "users.acl").write_text(users)
    conf = (K8S / "redis/redis.conf").read_text()
    conf = conf.replace("/data", str(tmp_path)).replace("/etc/redis/users", str(tmp_path))
    port = free_port()
    (tmp_path / "redis.conf").write_text(f"{conf}\nbind 127.0.0.1\nport {port}\n")
    with Process("redis", [require("redis-server"), str(tmp_path / "redis.conf")]) as server:
        server.wait_line("Ready to accept connections")
        yield f"redis://svc:pass@127.0.0.1:{port}/0"


async def test_a_fleet_works_as_the_restricted_user(
    url: str, replica: Callable[..., Replica], examples: Path
) -> None:
    ends = ["--unused-session-lifetime", "500", "--check-unused-sessions", "50"]
    one = replica([examples / "sliders.py"], redis_url=url, args=ends)
    other = replica([examples / "sliders.py"], redis_url=url, args=ends)
    async with await Client.open(one.app_url()) as client:
        assert client.page is not None
        async with await Client.open(other.app_url(), session_id=client.page.session_id) as second:
            await second.patch("offset", value=2.0)
            await client.expect_value("offset", "value", 2.0)
    await asyncio.to_thread(until, lambda: scrape(one.url)("svc_session_ends_total", reason="unused") >= 1)
    async with await Client.open(one.app_url(), session_id="to be ended") as client:
        await end(url, SessionKey("/sliders", "to be ended"))
        await client.wait_closed()
    other.stop()
    one.stop()

    assert not [line for server in (one, other) for line in server.matching("(?i)refuses|NOPERM|permission")]


async def end(url: str, key: SessionKey) -> None:
    """As `svc sessions --end`."""
    store = open_store(url)
    try:
        assert await end_session(store, key)
    finally:
        await store.close()


def test_the_user_may_not_see_or_harm_anything_else(url: str) -> None:
    with redis.Redis.from_url(url) as client:
        for command in ("KEYS *", "FLUSHALL", "CONFIG GET *", "SCRIPT FLUSH", "SET other 1", "GET other",
                        "SHUTDOWN", "ACL LIST", "PUBLISH a b"):  # fmt: skip
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.execute_command(*command.split())
        client.execute_command("SET", "svc:x", "1")


def test_without_a_password_one_may_ping_and_no_more(url: str) -> None:
    with redis.Redis.from_url(re.sub("svc:pass@", "", url)) as client:
        assert client.ping()
        with pytest.raises(redis.exceptions.NoPermissionError):
            client.get("svc:x")


def test_what_is_owed_is_never_evicted(url: str) -> None:
    conf = dict(line.split(maxsplit=1) for line in (K8S / "redis/redis.conf").read_text().splitlines()
                if line and not line.startswith("#"))  # fmt: skip

    assert conf["maxmemory-policy"] == "noeviction"
    assert conf["appendonly"] == "yes"


async def test_the_restricted_user_publishes_messages_and_hears_of_them(url: str) -> None:
    store, heard = open_store(url), asyncio.Queue[str | None]()
    hearing = asyncio.create_task(store.hear_messages(heard.put_nowait))
    topic = TopicName("/app", "news")
    async with asyncio.timeout(30):
        assert await heard.get() is None
        assert await store.publish_message(Publishing(topic, b"1", "call", MessagePlace(), 10, 1000, 60))
        assert await heard.get() == topic.tag
    hearing.cancel()
    await asyncio.gather(hearing, return_exceptions=True)
    await store.close()
