"""Panel apps that work on threads (``pn.extension(nthreads=4)``): all they write arrives, on any replica."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import panel.models.tabulator  # the client makes models of these classes
import panel.models.widgets
import pytest
from bokeh.events import DocumentReady
from bokeh.models import Div, TextInput
from devfleet.fleet import Fleet
from devfleet.replica import Replica
from harness.client import Client
from harness.moving import came_to_life
from operations.scrape import journaled
from panel.models.markup import HTML

APPS = Path(__file__).parent / "panel_threads"
ROWS = 10
PRESSES = 4


@pytest.fixture(scope="module")
def fleet(start_fleet: Callable[..., Fleet]) -> Fleet:
    """Of its own: Panel has one setting for all apps of a process."""
    return start_fleet([APPS / "workers.py", APPS / "notes.py"], n=2)


async def opened(replica: Replica, app: str = "workers") -> Client:
    client = await Client.open(replica.app_url(app), timeout=60)
    await client.emit(DocumentReady())
    return client


async def use(client: Client) -> None:
    """Have seven threads write at once."""
    for _ in range(PRESSES):
        await client.click({"label": "press"})
    await client.click({"label": "outside"})


def rows(client: Client) -> Counter[tuple[str, int]]:
    data = client.model(panel.models.tabulator.DataTabulator).source.data
    assert len({len(column) for column in data.values()}) == 1
    return Counter((str(who), int(n)) for who, n in zip(data["who"], data["n"], strict=True))


def expected() -> Counter[tuple[str, int]]:
    who = [*(f"press {n}" for n in range(1, PRESSES + 1)), "thread 1", "pool 1 0", "pool 1 1"]
    return Counter({("app", 0): 1} | {(each, n): 1 for each in who for n in range(ROWS)})


def done(client: Client) -> int:
    return sum("is done" in model.text for model in client.document.select({"type": Div}))


async def all_arrived(client: Client) -> None:
    what = "rows of all threads"
    await client.expect(lambda _: done(client) == 7 and rows(client).total() == 71, timeout=60, what=what)
    assert rows(client) == expected()


def foreign(client: Client) -> list[str]:
    """The models whose ids are not of this session."""
    config: Any = client.document.config
    prefix = config.id.partition("-")[0] + "-"
    return [model.id for model in client.document.models if not model.id.startswith(prefix)]


async def test_what_threads_write_arrives(fleet: Fleet) -> None:
    replica = fleet.replicas[1]
    clients = [await opened(replica) for _ in range(3)]
    try:
        await asyncio.gather(*map(use, clients))
        for client in clients:
            await all_arrived(client)
            assert foreign(client) == []
    finally:
        for client in clients:
            await client.close()
    assert not replica.matching("Traceback")


@pytest.mark.parametrize("end", ["kill", "terminate"])
async def test_it_goes_on_elsewhere(fleet: Fleet, end: str) -> None:
    """What threads made belongs to the session; what they make on the next replica is told apart from it."""
    here, there = fleet.replicas
    client = await opened(here)
    try:
        await use(client)
        await all_arrived(client)
        await asyncio.to_thread(journaled, here)
        models = {model.id for model in client.document.models}

        getattr(here, end)()
        await asyncio.to_thread(here.wait)
        client.wire.drop()
        client.url = there.app_url("workers")
        await client.reconnect(timeout=60)
        await came_to_life(client, there)  # what threads make is not the same, so its page pulls again

        assert {model.id for model in client.document.models} == models
        assert rows(client) == expected()
        await client.click({"label": "press"})
        await client.expect(lambda _: rows(client).total() == 81, timeout=60, what="rows after the move")
        assert foreign(client) == []
        assert not there.matching("Traceback")
    finally:
        await client.close()
        await here.start_async()


def notes(client: Client) -> str:
    return " ".join(model.text for model in client.document.select({"type": HTML}))


async def test_handlers_of_inputs_are_over_before_the_page_is_back(fleet: Fleet) -> None:
    """Else what they write comes after what the page had, and in its place."""
    here, there = fleet.replicas
    client = await opened(here, "notes")
    try:
        for text in ("one", "two", "three"):
            await client.patch(TextInput, value=text)
            await client.expect(lambda _, text=text: text in notes(client))
        await asyncio.to_thread(journaled, here)

        here.kill()
        await asyncio.to_thread(here.wait)
        client.wire.drop()
        client.url = there.app_url("notes")
        await client.reconnect(timeout=60)

        assert "notes: one two three" in notes(client)
        await asyncio.sleep(1.5)  # what must not come would come in this time
        assert "notes: one two three" in notes(client)
        await client.patch(TextInput, value="four")
        await client.expect(lambda _: "notes: one two three four" in notes(client))
    finally:
        await client.close()
        await here.start_async()


async def test_panels_threads_are_those_of_the_server() -> None:
    """``--num-threads``, as of ``panel serve``: one pool, not two."""
    app = APPS / "asked.py"
    with Replica([app], name="asked", args=["--num-threads", "20"], timeout=60) as server:
        client = await opened(server, "asked")
        try:
            await client.click({"label": "press"})
            said = "svc app code, 20, PoolExecutor"
            await client.expect(
                lambda _: [each for each in client.document.select({"type": Div}) if each.text == said],
                timeout=60,
                what=said,
            )
        finally:
            await client.close()
