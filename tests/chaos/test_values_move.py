"""What columns held before their session moved, callbacks and pages find afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from devfleet.fleet import Fleet
from harness.client import Client
from operations.scrape import journaled

CASES = Path(__file__).with_name("cases")
NOTES = ("int64_limits", "masked_gap", "pandas_columns")


@pytest.fixture
def fleet(start_fleet: Callable[..., Fleet]) -> Iterator[Fleet]:
    """A fleet for each test: replicas go here."""
    started = start_fleet(sorted(CASES.glob("*.py")))
    yield started
    started.stop()


def columns(client: Client, source: str) -> dict[str, Any]:
    """What the page has, with NaN as None."""
    data = client.value(source, "data")
    return {
        name: [None if item != item else item for item in np.asarray(data[name]).tolist()] for name in data
    }


async def noted(client: Client, note: str) -> str:
    """What the app says of its columns when the note is set."""
    await client.patch("note", value=note)
    await client.expect(lambda client: client.value("out", "text").startswith(f"{note}:"))
    return str(client.value("out", "text")).removeprefix(f"{note}:")


@pytest.mark.parametrize("way", ["kill", "terminate"])
@pytest.mark.filterwarnings("ignore:out of range integer")
async def test_columns_are_what_they_were(fleet: Fleet, way: str) -> None:
    owner = fleet.replicas[0]
    clients = {name: await Client.open(owner.app_url(name)) for name in NOTES}
    streaming = await Client.open(owner.app_url("streams_in_a_callback"))
    said = {name: await noted(client, "draw") for name, client in clients.items()}
    shown = {name: columns(client, "source") for name, client in clients.items()}
    await streaming.patch("s", value=5)
    await streaming.expect(lambda client: len(client.value("src", "data")["a"]) == 6)
    rows = columns(streaming, "src")
    assert said["int64_limits"].endswith(f"{2**63 - 1}]")
    assert shown["masked_gap"] == {"y": [1, 2, None, 3]}
    await asyncio.to_thread(journaled, owner)

    getattr(owner, way)()
    for name, client in {**clients, "streams_in_a_callback": streaming}.items():
        await client.wait_closed()
        client.url = fleet.app_url(name)
        await client.reconnect()

    for name, client in clients.items():
        assert columns(client, "source") == shown[name]
        assert client.value("note", "value") == "draw"
        assert await noted(client, "again") == said[name]
    assert columns(streaming, "src") == rows
    await streaming.patch("s", value=6)
    await streaming.expect(lambda client: list(client.value("src", "data")["a"]) == [*rows["a"], 6])
    lines = [line for each in fleet.replicas for line in each.matching("could not be read back")]
    assert lines == []
    for client in (*clients.values(), streaming):
        await client.close()
