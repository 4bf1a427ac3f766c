"""Panel apps, whose objects of their own follow their widgets, survive their replica."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import panel.models.tabulator  # the client makes models of these classes
import panel.models.widgets
import pytest
from bokeh.events import DocumentReady
from bokeh.models import ColumnDataSource, Plot, Slider, TextInput
from devfleet.fleet import Fleet
from devfleet.replica import Replica
from harness.client import Client
from operations.scrape import at_rest
from panel.models.markup import HTML

PANEL_APPS = Path(__file__).parent.parent / "apps" / "panel_apps"
BUTTON = {"type": panel.models.widgets.Button}
TABLE = panel.models.tabulator.DataTabulator


@dataclass(frozen=True)
class Story:
    """How an app is used before a move, what must show before and after it, and how it is used then."""

    app: str
    use: Callable[[Client], Awaitable[None]]
    shown: Callable[[Client], object]
    go_on: Callable[[Client], Awaitable[None]]


def texts(client: Client) -> str:
    return " ".join(sorted(model.text for model in client.document.select({"type": HTML})))


async def shows(client: Client, text: str) -> None:
    await client.expect(lambda _: text in texts(client), what=f"{text!r} in {texts(client)!r}")


# A function that is bound to a widget, in a template.


async def slide(client: Client) -> None:
    await client.patch(Slider, value=7)
    await shows(client, "twice 14")


async def slide_on(client: Client) -> None:
    await client.patch(Slider, value=3)
    await shows(client, "twice 6")


# HoloViews: a plot that follows a slider, and a stream that a button feeds.


async def stream(client: Client) -> None:
    await client.patch(Slider, value=4)
    await client.expect(lambda _: highest(client) > 3.9)
    for _ in range(3):
        await client.click(BUTTON)
    await client.expect(lambda _: points(client) == 3)


async def stream_on(client: Client) -> None:
    await client.patch(Slider, value=2)
    await client.expect(lambda _: 1.9 < highest(client) <= 2)
    await client.click(BUTTON)
    await client.expect(lambda _: points(client) == 4)


def curves(client: Client) -> list[ColumnDataSource]:
    return [each for each in client.document.select({"type": ColumnDataSource}) if "x" in each.data]


def highest(client: Client) -> float:
    return max(float(max(each.data["y"], default=0)) for each in curves(client))


def points(client: Client) -> int:
    return min(len(each.data["x"]) for each in curves(client))


# HoloViews: a stream of taps, which no property of a model has.


async def tap(client: Client) -> None:
    await tap_at(client, 2.5)
    await shows(client, "tapped 2.5")


async def slide_after_tap(client: Client) -> None:
    await client.patch(Slider, value=4)
    await shows(client, "level 4 tapped 2.5")
    await tap_at(client, 1.5)
    await shows(client, "tapped 1.5")


async def tap_at(client: Client, x: float) -> None:
    values = {"model": {"id": client.model(Plot).id}, "x": x, "y": 1.0, "sx": 10, "sy": 10}
    data = {
        "type": "event",
        "name": "tap",
        "values": {"type": "map", "entries": list(map(list, values.items()))},
    }
    await client.patch_json({"kind": "MessageSent", "msg_type": "bokeh_event", "msg_data": data})


# Tabulator, whose frame the app keeps in its state.


async def add_rows(client: Client) -> None:
    for total in (10, 14):
        await client.click(BUTTON)
        await shows(client, f"total {total}")
    await client.expect(lambda _: len(rows(client)) == 5)


async def add_another(client: Client) -> None:
    await client.click(BUTTON)
    await shows(client, "total 18")
    await client.expect(lambda _: len(rows(client)) == 6)


def rows(client: Client) -> list[int]:
    return [int(each) for each in client.model(TABLE).source.data["amount"]]


# A text that grows with each input, of which only the last is known.


async def take_notes(client: Client) -> None:
    for word in ("one", "two", "three"):
        await client.patch(TextInput, value=word)
        await shows(client, word)


async def take_another(client: Client) -> None:
    await client.patch(TextInput, value="four")
    await shows(client, "notes: one two three four")


# A text that is sent word by word, as events without a change of any property.


async def ask(client: Client) -> None:
    await client.click(BUTTON)
    await asyncio.sleep(2)  # nothing tells this client, which knows no such events, that it is over
    await client.pull()


async def ask_again(client: Client) -> None:
    await ask(client)
    await shows(client, "one two three one two three")


# A pipeline, whose stages are made when they are gone to.


async def next_stage(client: Client) -> None:
    await client.patch(Slider, value=3)
    await shows(client, "first 3")
    await client.click({**BUTTON, "label": "Next"})
    await shows(client, "second 3 1")
    await client.patch(Slider, value=4)
    await shows(client, "second 3 4")


async def last_stage(client: Client) -> None:
    await client.patch(Slider, value=5)
    await shows(client, "second 3 5")
    await client.click({**BUTTON, "label": "Next"})
    await shows(client, "third 8")


STORIES = (
    Story("template", slide, lambda client: (texts(client), client.value(Slider, "value")), slide_on),
    Story("streams", stream, lambda client: (highest(client), points(client)), stream_on),
    Story("taps", tap, texts, slide_after_tap),
    Story("notes", take_notes, texts, take_another),
    Story("streamed", ask, texts, ask_again),
    Story("stages", next_stage, texts, last_stage),
    Story("kept_table", add_rows, lambda client: (texts(client), rows(client)), add_another),
)


@pytest.fixture(scope="module")
def fleet(start_fleet: Callable[..., Fleet]) -> Fleet:
    return start_fleet([PANEL_APPS / f"{story.app}.py" for story in STORIES])


async def kill(victim: Replica) -> None:
    victim.kill()


async def terminate(victim: Replica) -> None:
    victim.terminate()
    assert await asyncio.to_thread(victim.wait) == 0


async def freeze(victim: Replica) -> None:
    victim.pause()


@asynccontextmanager
async def gone(
    fleet: Fleet, victim: Replica, how: Callable[[Replica], Awaitable[None]]
) -> AsyncIterator[None]:
    """The replica goes, and the balancer's health check notices; in the end it is there again."""
    await how(victim)
    await asyncio.to_thread(fleet.balance_over, fleet.others(victim))
    yield
    if victim.running:
        victim.resume()
        await asyncio.to_thread(victim.wait_line, "another replica owns it now; dropping this copy")
    else:
        await victim.start_async()
    await asyncio.to_thread(fleet.balance_over, fleet.replicas)


@pytest.mark.parametrize("how", [kill, terminate, freeze])
async def test_panel_apps_go_on(fleet: Fleet, how: Callable[[Replica], Awaitable[None]]) -> None:
    victim = fleet.replicas[0]
    async with AsyncExitStack() as tabs:
        clients: list[Client] = []
        for story in STORIES:
            client = await Client.open(victim.app_url(story.app), timeout=60)
            await tabs.enter_async_context(client)
            await client.emit(DocumentReady())
            await story.use(client)
            clients.append(client)
        await asyncio.to_thread(at_rest, fleet, victim)
        before = [story.shown(client) for story, client in zip(STORIES, clients, strict=True)]

        async with gone(fleet, victim, how):
            for story, client, shown in zip(STORIES, clients, before, strict=True):
                client.wire.drop()
                client.url = fleet.app_url(story.app)
                await client.reconnect()
                assert story.shown(client) == shown
                await story.go_on(client)
