"""What Panel apps add to their page while they run is there after a move, and what follows goes on."""

from __future__ import annotations

import asyncio
import html
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import panel.chat  # noqa: F401 - the client makes models of its classes
import pytest
from bokeh.events import DocumentReady
from bokeh.models import TabPanel, TextInput
from devfleet.fleet import Fleet
from devfleet.replica import Replica
from harness.client import Client
from operations.scrape import at_rest
from panel.models.markup import HTML

APPS = Path(__file__).parent.parent / "apps" / "panel_apps"


@pytest.fixture(scope="module")
def fleet(start_fleet: Callable[..., Fleet]) -> Fleet:
    return start_fleet([APPS / "added.py", APPS / "chat.py"], n=2)


@asynccontextmanager
async def page(replica: Replica, app: str, **arguments: str) -> AsyncIterator[Client]:
    client = await Client.open(replica.app_url(app), arguments=arguments, timeout=60)
    async with client:
        await client.emit(DocumentReady())
        yield client


async def move(fleet: Fleet, client: Client, app: str, end: str = "kill") -> None:
    """The replica that has the page goes, and it comes back to the other one; both are there in the end."""
    here = next(each for each in fleet.replicas if client.url == each.app_url(app))
    there = fleet.others(here)[0]
    await asyncio.to_thread(at_rest, fleet, here)
    getattr(here, end)()
    await asyncio.to_thread(here.wait)
    try:
        client.wire.drop()
        client.url = there.app_url(app)
        await client.reconnect(timeout=60)
        assert not there.matching("Traceback|already known|callbacks were lost")
    finally:
        await here.start_async()


def texts(client: Client) -> list[str]:
    found = [model.text for model in client.document.select({"type": HTML})]
    return [html.unescape(html.unescape(text)) for text in found]


def text(client: Client, part: str) -> str:
    return next((each for each in texts(client) if part in each), "")


async def press(client: Client, label: str, shown: str) -> str:
    await client.click({"label": label})
    found: str = await client.expect(lambda _: text(client, shown), what=f"{shown} in {texts(client)}")
    return found


async def press_for_message(client: Client, number: int) -> None:
    await press(client, "message", f"message {number}")
    await client.pull()  # what is streamed into a message comes by events that this client does not know
    assert text(client, f"message {number} and more")


ENDS = pytest.mark.parametrize(
    "ends", [["terminate"] * 3, ["kill", "terminate", "kill"]], ids=["drains", "kills"]
)
"""How replicas go. After two deaths in a row nothing is repeated: what clicks made is only shown then."""


@ENDS
async def test_rows_tabs_and_messages_go_on(fleet: Fleet, ends: list[str]) -> None:
    async with page(fleet.replicas[0], "added") as client:
        for number in (1, 2):
            await press(client, "row", f"row {number}")
            await press(client, "tab", f"tab {number}")
            await press_for_message(client, number)
        before = await press(client, "say", "log 1")
        assert "['row 0', 'row 1', 'row 2'] ['first', 'title 1', 'title 2']" in before
        assert "['message 1 and more', 'message 2 and more']" in before
        shown = sorted(each for each in texts(client) if "log" not in each)

        for again, end in enumerate(ends, 2):  # what was made anew is kept as well
            await move(fleet, client, "added", end)
            assert sorted(each for each in texts(client) if "log" not in each) == shown
            told = await press(client, "say", f"log {again}")
            assert told.replace(f"log {again}", "log 1") == before

        await press(client, "row", "row 3")
        await press(client, "tab", "tab 3")
        await press_for_message(client, 3)
        after = await press(client, "say", "log 5")
        assert "['row 0', 'row 1', 'row 2', 'row 3'] ['first', 'title 1', 'title 2', 'title 3']" in after
        assert "['message 1 and more', 'message 2 and more', 'message 3 and more']" in after
        assert "title 3" in {tab.title for tab in client.document.select({"type": TabPanel})}


@ENDS
async def test_entries_of_rows_go_on(fleet: Fleet, ends: list[str]) -> None:
    """The click that made them is repeated: they are not only shown. What was there before it need not be."""
    entry: dict[str, Any] = {"type": TextInput, "title": "entry"}
    async with page(fleet.replicas[0], "added") as client:
        await press_for_message(client, 1)
        await press(client, "row", "row 1")
        for number, (written, end) in enumerate(zip(("here", "there", "back"), ends, strict=True), 1):
            await client.patch(entry, value=written)
            assert f"['{written}']" in await press(client, "say", f"log {number}")

            await move(fleet, client, "added", end)

            assert not client.value(entry, "disabled")
            assert client.value(entry, "value") == written


async def test_a_click_that_shows_nothing_is_counted(fleet: Fleet) -> None:
    async with page(fleet.replicas[0], "chat") as client:
        for number in (1, 2, 3):
            await press(client, "tell", f"told {number}")

        await move(fleet, client, "chat")

        await press(client, "tell", "told 4")
