"""What users edit in Panel's tables is in their frames after a move, whatever part of them the page shows."""

from __future__ import annotations

import asyncio
import html
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from inspect import signature
from pathlib import Path
from typing import Any

import panel.models.tabulator  # the client makes models of these classes
import panel.models.widgets
import pytest
from bokeh.events import DocumentReady
from bokeh.models import TextInput
from devfleet.fleet import Fleet
from devfleet.replica import Replica
from harness.client import Client
from operations.scrape import at_rest
from panel.models.markup import HTML
from panel.models.tabulator import TableEditEvent

APP = Path(__file__).parent.parent / "apps" / "panel_apps" / "edits.py"
TABLE = panel.models.tabulator.DataTabulator
BUTTON = {"type": panel.models.widgets.Button}
EVENTS_TWICE = "pre" in signature(TableEditEvent).parameters  # panel 1.9


@pytest.fixture(scope="module")
def fleet(start_fleet: Callable[..., Fleet]) -> Fleet:
    return start_fleet([APP], n=2)


@asynccontextmanager
async def page(replica: Replica, mode: str) -> AsyncIterator[Client]:
    client = await Client.open(replica.app_url(), arguments={"mode": mode}, timeout=60)
    async with client:
        await client.emit(DocumentReady())
        yield client


@asynccontextmanager
async def moved(fleet: Fleet, client: Client, end: str = "kill") -> AsyncIterator[None]:
    """The first replica goes, and the page comes back to the second one."""
    here, there = fleet.replicas
    await asyncio.to_thread(at_rest, fleet, here)
    getattr(here, end)()
    await asyncio.to_thread(here.wait)
    client.wire.drop()
    client.url = there.app_url()
    await client.reconnect(timeout=60)
    try:
        yield
        assert not there.matching("Traceback")
    finally:
        await here.start_async()


async def edit(client: Client, column: str, row: int, value: Any) -> None:
    """As Panel's JavaScript does it; the row is that of the data source."""
    table = client.model(TABLE)
    about = {"model": table.ref, "column": column, "row": row}
    if EVENTS_TWICE:
        await client.patch_json(event("table-edit", **about, pre=True))
    else:
        await client.patch_json(event("table-edit", **about, value=value, old=None))
    await client.change(lambda _: table.source.patch({column: [(row, value)]}))
    if EVENTS_TWICE:
        await client.patch_json(event("table-edit", **about, pre=False))


def event(name: str, **values: Any) -> dict[str, Any]:
    entries = [[name, value] for name, value in values.items()]
    data = {"type": "event", "name": name, "values": {"type": "map", "entries": entries}}
    return {"kind": "MessageSent", "msg_type": "bokeh_event", "msg_data": data}


async def answer(client: Client, question: str) -> str:
    """What the app's own objects say."""
    await client.patch(TextInput, value=question)
    found: str = await client.expect(
        lambda _: text(client, f"{question} names="), what=f"answer to {question}"
    )
    return found.partition(f"{question} ")[2]


def text(client: Client, part: str) -> str:
    texts = [model.text for model in client.document.select({"type": HTML})]
    return next((html.unescape(html.unescape(each)) for each in texts if part in each), "")


async def edited(client: Client, *cells: tuple[str, int]) -> None:
    """The app heard of the edits of these cells."""
    await client.expect(lambda _: f"edits {list(cells)}" in text(client, "edits"), what=f"edits {cells}")


@pytest.mark.parametrize("end", ["kill", "terminate"])
@pytest.mark.parametrize("mode", ["all", "local"])
async def test_edits_are_in_the_frame(fleet: Fleet, mode: str, end: str) -> None:
    async with page(fleet.replicas[0], mode) as client:
        await edit(client, "name", 3, "ada")
        await edit(client, "v", 25, -7)
        await edit(client, "day", 29, 1_767_139_200_000)  # as BokehJS gives times
        await edited(client, ("name", 3), ("v", 25), ("day", 29))
        before = await answer(client, "q")
        assert "names=[(3, 'ada')] numbers=[(25, -7)] rows=30" in before

        async with moved(fleet, client, end):
            assert await answer(client, "again") == before
            await edit(client, "v", 4, 40)
            assert "numbers=[(4, 40), (25, -7)]" in await answer(client, "more")


async def test_edits_on_several_pages_of_a_remote_table(fleet: Fleet) -> None:
    async with page(fleet.replicas[0], "remote") as client:
        await edit(client, "name", 3, "ada")
        await edited(client, ("name", 3))
        await turn_to(client, 3)
        await edit(client, "v", 5, -7)
        await edited(client, ("name", 3), ("v", 25))
        await turn_to(client, 2)
        before = await answer(client, "q")
        assert "names=[(3, 'ada')] numbers=[(25, -7)]" in before

        async with moved(fleet, client):
            assert await answer(client, "again") == before
            await edit(client, "v", 0, 100)  # of the page that is shown
            assert "numbers=[(10, 100), (25, -7)]" in await answer(client, "more")
            await turn_to(client, 1)
            assert client.model(TABLE).source.data["name"][3] == "ada"
            await turn_to(client, 3)
            assert client.model(TABLE).source.data["v"][5] == -7


async def turn_to(client: Client, number: int) -> None:
    await client.patch(TABLE, page=number)
    first = (number - 1) * 10
    await client.expect(lambda _: first in client.model(TABLE).source.data["index"], what=f"page {number}")


async def test_a_sorted_page_stays_as_it_is(fleet: Fleet) -> None:
    """An edit of the column by which it is sorted does not sort it anew, also not by a move."""
    async with page(fleet.replicas[0], "remote") as client:
        await client.patch(TABLE, sorters=[{"field": "v", "dir": "desc"}])
        await client.expect(lambda _: list(client.model(TABLE).source.data["v"])[:2] == [29, 28])
        await edit(client, "v", 1, 0)  # of row 28, which belongs at the end now
        await edited(client, ("v", 28))
        before = await answer(client, "q")
        shown = list(client.model(TABLE).source.data["index"])

        async with moved(fleet, client):
            assert list(client.model(TABLE).source.data["index"]) == shown
            assert await answer(client, "again") == before
            await edit(client, "name", 2, "third")
            assert "names=[(27, 'third')] numbers=[(28, 0)]" in await answer(client, "more")


async def test_a_row_that_an_edit_takes_out_of_the_filter_stays_in_the_page(fleet: Fleet) -> None:
    async with page(fleet.replicas[0], "remote") as client:
        await client.patch(TABLE, filters=[{"field": "name", "type": "like", "value": "n2"}])
        await client.expect(lambda _: list(client.model(TABLE).source.data["index"])[:3] == [2, 20, 21])
        await edit(client, "name", 0, "xyz")
        await edit(client, "v", 2, -1)
        await edited(client, ("name", 2), ("v", 21))
        before = await answer(client, "q")
        shown = list(client.model(TABLE).source.data["index"])
        assert "names=[(2, 'xyz')] numbers=[(21, -1)]" in before

        async with moved(fleet, client):
            assert list(client.model(TABLE).source.data["index"]) == shown
            assert await answer(client, "again") == before
            await edit(client, "v", 1, -2)
            assert "numbers=[(20, -2), (21, -1)]" in await answer(client, "more")


async def test_edits_under_a_filter_of_the_app(fleet: Fleet) -> None:
    async with page(fleet.replicas[0], "filtered") as client:
        await edit(client, "name", 3, "ada")  # of the rows shown, which begin with 20
        await edited(client, ("name", 23))
        before = await answer(client, "q")
        assert "names=[(23, 'ada')]" in before

        async with moved(fleet, client):
            assert await answer(client, "again") == before
            await edit(client, "name", 4, "bob")
            assert "names=[(23, 'ada'), (24, 'bob')]" in await answer(client, "more")


@pytest.mark.parametrize("mode", ["all", "remote"])
async def test_the_selection_is_known(fleet: Fleet, mode: str) -> None:
    async with page(fleet.replicas[0], mode) as client:
        if mode == "remote":
            await turn_to(client, 2)
            chosen = event(
                "selection-change", model=client.model(TABLE).ref, indices=[1], selected=True, flush=True
            )
            await client.patch_json(chosen)
        else:
            await client.change(lambda _: client.model(TABLE).source.selected.update(indices=[11]))
        before = await answer(client, "q")
        assert "chosen=[11]" in before

        async with moved(fleet, client):
            assert await answer(client, "again") == before


async def test_rows_that_the_app_added_are_in_the_frame(fleet: Fleet) -> None:
    async with page(fleet.replicas[0], "all") as client:
        for total in (31, 32):
            await client.click(BUTTON)
            await client.expect(lambda _, n=total: len(client.model(TABLE).source.data["v"]) == n)
        await edit(client, "name", 30, "mine")
        before = await answer(client, "q")
        assert "rows=32" in before

        async with moved(fleet, client):
            again = await answer(client, "again")  # what the app noted of a row that is not built is gone
            assert again.partition(" noted")[0] == before.partition(" noted")[0]
            await client.click(BUTTON)
            await client.expect(lambda _: len(client.model(TABLE).source.data["v"]) == 33)
            assert "rows=33" in await answer(client, "more")
