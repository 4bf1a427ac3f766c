"""``svc sessions`` and ``svc status --watch``: what is chosen, what is shown, over a real Redis."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from devfleet.processes import Process
from devfleet.redis_server import RedisServer
from harness.tools import require

from service.cli.rendering import sessions_as_json, sessions_as_text
from service.fleet.view import FleetView, SessionFilter
from store.connect import open_store
from store.contract import Heartbeat, PageRequest, SessionKey, SessionRecord, SessionState

NOW = 1_700_000_000.0
SVC = str(Path(sys.executable).with_name("svc"))


def record(app: str = "/a", owner: str = "r1", user: str | None = None, age: float = 10) -> SessionRecord:
    request = PageRequest(user=user, remote_ip="10.9.8.7")
    key = SessionKey(app, f"secret {app} {owner} {user} {age}")
    return SessionRecord(key, SessionState.LIVE, owner, 17, NOW - age, request)


@pytest.mark.parametrize(
    ("chosen", "ages"),
    [
        (SessionFilter(), [300, 20, 10]),
        (SessionFilter(app="/b"), [20]),
        (SessionFilter(replica="r"), [300, 20, 10]),
        (SessionFilter(replica="r2"), [300]),
        (SessionFilter(user="ann"), [10]),
        (SessionFilter(older=20), [300, 20]),
        (SessionFilter(app="/b", user="ann"), []),
    ],
)
def test_sessions_are_chosen_by_what_is_given(chosen: SessionFilter, ages: list[float]) -> None:
    held = [record(user="ann"), record("/b", age=20), record(owner="r2", age=300)]

    assert [NOW - each.created for each in chosen.of(held, NOW)] == ages


def test_one_session_goes_by_its_short_form() -> None:
    wanted, other = record(), record("/b")

    assert SessionFilter(session=wanted.key.short).of([wanted, other], NOW) == [wanted]


def test_neither_form_shows_what_lets_one_join() -> None:
    one = record(user="ann")

    view = FleetView(NOW, [], [one])
    text, entries = sessions_as_text([one], view), sessions_as_json([one], view)

    assert "secret" not in text + entries
    assert text.splitlines()[1].split() == [one.key.short, "/a", "r1", "17", "10s", "-", "ann", "10.9.8.7"]
    assert json.loads(entries)[0]["user"] == "ann"
    assert sessions_as_text([], view) == "0 sessions"


def test_it_is_said_for_how_long_a_session_has_been_built() -> None:
    one, other = record(), record("/b")
    owner = Heartbeat("r1", "http://there", "1", NOW - 60, building={one.key.tag: NOW - 8})
    view = FleetView(NOW, [owner], [one, other])

    rows = [line.split()[:6] for line in sessions_as_text([one, other], view).splitlines()[1:3]]

    assert rows == [
        [one.key.short, "/a", "r1", "17", "10s", "8s"],
        [other.key.short, "/b", "r1", "17", "10s", "-"],
    ]
    assert [each["building"] for each in json.loads(sessions_as_json([one, other], view))] == [8.0, None]


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    require("redis-server")
    with RedisServer() as server:
        yield server


async def hold(url: str) -> SessionKey:
    """A replica's heartbeat and one session of it in the store."""
    store, key = open_store(url), SessionKey("/a", "secret")
    await store.claim(key, "r1", request=PageRequest(user="ann"))
    await store.beat(Heartbeat("r1", "http://h:1", "1", NOW), ttl=60, opened=[key])
    await store.close()
    return key


@pytest.mark.redis
async def test_the_command_asks_the_store(redis: RedisServer) -> None:
    key = await hold(redis.url)

    found = svc("sessions", "--redis", redis.url, "--user", "ann")
    missing = svc("sessions", "zzz", "--redis", redis.url)

    assert found.stdout.splitlines()[1].startswith(key.short)
    assert missing.returncode == 2
    assert missing.stderr == "svc: error: no session is called zzz; svc sessions lists them\n"


@pytest.mark.redis
async def test_watching_shows_it_again_and_again(redis: RedisServer) -> None:
    await hold(redis.url)

    with Process("status", [SVC, "status", "--redis", redis.url, "--watch", "0.1"]) as watching:
        watching.wait_line("1 replica, ")
        watching.wait_line("1 replica, ", after=len(watching.lines))


def svc(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([SVC, *arguments], capture_output=True, text=True, timeout=60)
