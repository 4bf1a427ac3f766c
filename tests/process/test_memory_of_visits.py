"""Visits leave nothing in a server's memory once they are over, whichever store it has."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from devfleet.replica import Replica
from harness.client import Client
from harness.pages import get_page
from harness.redis_server import RedisServer

APP = """
import gc, sys
from bokeh.io import curdoc
from bokeh.models import TextInput

text = TextInput(name="text")


def count(attr, old, new):
    gc.collect()
    text.title = f"{new}: {sys.getallocatedblocks()}"


text.on_change("value", count)
curdoc().add_root(text)
"""
SHORT = [
    "--unused-session-lifetime", "100", "--check-unused-sessions", "100", "--session-token-expiration", "5",
    "--app-threads", "1",
]  # fmt: skip
PAGES, SESSIONS = 250, 10


@pytest.fixture(params=["embedded", pytest.param("redis", marks=pytest.mark.redis)])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Replica]:
    app = tmp_path / "counting.py"
    app.write_text(APP)
    redis: RedisServer | None = request.getfixturevalue("redis_server") if request.param == "redis" else None
    with Replica([app], redis_url=redis.url if redis else None, name=request.param, args=SHORT) as running:
        yield running


async def visits(server: Replica) -> None:
    """Pages that are only looked at, and some that are used."""
    for _ in range(PAGES):
        assert (await get_page(server.app_url(), cookies={"preferences": "x" * 200})).status == 200
    for _ in range(SESSIONS):
        async with await Client.open(server.app_url()) as client:
            await client.pull()


async def blocks(server: Replica) -> int:
    """How many blocks Python has allocated there while one session lives."""
    async with await Client.open(server.app_url()) as client:
        await client.patch("text", value="blocks")
        await client.expect(lambda _: client.value("text", "title").startswith("blocks"))
        return int(client.value("text", "title").split()[-1])


async def test_they_leave_nothing(server: Replica) -> None:
    await visits(server)  # caches fill
    before = await blocks(server)
    await visits(server)

    for _ in range(100):
        after = await blocks(server)
        if after - before < 2 * PAGES:  # a handoff takes more
            return
        await asyncio.sleep(0.2)  # what it left may last for as long as its token
    raise AssertionError(f"{after - before} blocks more after {PAGES} page views")
