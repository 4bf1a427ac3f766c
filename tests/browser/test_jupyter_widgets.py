"""The ipywidgets of a Panel app in a real page: dragged, moved to another replica, and dragged on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from devfleet.fleet import Fleet
from devfleet.replica import Replica
from harness.browser import Tab
from harness.pages import get_page
from playwright.async_api import expect

APP = Path(__file__).parents[1] / "apps/panel_apps/jupyter.py"
WRITTEN = 0.6
"""Seconds in which what was changed is surely in the store: the journal's interval, and a write."""


@pytest.fixture
def two(start_fleet: Callable[..., Fleet]) -> Iterator[Fleet]:
    """Two replicas, of which the first gets all visitors."""
    started = start_fleet([APP], n=2)
    started.balance_over(started.replicas[:1])
    yield started
    started.stop()


def kill(victim: Replica) -> None:
    victim.kill()


def terminate(victim: Replica) -> None:
    victim.terminate()
    assert victim.wait() == 0


async def shows(tab: Tab, text: str) -> None:
    await tab.raw.get_by_text(text, exact=True).first.wait_for(timeout=30_000)


async def press_right(tab: Tab, times: int) -> None:
    """On the handle of the slider."""
    for _ in range(times):
        await tab.raw.locator(".jupyter-widgets .noUi-handle").first.press("ArrowRight")


@pytest.mark.parametrize("how", [kill, terminate])
async def test_a_slider_is_dragged_on(two: Fleet, tab: Tab, how: Callable[[Replica], None]) -> None:
    tab.expect_lost_connection()
    for replica in two.replicas:  # imports much when it first runs
        assert (await get_page(replica.app_url("jupyter"), timeout=60)).status == 200
    await tab.open(two.app_url("jupyter"))
    await press_right(tab, 2)
    await shows(tab, "heard 4 5")
    await tab.raw.locator(".jupyter-widgets select").select_option("blue")
    await shows(tab, "bound to blue")

    await tab.evaluate("(Bokeh.documents[0].roots()[0].before = true, null)")
    await asyncio.sleep(WRITTEN)
    first, second = two.replicas
    two.balance_over([second])
    await asyncio.to_thread(how, first)
    root = "Bokeh.documents[0].roots()[0]"
    await tab.until(f"{root} != null && {root}.before === undefined && model({root}.id) != null", timeout=30)

    await expect(tab.raw.locator(".jupyter-widgets .widget-readout").first).to_have_text("5")
    await expect(tab.raw.locator(".jupyter-widgets select")).to_have_value("blue")
    await press_right(tab, 1)
    await shows(tab, "heard 4 5 6")
    await tab.raw.locator(".jupyter-widgets select").select_option("green")
    await shows(tab, "bound to green")
    assert not second.matching("Traceback")
