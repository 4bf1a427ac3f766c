"""Models with JavaScript of their own: compiled once, there for every page, also when no session lives."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bokeh.protocol import Protocol
from devfleet.fleet import Fleet
from devfleet.replica import Replica, Server
from harness.pages import get_page
from harness.wire import Wire

SHORT = [
    *("--unused-session-lifetime", "500", "--check-unused-sessions", "100"),
    *("--stats-log-frequency", "100", "--log-level", "debug"),
]


async def test_a_custom_model_draws_itself_for_every_session(
    serving: Callable[..., Server | Fleet], examples: Path, open_tab: Callable[..., Any]
) -> None:
    server = serving([examples / "custom_model.py"])

    for _ in range(3):
        tab = await open_tab()
        await tab.open(server.app_url())
        await tab.raw.get_by_text("Clicks: 0").click()
        await tab.wait_value("seen", "text", "Python saw 1")

    assert "ClickBox" in (await get_page(server.app_url())).text


async def test_a_session_that_begins_anew_defines_its_model_again(
    replica: Callable[..., Replica], examples: Path
) -> None:
    server = replica([examples / "custom_model.py"], args=SHORT)
    page = await get_page(server.app_url())

    for _ in range(2):  # the token is good for a new session once the first one is gone
        wire = await Wire.open(f"ws{server.app_url().removeprefix('http')}/ws", page.token)
        await wire.receive()
        await wire.send(Protocol().create("PULL-DOC-REQ"))
        reply = await wire.receive()
        assert reply is not None
        assert "ClickBox" in str(reply.content)
        await wire.close()
        while await wire.receive() is not None:
            pass
        await asyncio.to_thread(server.wait_line, "1 sessions with 1 unused", 20)
        seen = len(server.lines)
        await asyncio.to_thread(server.wait_line, " 0 clients connected", 20, after=seen)
        while "1 sessions" in server.tail(2):
            seen = len(server.lines)
            await asyncio.to_thread(server.wait_line, " 0 clients connected", 20, after=seen)
