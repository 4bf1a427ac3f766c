"""One session id is one Document, whichever replicas its tabs and clients are connected to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from bokeh.document import Document
from bokeh.models import Slider
from devfleet.fleet import Fleet
from harness.apps import CountedApp
from harness.client import Client
from harness.peer import Peer


@asynccontextmanager
async def on_each_replica(fleet: Fleet, **options: Any) -> AsyncIterator[list[Client]]:
    """One session, opened on the first replica, with a client on each."""
    first, *others = [replica.app_url() for replica in fleet.replicas]
    async with await Client.open(first, **options) as client:
        clients = [client]
        try:
            for url in others:
                clients.append(Client(url, client.token))
                await clients[-1].reconnect()
            yield clients
        finally:
            await asyncio.gather(*(each.close() for each in clients[1:]))


async def test_one_session_on_three_replicas_is_one_document(fleet: Fleet, plain: CountedApp) -> None:
    before = len(plain.runs)
    async with on_each_replica(fleet) as clients:
        assert len(plain.runs) - before == 1
        for value, sender in enumerate(clients, start=20):
            await sender.patch("slider", value=value)
            for client in clients:
                await client.expect_value("slider", "value", value)
                await client.expect_value("double", "text", str(2 * value))


async def test_a_change_does_not_come_back_to_its_sender(fleet: Fleet) -> None:
    async with on_each_replica(fleet) as (owner, there, _):
        for client, value in ((owner, 51), (there, 52)):
            await client.patch("slider", value=value)
            await client.expect_value("double", "text", str(2 * value))
        await owner.expect_value("slider", "value", 52)
        assert (values_sent_to(owner), values_sent_to(there)) == ([52], [51])


def values_sent_to(client: Client) -> list[int]:
    events = [event for message in client.messages("PATCH-DOC") for event in message.content["events"]]
    return [event["new"] for event in events if event["attr"] == "value"]


async def test_large_arrays_go_through_a_relay_unchanged(fleet: Fleet) -> None:
    numbers = list(range(100_000))
    async with on_each_replica(fleet) as (owner, there, elsewhere):
        await there.patch("source", data={"x": numbers})
        for client in (owner, elsewhere):
            await client.expect(lambda c: len(c.value("source", "data")["x"]) == len(numbers))
            assert list(client.value("source", "data")["x"]) == numbers


@pytest.mark.parametrize("asked", [0, 1, 2])
async def test_a_pushed_session_is_found_from_every_replica(fleet: Fleet, asked: int) -> None:
    document = Document()
    document.add_root(Slider(name="pushed", start=0, end=10, value=3))
    async with Peer() as peer:
        pushed = await peer.push(document, url=fleet.replicas[0].app_url())
        async with await Client.open(fleet.replicas[asked].app_url(), session_id=pushed.id) as client:
            assert client.value("pushed", "value") == 3
            assert [root.name for root in client.document.roots] == ["pushed"]


async def test_a_pulled_session_follows_a_tab_on_another_replica(fleet: Fleet) -> None:
    async with await Client.open(fleet.replicas[0].app_url()) as client, Peer() as peer:
        assert client.page is not None
        pulled = await peer.pull(session_id=client.page.session_id, url=fleet.replicas[1].app_url())
        slider = pulled.document.select_one({"name": "slider"})
        assert slider is not None
        await peer.do(slider.update, value=77)
        await peer.do(pulled.force_roundtrip)
        await client.expect_value("slider", "value", 77)
