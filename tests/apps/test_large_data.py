"""The large-data example sends what a view needs, not ten million points."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from devfleet.replica import Replica
from harness.client import Client


async def test_a_view_gets_its_own_points_only(replica: Callable[..., Replica], examples: Path) -> None:
    server = replica([examples / "large_data"])
    async with await Client.open(server.app_url(), timeout=60) as client:
        assert len(client.value("shown", "data")["x"]) <= 2002

        plot = client.model("plot").ref
        values = [["model", plot], ["x0", 5000.0], ["x1", 5499.0], ["y0", 0.0], ["y1", 1.0]]
        event = {"type": "event", "name": "rangesupdate", "values": {"type": "map", "entries": values}}
        await client.patch_json({"kind": "MessageSent", "msg_type": "bokeh_event", "msg_data": event})
        await client.expect(lambda c: len(c.value("shown", "data")["x"]) == 500)

        shown = client.value("shown", "data")["x"]
        assert (shown[0], shown[-1]) == (5000, 5499)
