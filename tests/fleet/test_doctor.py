"""`svc doctor` before real parts: a fleet that is well, and what goes wrong in deployments, one by one."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from devfleet.fleet import Fleet
from devfleet.redis_server import RedisServer
from devfleet.replica import Replica
from harness.apps import CountedApp
from harness.tools import require
from tornado.httpclient import AsyncHTTPClient
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from service.doctor.findings import Finding, Level
from service.doctor.redis import check_redis, unreachable
from service.doctor.replicas import check_replicas
from service.doctor.site import check_site
from service.settings import Settings
from store.connect import open_store

SVC = str(Path(sys.executable).with_name("svc"))

WELL = {"maxmemory": "100mb", "maxmemory-policy": "noeviction", "appendonly": "yes"}
SECRET = "a secret key of the fleet, long enough"


@pytest.fixture(scope="module")
def well(start_fleet: Callable[..., Fleet], plain: CountedApp) -> Iterator[Fleet]:
    with RedisServer(WELL) as redis:
        yield start_fleet([plain.path], n=2, redis=redis, args=["--secret-key", SECRET])


def doctor(*args: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SVC, "doctor", *map(str, args)], check=False, capture_output=True, text=True, timeout=60
    )


def test_a_fleet_that_is_well(well: Fleet, plain: CountedApp) -> None:
    found = doctor(
        plain.path, "--redis", well.redis.url, "--secret-key", SECRET, "--url", well.app_url(), "--json"
    )

    findings = json.loads(found.stdout)
    assert [each for each in findings if each["level"] == Level.PROBLEM] == []
    assert found.returncode == 0
    seen = {each["about"]: each for each in findings}
    assert {f"replica {replica}" for replica in ids_of(well)} <= set(seen)
    for about in (
        "redis: eviction",
        "redis: memory",
        "redis: disk",
        "redis: a session",
        "redis: wake-ups",
        "page",
        "socket",
    ):
        assert seen[about]["level"] == Level.FINE
    assert SECRET not in found.stdout


def ids_of(fleet: Fleet) -> list[str]:
    shown = subprocess.run(
        [SVC, "status", "--redis", fleet.redis.url, "--json"], check=True, capture_output=True, text=True
    )
    return [each["replica"] for each in json.loads(shown.stdout)["replicas"]]


def test_nothing_of_it_stays_among_the_sessions(well: Fleet) -> None:
    doctor("--redis", well.redis.url)
    listed = subprocess.run(
        [SVC, "sessions", "--redis", well.redis.url], check=True, capture_output=True, text=True
    )

    assert "svc-doctor" not in listed.stdout


def test_a_problem_is_said_with_what_to_do_and_ends_with_1(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("def (")

    found = doctor(tmp_path / "broken.py", "--redis", "redis://127.0.0.1:1")

    assert found.returncode == 1
    assert "PROBLEM  apps: " in found.stdout
    assert "PROBLEM  redis: " in found.stdout
    assert "-> check its address" in found.stdout
    assert "2 problems" in found.stdout


def test_options_that_make_no_sense_are_refused_as_by_svc_serve() -> None:
    found = doctor("--port", "many")

    assert found.returncode == 2
    assert found.stderr.startswith("svc: error: --port")


# -- Redis ---------------------------------------------------------------------------------------


async def of_redis(redis: RedisServer, url: str = "") -> dict[str, Finding]:
    store = open_store(url or redis.url)
    try:
        return {each.about: each async for each in check_redis(store)}
    finally:
        await store.close()


@pytest.mark.parametrize(
    ("options", "about", "level"),
    [
        ({"maxmemory-policy": "allkeys-lru"}, "redis: eviction", Level.PROBLEM),
        ({"maxmemory": "0", "maxmemory-policy": "allkeys-lru"}, "redis: eviction", Level.WARNING),
        ({"maxmemory": "0"}, "redis: memory", Level.WARNING),
        ({"maxmemory": "900kb"}, "redis: memory", Level.PROBLEM),
        ({"appendonly": "no"}, "redis: disk", Level.WARNING),
        ({"maxclients": "50"}, "redis: clients", Level.WARNING),
    ],
)
async def test_what_redis_has_to_be(options: Mapping[str, str], about: str, level: Level) -> None:
    require("redis-server")
    with RedisServer(WELL | options) as redis:
        found = await of_redis(redis)

    assert found[about].level is level
    assert found[about].advice


async def test_a_user_of_redis_who_may_not_enough() -> None:
    require("redis-server")
    with RedisServer(WELL) as redis:
        redis.command("ACL", "SETUSER", "poor", "on", ">pass", "~svc:*", "+@read", "+info", "+time", "+ping")
        found = await of_redis(redis, redis.url.replace("redis://", "redis://poor:pass@"))

    assert found["redis: a session"].level is Level.PROBLEM
    assert found["redis: wake-ups"].level is Level.WARNING


async def test_a_user_of_redis_who_is_not_known() -> None:
    require("redis-server")
    with RedisServer(WELL) as redis:
        store = open_store(redis.url.replace("redis://", "redis://nobody:pass@"))
        found = await unreachable(store)
        await store.close()

    assert found is not None
    assert found.level is Level.PROBLEM


# -- replicas ------------------------------------------------------------------------------------


async def of_replicas(redis: RedisServer, settings: Settings) -> dict[str, Finding]:
    store = open_store(redis.url)
    try:
        return {each.about: each async for each in check_replicas(settings, store)}
    finally:
        await store.close()


async def test_a_replica_that_others_do_not_reach(plain: CountedApp) -> None:
    require("redis-server")
    with (
        RedisServer(WELL) as redis,
        Replica([plain.path], redis_url=redis.url),
        Replica([plain.path], redis_url=redis.url, args=["--advertise", "http://127.0.0.1:1"]),
    ):
        found = await of_replicas(redis, Settings(redis=redis.url))
    reached = [each.level for about, each in found.items() if about.startswith("replica ")]

    assert sorted(reached) == [Level.FINE, Level.PROBLEM]


async def test_an_address_where_each_replica_finds_itself(well: Fleet) -> None:
    settings = Settings(redis="redis://redis.example:6379", advertise="http://localhost:5006")
    found = await of_replicas(well.redis, settings)

    assert found["advertise"].level is Level.PROBLEM


# -- the way of a browser ------------------------------------------------------------------------


async def of_site(url: str) -> dict[str, Finding]:
    return {each.about: each async for each in check_site(url)}


async def test_a_page_that_is_not_there(well: Fleet) -> None:
    found = await of_site(f"{well.url}/nosuch")

    assert found["page"].level is Level.PROBLEM
    assert "404" in found["page"].says


async def test_a_host_that_may_not_connect(well: Fleet) -> None:
    found = await of_site(well.app_url().replace("127.0.0.1", "localhost"))

    assert found["page"].level is Level.FINE
    assert found["socket"].level is Level.PROBLEM
    assert "--allow-websocket-origin" in found["socket"].advice


async def test_a_proxy_that_passes_no_upgrade(well: Fleet) -> None:
    async with proxy_without_upgrade(well.url) as url:
        found = await of_site(url + well.app_url().removeprefix(well.url))

    assert found["page"].level is Level.FINE
    assert found["scripts"].level is Level.FINE
    assert found["socket"].level is Level.PROBLEM
    assert "Upgrade" in found["socket"].advice


@asynccontextmanager
async def proxy_without_upgrade(upstream: str) -> AsyncIterator[str]:
    """Passes requests on as plain GETs."""

    class Pass(RequestHandler):
        async def get(self) -> None:
            answer: Any = await AsyncHTTPClient().fetch(upstream + self.request.uri, raise_error=False)
            self.set_status(answer.code)
            self.set_header("Content-Type", answer.headers.get("Content-Type", "text/plain"))
            self.finish(answer.body)

    sockets = bind_sockets(0, "127.0.0.1")
    server = HTTPServer(Application([(".*", Pass)]))
    server.add_sockets(sockets)
    try:
        yield f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
    finally:
        server.stop()
        await server.close_all_connections()


async def test_a_site_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.doctor.site.SECONDS", 0.2)
    (listening,) = bind_sockets(0, "127.0.0.1")
    with listening:
        found = await of_site(f"http://127.0.0.1:{listening.getsockname()[1]}/app")

    assert found["page"].level is Level.PROBLEM
    assert "cannot be reached" in found["page"].says
