"""The replica behind an open page dies, and its app takes long to build: the page goes on all the same."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from devfleet.fleet import Fleet
from devfleet.replica import Replica
from harness.browser import Tab
from harness.gated import Gated
from operations.scrape import journaled, scrape, until

BANNERS = """[...document.body.children].flatMap(each => each.getAttribute("role") == "alert" ? [each] :
    [...(each.shadowRoot?.querySelectorAll(".entries > .error") ?? [])]).map(each => each.innerText)"""
"""What this server and BokehJS (3.9 and 3.10) show over a page while something is not as it should be."""


@pytest.fixture
def gated(tmp_path: Path) -> Gated:
    return Gated(tmp_path)


@pytest.fixture
def fleet(start_fleet: Callable[..., Fleet], gated: Gated) -> Iterator[Fleet]:
    started = start_fleet([gated.app], n=2)
    yield started
    started.stop()


def owner_of(fleet: Fleet) -> Replica:
    (owner,) = (each for each in fleet.replicas if scrape(each.url)("svc_connections") == 1)
    return owner


def shown(replica: Replica) -> float:
    return scrape(replica.url)("svc_composed_pulls_total", result="shown")


async def picture(tab: Tab) -> bytes:
    """Of the plot. A Document that has connected again (BokehJS 3.9, 3.10) never says that it is idle."""
    return await (await tab.element("plot")).screenshot()


async def test_the_plot_stays_and_the_next_move_works(fleet: Fleet, gated: Gated, tab: Tab) -> None:
    tab.expect_lost_connection()
    await tab.open(fleet.app_url())
    value = await tab.nudge_slider("slider", 3)
    await tab.wait_value("shown", "text", str(int(value)))
    before, drawn = await tab.value("noise", "data"), await picture(tab)
    owner = await asyncio.to_thread(owner_of, fleet)
    (other,) = (each for each in fleet.replicas if each is not owner)
    await asyncio.to_thread(journaled, owner)
    await tab.evaluate("(globalThis.drawnBefore = view('plot').el, null)")
    gated.close()

    owner.kill()
    await asyncio.to_thread(until, lambda: shown(other) == 1)

    # BokehJS draws anew what it is shown, later than it is sent.
    await tab.until(
        "!drawnBefore.isConnected && value('noise', 'data') != null && view('plot')?.el?.isConnected"
    )
    assert await tab.value("noise", "data") == before
    assert await picture(tab) == drawn
    # Longer than what page and server wait before they say anything.
    await tab.raw.wait_for_timeout(2000)
    assert await tab.evaluate(BANNERS) == []
    value = await tab.nudge_slider("slider", 2)
    await tab.until(f"{BANNERS}.some(each => each.includes('One moment'))")
    gated.open()
    await tab.wait_value("shown", "text", str(int(value)))
    await tab.until(f"{BANNERS}.length == 0")
