"""Large data in an app's own reference cycles is gone soon after its pages are closed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from devfleet.redis_server import eventually
from devfleet.replica import Replica
from harness.apps import CountedApp
from harness.client import Client

MEGABYTE = 1 << 20

CYCLES = """
import numpy as np
from bokeh.io import curdoc
from bokeh.models import Slider

from service import memory

memory.LOOK_INTERVAL = 0.2  # seconds; from the second look on, as the first is being waited for
memory.SHARE_ENDED = 0.5

class Analysis:
    def __init__(self):
        self.data = np.ones(20 << 17)  # 20 MB
        self.slider = Slider(name="slider", start=0, end=10, value=1)
        self.slider.on_change("value", self.moved)
        self.me = self

    def moved(self, attr, old, new):
        self.data += new

curdoc().add_root(Analysis().slider)
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Replica]:
    app = CountedApp(tmp_path, "cycles", body=CYCLES)
    short = ["--unused-session-lifetime", "300", "--check-unused-sessions", "200"]
    with Replica([app.path], name="cycles", args=short) as running:
        yield running


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


async def test_memory_is_given_back(server: Replica) -> None:
    """Also that of sessions which lived when everything was last looked at: memory does not grow then."""
    await (await Client.open(server.app_url())).close()
    assert server.pid is not None
    before = resident(server.pid)
    clients = [await Client.open(server.app_url()) for _ in range(10)]
    assert resident(server.pid) - before > 150 * MEGABYTE
    await (await Client.open(server.app_url())).close()
    await asyncio.to_thread(server.wait_line, "collected", 60, after=len(server.lines))

    for client in clients:
        await client.close()

    eventually(
        lambda: resident(server.pid) - before < 40 * MEGABYTE, within=60, what="what the apps held is gone"
    )
