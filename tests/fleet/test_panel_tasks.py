"""`pn.state.schedule_task` on two replicas: one at a time runs it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from devfleet.fleet import Fleet
from harness.client import Client

from store.connect import open_store

pytest.importorskip("panel")

MAIN = """
import panel as pn
import ticking

pn.state.schedule_task("tick", ticking.tick, period="1s")
pn.state.schedule_task("tick", ticking.other, period="1s")
pn.state.schedule_task("gone", ticking.other, period="1s")
pn.state.cancel_task("gone")
pn.pane.Markdown("ticking").servable()
"""

TICKING = """
import os, time

def tick():
    with open(__file__ + ".runs", "a") as runs:
        runs.write(f"{time.time()}\\n")

def other():
    with open(__file__ + ".others", "a") as runs:
        runs.write("+")
"""


async def test_one_replica_at_a_time_runs_it(start_fleet: Callable[..., Fleet], tmp_path: Path) -> None:
    app = tmp_path / "ticking_app"
    app.mkdir()
    (app / "main.py").write_text(MAIN)
    (app / "ticking.py").write_text(TICKING)
    fleet = start_fleet([app], n=2)

    for replica in fleet.replicas:
        async with await Client.open(replica.app_url(), timeout=60):
            await asyncio.to_thread(replica.wait_line, "schedule_task: one replica at a time runs 'tick'")
    runs = await runs_of(app / "ticking.py.runs", 5)

    assert len(runs) <= runs[-1] - runs[0] + 2
    store = open_store(fleet.redis.url)
    assert "tick" in {each.name.name for each in await store.tasks()}
    await store.close()


async def runs_of(path: Path, count: int) -> list[float]:
    async with asyncio.timeout(60):
        while len(times := noted(path)) < count:  # noqa: ASYNC110 - files tell nobody
            await asyncio.sleep(0.1)
    return times


def noted(path: Path) -> list[float]:
    return [float(line) for line in path.read_text().splitlines()] if path.exists() else []
