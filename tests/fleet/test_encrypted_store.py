"""`--encrypt-store`: real replicas, whose Redis tells nobody what users did, and whose secret is replaced."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from devfleet.redis_server import RedisServer
from devfleet.replica import Replica
from harness.apps import CountedApp
from harness.client import Client
from harness.pages import get_page
from harness.tools import require
from operations.scrape import journaled, until

SVC = str(Path(sys.executable).with_name("svc"))
OLD, NEW = "the key before " * 3, "the key afterwards " * 3
TYPED, COOKIE = "typed-by-a-user", "cookie-of-a-user"

APP = """
from bokeh.io import curdoc
from bokeh.models import Div, TextInput
from service import session_state

state = session_state(curdoc())
text, said = TextInput(name="text"), Div(name="said", text="")

def changed(attr, old, new):
    said.text = f"you said {new}"
    state[f"about {new}"] = new

text.on_change("value", changed)
curdoc().add_root(text)
curdoc().add_root(said)
"""

StartReplica = Callable[..., Replica]


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    require("redis-server")
    with RedisServer() as server:
        yield server


@pytest.fixture
def start(redis: RedisServer, tmp_path: Path) -> Iterator[StartReplica]:
    """Starts a replica: `start(secret, previous, mode="on")`."""
    app = CountedApp(tmp_path, "app", body=APP)
    with ExitStack() as started:

        def one(secret: str, previous: str | None = None, *, mode: str = "on") -> Replica:
            env = {"SVC_SECRET_KEY": secret, "SVC_PREVIOUS_SECRET_KEY": previous}
            args = ["--encrypt-store", mode, "--drain-delay", "0", "--heartbeat-ttl", "1"]
            replica = Replica([app.path], args=args, redis_url=redis.url, env=env)
            started.callback(replica.stop)
            return replica.start()

        yield one


def dump(redis: RedisServer) -> str:
    """Keys and their values."""
    read: dict[str, tuple[Any, ...]] = {
        "string": ("GET",),
        "hash": ("HGETALL",),
        "set": ("SMEMBERS",),
        "zset": ("ZRANGE", 0, -1),
    }
    found = []
    for key in redis.command("KEYS", "*"):
        kind = redis.command("TYPE", key).decode()
        if kind != "none":  # it has gone meanwhile
            verb, *rest = read[kind]
            found += [key, redis.command(verb, key, *rest)]
    return repr(found)


def sessions(redis: RedisServer, *, secret: str) -> tuple[list[Any], str]:
    """What `svc sessions` lists, and what it says besides."""
    done = subprocess.run(
        [SVC, "sessions", "--redis", redis.url, "--json"],
        env={"SVC_SECRET_KEY": secret},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return json.loads(done.stdout), done.stderr


async def said(client: Client, replica: Replica, text: str) -> None:
    """The tab comes back to `replica`, where all is as it was, and goes on."""
    client.url = replica.app_url("app")
    await client.reconnect()
    assert (client.value("text", "value"), client.value("said", "text")) == (text, f"you said {text}")


async def test_nothing_of_a_user_is_in_redis_and_all_of_it_comes_back(
    start: StartReplica, redis: RedisServer
) -> None:
    first, second = start(OLD, mode="required"), start(OLD, mode="required")
    url = first.app_url("app")
    client = await Client.open(url, cookies={"who": COOKIE}, arguments={"q": TYPED}, session_id=f"id-{TYPED}")
    await client.patch("text", value=TYPED)
    journaled(first)

    kept = dump(redis)
    assert "journal" in kept
    assert TYPED not in kept
    assert COOKIE not in kept

    first.kill()
    await client.wait_closed()
    await said(client, second, TYPED)
    assert TYPED not in dump(redis)
    await client.close()


async def test_the_commands_take_the_secret_from_the_environment(
    start: StartReplica, redis: RedisServer
) -> None:
    replica = start(OLD)
    client = await Client.open(replica.app_url("app"))
    until(lambda: sessions(redis, secret=OLD)[0])

    ((listed,), nothing), (hidden, words) = sessions(redis, secret=OLD), sessions(redis, secret="")

    assert (listed["app"], nothing) == ("/app", "")
    assert hidden == []
    assert "SVC_SECRET_KEY" in words
    await client.close()


async def test_the_secret_is_replaced_while_a_session_moves(start: StartReplica) -> None:
    """Also to a replica that does not have the new one yet."""
    path = [(OLD,), (NEW, OLD), (OLD,)]
    here = start(*path[0])
    client = await Client.open(here.app_url("app"))
    await client.patch("text", value="0")
    for number, secrets in enumerate(path[1:]):
        there = start(*secrets)
        here.terminate()
        await client.wait_closed()
        await said(client, there, str(number))
        await client.patch("text", value=str(number + 1))
        here = there
    await client.close()


async def test_replicas_that_encrypt_and_others_share_sessions(
    start: StartReplica, redis: RedisServer
) -> None:
    here = start(OLD, mode="off")
    client = await Client.open(here.app_url("app"), cookies={"who": COOKIE})
    await client.patch("text", value=TYPED)
    for mode in ("on", "off"):
        there = start(OLD, mode=mode)
        here.terminate()
        await client.wait_closed()
        await said(client, there, TYPED)
        until(lambda: (TYPED in dump(redis)) == (mode == "off"))  # noqa: B023 - called at once
        here = there
    await client.close()


async def test_another_secret_means_a_fresh_session_that_says_so(start: StartReplica) -> None:
    first = start(OLD)
    client = await Client.open(first.app_url("app"), session_id="shared")
    await client.patch("text", value=TYPED)
    stranger = start(NEW)
    first.terminate()
    await client.wait_closed()

    page = await get_page(stranger.app_url("app"), session_id="shared")

    assert page.status == 200
    stranger.wait_line("the session's record cannot be read: it is encrypted with another secret")
    async with Client(stranger.app_url("app"), page.token) as again:
        await again.pull()
        assert again.value("text", "value") == ""
        await again.patch("text", value="goes on")
    assert not stranger.matching("Traceback")
