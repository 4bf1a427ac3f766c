"""A page that is open in Chromium goes on when its replica goes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from devfleet.fleet import Fleet
from devfleet.replica import Replica
from harness.browser import Tab

LOST_SOCKET = ("WebSocket connection to .* failed", "ERR_CONNECTION", "Could not open websocket", "Lost web")
WRITTEN = 0.5
"""Seconds in which what was changed is surely in the store: the journal's interval, and a write."""

ways = pytest.mark.parametrize("way", ["kill", "terminate"])


@pytest.fixture
def fleet(start_fleet: Callable[..., Fleet], examples: Path) -> Iterator[Fleet]:
    """A fleet for each test: replicas go here."""
    started = start_fleet([examples / "sliders.py"])
    yield started
    started.stop()


def owner_of(fleet: Fleet) -> Replica:
    """The replica that holds the one session there is."""
    (key,) = fleet.redis.command("KEYS", "svc:*:session")
    owner = fleet.redis.command("HGET", key, "owner").decode()
    return next(each for each in fleet.replicas if each.matching(f"replica {owner} listens"))


@ways
async def test_an_open_page_goes_on(fleet: Fleet, tab: Tab, way: str) -> None:
    for known in LOST_SOCKET:
        tab.expect_problem(known)
    await tab.open(fleet.app_url("sliders"))
    await tab.raw.evaluate("window.neverReloaded = true")
    offset = await tab.drag_slider("offset", 0.8)
    await tab.wait_value("wave", "data.y.0", offset)
    await asyncio.sleep(WRITTEN)
    shown = await tab.value("wave", "data.y")

    getattr(owner_of(fleet), way)()

    await tab.raw.get_by_text("Client connect was reestablished").wait_for(timeout=20_000)
    assert await tab.raw.get_by_text("Reconnecting now").count() == 0
    assert await tab.value("offset", "value") == offset
    assert await tab.value("wave", "data.y") == shown
    offset = await tab.drag_slider("offset", 0.3)
    await tab.wait_value("wave", "data.y.0", offset)
    assert await tab.raw.evaluate("window.neverReloaded")
