"""A Panel app, whose objects of its own follow its widgets, survives its replica."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bokeh.events import DocumentReady
from bokeh.models import Slider
from devfleet.fleet import Fleet
from devfleet.replica import Replica
from harness.client import Client
from panel.models.markup import HTML

PANEL_APPS = Path(__file__).parent.parent / "serve" / "panel_apps"
WRITTEN = 0.5
"""Seconds in which what was changed is surely in the store: the journal's interval, and a write."""

ways = pytest.mark.parametrize("way", ["kill", "terminate"])


@pytest.fixture
def fleet(start_fleet: Callable[..., Fleet]) -> Iterator[Fleet]:
    """A fleet for each test: replicas go here."""
    started = start_fleet([PANEL_APPS / "bound.py"])
    yield started
    started.stop()


def owner_of(fleet: Fleet) -> Replica:
    """The replica that holds the one session there is."""
    (key,) = fleet.redis.command("KEYS", "svc:*:session")
    owner = fleet.redis.command("HGET", key, "owner").decode()
    return next(each for each in fleet.replicas if each.matching(f"replica {owner} listens"))


async def moved(fleet: Fleet, client: Client, way: str) -> None:
    """End the session's replica; the client comes back through nginx."""
    await asyncio.sleep(WRITTEN)
    getattr(owner_of(fleet), way)()
    await client.wait_closed()
    await client.reconnect()


def texts(client: Client) -> str:
    return " ".join(model.text for model in client.document.select({"type": HTML}))


async def shows(client: Client, text: str) -> None:
    await client.expect(lambda _: text in texts(client), what=f"{text!r} in {texts(client)!r}")


async def opened(fleet: Fleet, app: str) -> Client:
    client = await Client.open(fleet.app_url(app), timeout=60)
    await client.emit(DocumentReady())
    return client


@ways
async def test_a_panel_app_that_binds(fleet: Fleet, way: str) -> None:
    async with await opened(fleet, "bound") as client:
        await client.patch(Slider, value=7)
        await shows(client, "square 49")

        await moved(fleet, client, way)

        assert client.value(Slider, "value") == 7
        assert "square 49" in texts(client)
        await client.patch(Slider, value=3)
        await shows(client, "square 9")
