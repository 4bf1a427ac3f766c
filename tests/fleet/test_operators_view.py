"""What operators see of a fleet, and change of it as a whole, by commands on two real replicas."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from devfleet.fleet import Fleet
from devfleet.redis_server import eventually
from harness.apps import CountedApp
from harness.client import Client, ServerError

FAILING = """
from bokeh.io import curdoc
from bokeh.models import Slider

def moved(attr, old, new):
    raise ValueError("no such data")

slider = Slider(name="slider", start=0, end=10, value=1)
slider.on_change("value", moved)
curdoc().add_root(slider)
"""


@pytest.fixture(scope="module")
def fleet(start_fleet: Callable[..., Fleet], tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    folder = tmp_path_factory.mktemp("operators")
    (folder / "failing.py").write_text(FAILING)
    sleepy = ["--hibernate-after", "0.3", "--check-unused-sessions", "100"]
    return start_fleet([CountedApp(folder).path, folder / "failing.py"], n=2, args=sleepy)


def svc(fleet: Fleet, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [fleet.replicas[0].command[0], *arguments, "--redis", fleet.redis.url]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def status(fleet: Fleet) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(svc(fleet, "status", "--json").stdout)
    return found


async def test_status_says_per_app_what_lives_what_sleeps_and_what_has_failed(fleet: Fleet) -> None:
    failing = {"app": "/failing", "replicas": 2, "live": 0, "asleep": 2, "errors": 3}
    counted = {"app": "/counted", "replicas": 2, "live": 0, "asleep": 0, "errors": 0}
    first, second = fleet.replicas
    url = Path(fleet.apps[1])
    async with await Client.open(first.app_url(url)) as one, await Client.open(second.app_url(url)) as two:
        for client, value in ((one, 2), (one, 3), (two, 2)):
            with pytest.raises(ServerError, match="no such data"):
                await client.patch("slider", value=value)

        await asyncio.to_thread(eventually, lambda: status(fleet)["apps"] == [counted, failing])

    found = status(fleet)
    assert all(each["memory"] > 20_000_000 for each in found["replicas"])
    assert "/failing  2" in svc(fleet, "status").stdout
