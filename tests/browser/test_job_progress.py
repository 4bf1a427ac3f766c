"""A job's progress in Chromium goes on after its session's replica was killed, and after its worker was."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from devfleet.fleet import Fleet
from harness.jobs import JobsApp, Worker


async def test_a_bar_goes_on_without_its_replica_and_without_its_worker(
    start_fleet: Callable[..., Fleet], open_tab: Callable[..., Any], tmp_path: Path
) -> None:
    app = JobsApp(tmp_path)
    fleet = start_fleet([app.path], n=2, args=["--jobs", "0"])
    owner, other = fleet.replicas
    tab = await open_tab()
    tab.expect_lost_connection()
    with (
        Worker(app.path, fleet.redis.url, name="first") as first,
        Worker(app.path, fleet.redis.url, name="second") as second,
    ):
        fleet.balance_over([owner])
        await tab.open(fleet.app_url())
        await tab.type("do", "start steps x")
        app.allow("x", 2)
        await tab.wait_value("bar", "text", "0.2 x 2")

        owner.kill()
        fleet.balance_over([other])
        app.allow("x", 4)
        await tab.wait_value("bar", "text", "0.4 x 4")

        ((_, pid, _),) = app.noted("begin x")
        victim = first if first.pid == pid else second
        victim.kill()
        await asyncio.to_thread(app.noted, "begin x", 2)  # when the lease of the other one is over
        app.allow("x", 6)
        await tab.wait_value("bar", "text", "0.6 x 6")
        app.allow("x")
        await tab.until("value('told', 'text').includes('done')")
    assert [state for _, state, *_ in json.loads(await tab.value("told", "text"))] == ["done"]
    assert len(app.noted("end x")) == 1
