"""An app that blocks its replica while it starts is run once all the same: the heart beats on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from devfleet.fleet import Fleet
from devfleet.redis_server import eventually
from harness.apps import CountedApp
from harness.client import Client
from harness.pages import get_page

from fleet.app_sources import SLOW, TEMPLATE


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> CountedApp:
    files = {"templates/index.html": TEMPLATE.replace("{{ greeting }}", "Slow")}
    return CountedApp(tmp_path_factory.mktemp("slow"), "slow", body=SLOW, files=files)


@pytest.fixture(scope="module")
def fleet(start_fleet: Callable[..., Fleet], slow: CountedApp) -> Fleet:
    return start_fleet([slow.path], n=2)


async def test_page_here_and_socket_there_run_it_once(fleet: Fleet, slow: CountedApp) -> None:
    here, there = fleet.replicas
    before = len(slow.runs)
    page = await get_page(here.app_url())
    async with Client(there.app_url(), page.token) as client:
        await client.pull()
        assert slow.runs[before:] == [here.pid]


async def test_a_socket_waits_while_the_page_is_made(fleet: Fleet, slow: CountedApp) -> None:
    """It is dialling a replica that cannot answer, but that is not dead."""
    here, there = fleet.replicas
    await get_page(there.app_url())  # it has seen the app then; else autoload.js would run it there
    await get_page(there.app_url())  # where an app has run before, autoload.js does not run it
    session_id = "one that was agreed upon"
    embed = await get_page(
        f"{there.app_url()}/autoload.js", session_id=session_id, arguments={"bokeh-autoload-element": "x"}
    )
    before = len(slow.runs)
    making = asyncio.create_task(get_page(here.app_url(), session_id=session_id))
    await asyncio.to_thread(eventually, lambda: len(slow.runs) > before)

    async with Client(there.app_url(), embed.token, timeout=30) as client:
        await client.pull()
        assert (await making).session_id == session_id
        assert slow.runs[before:] == [here.pid]
