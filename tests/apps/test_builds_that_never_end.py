"""`--build-timeout`: a page whose app never gets ready is told so, and keeps no thread from the others."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from devfleet.redis_server import RedisServer
from devfleet.replica import Replica
from harness.client import Client, WireClosed
from harness.pages import get_page
from harness.tools import require
from operations.scrape import scrape, until

Start = Callable[..., Replica]

MAIN = """
import sys
from bokeh.io import curdoc
from bokeh.models import Div, TextInput
from stuck import THERE, compute, wait

arguments = curdoc().session_context.request.arguments
for how in (compute, wait):
    if how.__name__ in arguments:
        how()
if (THERE / "slow").exists():
    wait()
wish = TextInput(name="wish", value="")
wish.on_change("value", lambda attr, old, new: wait() if new == "wait" else None)
curdoc().add_root(wish)
curdoc().add_root(Div(name="shown", text="built"))
"""
STUCK = """
import time
from pathlib import Path

THERE = Path(__file__).parent


def compute():
    (THERE / "begun").touch()
    while not (THERE / "end").exists():
        pass


def wait():
    (THERE / "begun").touch()
    while not (THERE / "end").exists():
        time.sleep(0.01)
"""
HOOKS = """
import asyncio
from stuck import wait

async def on_session_created(session_context):
    if "hook" in session_context.request.arguments:
        await asyncio.Event().wait()

def process_request(request):
    if "request" in request.arguments:
        wait()
    return {}
"""
TEMPLATE = "{% extends base %}"
"""With one of its own a page is made by the app; without, it is a shell, and its socket waits for the app."""


def write_app(folder: Path, *, template: bool) -> Path:
    app = folder / "app"
    (app / "templates").mkdir(parents=True)
    for name, text in (("main.py", MAIN), ("stuck.py", STUCK), ("app_hooks.py", HOOKS)):
        (app / name).write_text(text)
    if template:
        (app / "templates/index.html").write_text(TEMPLATE)
    return app


@pytest.fixture
def app(tmp_path: Path) -> Path:
    return write_app(tmp_path, template=True)


@pytest.mark.parametrize("how", ["compute", "wait"])
async def test_the_page_says_so_and_the_next_one_gets_a_thread(app: Path, replica: Start, how: str) -> None:
    server = replica([app], args=["--build-timeout", "1", "--app-threads", "2"])  # of which one may build

    page = await get_page(server.app_url(), arguments={how: "1"}, timeout=60)

    assert (page.status, "Retry-After" in page.headers) == (504, False)
    assert "The app took too long to start" in page.text
    assert "stuck.py" not in page.text  # which is for its author
    server.wait_line(rf"not waiting for the app after 1 s .*: it is still in {how} \({app}/stuck.py:\d+\)")
    async with await Client.open(server.app_url(), timeout=60) as other:
        assert other.value("shown", "text") == "built"
    assert scrape(server.url)("svc_build_timeouts_total", app="/app") == 1
    assert scrape(server.url)("svc_app_threads_given_up", app="/app") == 1
    assert scrape(server.url)("svc_app_threads_busy", app="/app") == 0

    (app / "end").touch()
    until(lambda: scrape(server.url)("svc_app_threads_given_up", app="/app") == 0, what="its thread is back")


@pytest.mark.parametrize(
    ("hook", "why"),
    [
        ("hook", "one of its coroutines does not return"),
        ("request", r"it is still in wait \(.*stuck.py:\d+\)"),
    ],
)
async def test_hooks_that_a_page_waits_for(app: Path, replica: Start, hook: str, why: str) -> None:
    server = replica([app], args=["--build-timeout", "1"])

    page = await get_page(server.app_url(), arguments={hook: "1"}, timeout=60)

    assert page.status == 504
    server.wait_line(f"not waiting for the app after 1 s .*: {why}")
    assert (await get_page(server.app_url(), timeout=60)).status == 200


async def test_a_page_that_is_there_already_shows_it(tmp_path: Path, replica: Start) -> None:
    app = write_app(tmp_path, template=False)
    server = replica([app], args=["--build-timeout", "1"])
    await (await Client.open(server.app_url())).close()  # from here on pages are shells

    async with await Client.open(server.app_url(), arguments={"wait": "1"}, timeout=60) as client:
        assert client.document.title == "The app took too long to start, and is not waited for any more."


async def test_whoever_waits_for_a_thread_is_told_so(app: Path, replica: Start) -> None:
    server = replica([app], args=["--build-timeout", "1", "--app-threads", "1"])
    async with await Client.open(server.app_url(), timeout=60) as client:
        going = asyncio.create_task(client.patch("wish", value="wait"))
        await asyncio.to_thread(until, (app / "begun").exists)

        assert (await get_page(server.app_url(), timeout=60)).status == 504

        server.wait_line(r"not waiting for the app after 1 s .*: no thread was free to run it")
        assert scrape(server.url)("svc_app_threads_given_up", app="/app") == 0
        (app / "end").touch()
        await going
        assert (await get_page(server.app_url(), timeout=60)).status == 200


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    require("redis-server")
    with RedisServer() as server:
        yield server


async def test_a_session_that_cannot_be_brought_back_is_kept(
    app: Path, replica: Start, redis: RedisServer
) -> None:
    first = replica([app], redis_url=redis.url)
    client = await Client.open(first.app_url())
    await client.patch("wish", value="kept")
    first.stop()
    second = replica([app], redis_url=redis.url, args=["--build-timeout", "1"])
    (app / "slow").touch()

    client.url = second.app_url()
    await client.reconnect(60)
    assert client.value("wish", "value") == "kept"  # it is shown before its app runs
    assert await client.wait_closed(60) == 1012
    await client.reconnect(60)
    assert client.document.title == "The app took too long to start, and is not waited for any more."

    (app / "slow").unlink()
    await client.reconnect(60)
    assert client.value("wish", "value") == "kept"
    await client.close()


HIBERNATING = ["--hibernate-after", "0.2", "--check-unused-sessions", "200"]


async def asleep(server: Replica, client: Client) -> None:
    until(lambda: scrape(server.url)("svc_hibernated_sessions") == 1)
    assert client.connected


async def test_a_session_that_cannot_be_woken_can_be_woken_later(
    app: Path, replica: Start, redis: RedisServer
) -> None:
    server = replica([app], redis_url=redis.url, args=[*HIBERNATING, "--build-timeout", "1"])
    client = await Client.open(server.app_url())
    await client.patch("wish", value="kept")
    await asleep(server, client)
    (app / "slow").touch()

    with suppress(WireClosed):
        await client.patch("shown", text="never")
    assert await client.wait_closed(60) == 1012
    (app / "slow").unlink()
    await client.reconnect(60)

    assert client.value("wish", "value") == "kept"
    await client.close()


async def test_an_operator_ends_a_session_that_cannot_be_woken(
    app: Path, replica: Start, redis: RedisServer
) -> None:
    server = replica([app], redis_url=redis.url, args=HIBERNATING)
    client = await Client.open(server.app_url())
    await client.patch("wish", value="kept")
    await asleep(server, client)
    (app / "slow").touch()
    waking = asyncio.create_task(client.patch("shown", text="never"))
    await asyncio.to_thread(until, (app / "begun").exists)

    sessions = [server.command[0], "sessions", "--redis", redis.url, "--app", "/app", "--end"]
    ended = await asyncio.to_thread(subprocess.run, sessions, capture_output=True, text=True, timeout=60)

    assert "has ended" in ended.stdout, ended.stderr
    assert await client.wait_closed(60) == 1012
    server.wait_line(r"abandoned while being built, still running: wait \(.*stuck.py:\d+\)")
    await client.reconnect()
    assert client.document.title == "This session has ended."
    await client.close()
    await asyncio.gather(waking, return_exceptions=True)
