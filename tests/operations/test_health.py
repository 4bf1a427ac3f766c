"""Probes of a real replica: what they say, and that nothing can make them slow."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from devfleet.redis_server import RedisServer
from devfleet.replica import Replica
from harness.client import Client
from harness.pages import Page, get_page
from harness.tools import require

from operations.scrape import get, scrape, until

Start = Callable[..., Replica]


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    require("redis-server")
    with RedisServer() as server:
        yield server


@pytest.fixture
def sliders(examples: Path) -> Path:
    return examples / "sliders.py"


def test_a_replica_that_serves_is_healthy_started_and_ready(replica: Start, sliders: Path) -> None:
    server = replica([sliders])

    until(lambda: server.status("/readyz") == 200)

    assert [server.status(f"/{probe}z") for probe in ("health", "startup", "ready")] == [200, 200, 200]


def test_without_its_store_a_replica_lives_but_has_not_started(replica: Start, sliders: Path) -> None:
    server = Replica([sliders], redis_url="redis://127.0.0.1:1")
    server.start(ready=False)
    try:
        server.wait_line("waiting for the store")

        assert [server.status(f"/{probe}z") for probe in ("health", "startup", "ready")] == [200, 503, 503]
        assert get(f"{server.url}/readyz")[1] == "starting, the store is away\n"
    finally:
        server.stop()


@pytest.mark.redis
def test_a_flap_of_redis_does_not_take_a_replica_out(
    replica: Start, sliders: Path, redis: RedisServer
) -> None:
    server = replica([sliders], redis_url=redis.url)
    until(lambda: server.status("/readyz") == 200)

    redis.pause()
    try:
        until_ = time.monotonic() + 2
        seen = set()
        while time.monotonic() < until_:
            seen.add(server.status("/readyz"))
    finally:
        redis.resume()
    until(lambda: scrape(server.url)("svc_store_silence_seconds") < 1)

    assert seen == {200}


@pytest.mark.redis
def test_a_store_that_stays_away_makes_a_replica_unready_until_it_is_back(
    replica: Start, sliders: Path, redis: RedisServer
) -> None:
    server = replica([sliders], redis_url=redis.url, args=["--readiness-grace", "1"])
    until(lambda: server.status("/readyz") == 200)

    redis.pause()
    try:
        until(lambda: get(f"{server.url}/readyz")[:2] == (503, "the store is away\n"))
        assert server.status("/healthz") == 200
    finally:
        redis.resume()

    until(lambda: server.status("/readyz") == 200)


@pytest.mark.redis
async def test_liveness_is_answered_while_redis_stalls_and_pages_wait_for_it(
    replica: Start, sliders: Path, redis: RedisServer
) -> None:
    server = replica([sliders], redis_url=redis.url)
    until(lambda: server.status("/readyz") == 200)
    answered: list[str] = []

    async def get_noted(what: str, url: str) -> Page:
        page = await get_page(url)
        answered.append(what)
        return page

    redis.pause()
    try:
        pages = [asyncio.create_task(get_noted("page", server.app_url())) for _ in range(5)]
        for _ in range(3):
            assert (await get_noted("probe", f"{server.url}/healthz")).status == 200
    finally:
        redis.resume()
    await asyncio.gather(*pages)

    assert answered == 3 * ["probe"] + 5 * ["page"]


async def test_a_full_replica_stays_ready_and_turns_new_visitors_away_kindly(
    replica: Start, sliders: Path
) -> None:
    server = replica([sliders], args=["--max-sessions", "1"])
    until(lambda: server.status("/readyz") == 200)
    async with await Client.open(server.app_url()) as client:
        status, page, headers = get(server.app_url())

        assert status == 503
        assert 3 <= int(headers["Retry-After"]) <= 10
        assert f"content='{headers['Retry-After']}'" in page
        assert "more visitors than seats" in page
        assert get(f"{server.app_url()}/autoload.js?bokeh-autoload-element=x")[0] == 503
        assert server.status("/readyz") == 200
        await client.patch("offset", value=1.0)
        await client.reconnect()

    assert scrape(server.url)("svc_shed_pages_total", app="/sliders") == 2


async def test_an_app_that_is_full_leaves_room_for_others(
    replica: Start, sliders: Path, examples: Path
) -> None:
    limits = ["--max-sessions-per-app", "1", "--max-sessions-per-app", "explorer=0"]
    server = replica([sliders, examples / "explorer.py"], args=limits)
    until(lambda: server.status("/readyz") == 200)
    explorer = server.app_url(examples / "explorer.py")
    async with await Client.open(server.app_url()) as client, await Client.open(explorer):
        status, page, headers = get(server.app_url())

        assert status == 503
        assert 3 <= int(headers["Retry-After"]) <= 10
        assert "This app has more visitors than seats" in page
        assert get(explorer)[0] == 200
        assert server.status("/readyz") == 200
        await client.reconnect()

    metrics = scrape(server.url)
    assert metrics("svc_shed_pages_total", app="/sliders") == 1
    assert metrics("svc_max_sessions_per_app", app="/sliders") == 1
    assert metrics("svc_max_sessions_per_app", app="/explorer") == 0


def test_a_limit_for_an_app_that_is_not_served_is_refused(sliders: Path) -> None:
    server = Replica([sliders], args=["--max-sessions-per-app", "/slider=3"])

    server.start(ready=False)

    server.wait_line("no app is at /slider; there are: /sliders")
    assert server.wait() == 2


async def test_a_user_has_no_more_open_pages_than_one_may(
    replica: Start, sliders: Path, tmp_path: Path
) -> None:
    auth = tmp_path / "auth.py"
    auth.write_text("def get_user(handler):\n    return handler.get_cookie('who')\nlogin_url = '/login'\n")
    server = replica([sliders], args=["--auth-module", str(auth), "--max-sessions-per-user", "1"])
    async with await Client.open(server.app_url(), cookies={"who": "ada"}):
        second = await get_page(server.app_url(), cookies={"who": "ada"})
        others = await get_page(server.app_url(), cookies={"who": "grace"})

        assert (second.status, others.status) == (429, 200)
        assert "You have 1 pages open already" in second.text
        assert int(second.headers["Retry-After"]) >= 3

    until(lambda: scrape(server.url)("svc_connections", app="/sliders") == 0)
    assert (await get_page(server.app_url(), cookies={"who": "ada"})).status == 200


async def test_who_is_turned_away_does_not_come_back_at_one_moment(replica: Start, sliders: Path) -> None:
    server = replica([sliders], args=["--max-sessions", "1"])
    until(lambda: server.status("/readyz") == 200)
    async with await Client.open(server.app_url()):
        asked = {get(server.app_url())[2]["Retry-After"] for _ in range(30)}

    assert len(asked) > 3


def test_a_stopping_replica_says_so_before_it_is_gone(replica: Start, sliders: Path) -> None:
    server = replica([sliders])
    server.terminate()

    assert server.wait() == 0


# -- a server that can make no sessions ------------------------------------------------------------

ABSTRACT_AGAIN = """
from abc import abstractmethod
from bokeh.application.application import SessionContext

SessionContext.what_the_next_bokeh_asks_for = abstractmethod(lambda self: None)
SessionContext.__abstractmethods__ |= {"what_the_next_bokeh_asks_for"}
"""
"""As Bokeh 3.10 did with `document`: every page was a 500, and `/readyz` said 200."""

NO_ENCODING = """
from bokeh.document import Document

def to_json(self, *args, **kwargs):
    raise AttributeError("Document has changed")

Document.to_json = to_json
"""
NO_RESTORING = """
from bokeh.core.has_props import HasProps

HasProps.set_from_json = lambda self, name, value, setter=None: None
"""


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (ABSTRACT_AGAIN, "TypeError: .* abstract"),
        (NO_ENCODING, "AttributeError: Document has changed"),
        (NO_RESTORING, "RuntimeError: a session is not restored as it was"),
    ],
)
def test_a_replica_whose_bokeh_fits_no_session_is_neither_started_nor_ready(
    replica: Start, sliders: Path, tmp_path: Path, change: str, reason: str
) -> None:
    (tmp_path / "sitecustomize.py").write_text(change)

    server = replica([sliders], env={"PYTHONPATH": str(tmp_path)})

    for probe in ("readyz", "startupz"):
        until(lambda probe=probe: get(f"{server.url}/{probe}")[1] not in ("starting\n", None))
        status, text, _ = get(f"{server.url}/{probe}")
        assert status == 503
        assert re.search(f"no session can be made: {reason}", text)
    assert server.status("/healthz") == 200
    assert len(server.matching(f"CRITICAL .*stays unready, no session can be made: {reason}")) == 1
    server.wait_line("^Traceback")
    assert scrape(server.url)("svc_ready") == 0


async def test_an_app_that_fails_is_no_reason_to_stop_a_rollout(replica: Start, tmp_path: Path) -> None:
    (tmp_path / "failing.py").write_text("raise TypeError('a bug of the app')")
    server = replica([tmp_path / "failing.py"])
    until(lambda: server.status("/readyz") == 200)

    with suppress(Exception):
        await Client.open(server.app_url())
    server.wait_line("a bug of the app")

    assert [server.status(f"/{probe}z") for probe in ("health", "startup", "ready")] == [200, 200, 200]


@pytest.mark.redis
def test_nothing_of_the_try_at_the_start_is_left(replica: Start, sliders: Path, redis: RedisServer) -> None:
    server = replica([sliders], redis_url=redis.url)
    until(lambda: server.status("/readyz") == 200)

    assert not [key for key in redis.command("KEYS", "*") if b"probe" in key or b"session" in key]
    text = get(f"{server.url}/metrics")[1]
    assert "probe" not in text
    assert scrape(server.url)("svc_session_opens_total", app="/sliders") == 0
