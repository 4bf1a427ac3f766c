"""Controls that came to a page later answer after a kill of their replica, or the page says so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from devfleet.fleet import Fleet
from harness.browser import Tab
from operations.scrape import journaled

TESTS = Path(__file__).parents[1]
APPS = [TESTS / "chaos/cases/rows_at_run_time.py", TESTS / "apps/panel_apps/made_at_run_time.py"]
LOST = "Some controls of this page no longer work."


@pytest.fixture
def two(start_fleet: Callable[..., Fleet]) -> Iterator[Fleet]:
    """Two replicas, of which the first gets all visitors."""
    started = start_fleet(APPS, n=2)
    started.balance_over(started.replicas[:1])
    yield started
    started.stop()


@pytest.fixture
def page(tab: Tab) -> Tab:
    tab.expect_lost_connection()
    return tab


async def move(fleet: Fleet, page: Tab) -> None:
    """Kill the owner; the page comes back to the other replica, which runs the app again."""
    await page.evaluate("(Bokeh.documents[0].roots()[0].before = true, null)")
    first, second = fleet.replicas
    await asyncio.to_thread(journaled, first)
    fleet.balance_over([second])
    first.kill()
    root = "Bokeh.documents[0].roots()[0]"
    await page.until(f"{root} != null && {root}.before === undefined && model({root}.id) != null", timeout=30)


async def click(tab: Tab, label: str) -> None:
    await tab.raw.get_by_role("button", name=label, exact=True).click()


async def shows(tab: Tab, text: str) -> None:
    await tab.raw.get_by_text(text, exact=True).wait_for(timeout=30_000)


async def test_a_row_that_a_click_added(two: Fleet, page: Tab) -> None:
    await page.open(two.app_url("rows_at_run_time"))
    for n in (1, 2):
        await click(page, "Add")
        await page.until(f"model('row {n}') != null")
    await page.nudge_slider("row 1", 2)
    await shows(page, "row 1 is 2")

    await move(two, page)

    await page.nudge_slider("row 2", 3)
    await shows(page, "row 2 is 3")
    await page.nudge_slider("row 1", 1)
    await shows(page, "row 1 is 3")
    assert await page.raw.get_by_text(LOST).count() == 0
    await click(page, "Add")
    await page.until("model('row 3') != null")


async def test_a_row_that_a_timer_added(two: Fleet, page: Tab) -> None:
    await page.open(two.app_url("rows_at_run_time"))
    await click(page, "Later")
    await page.until("model('timed') != null")
    await page.nudge_slider("timed", 2)
    await shows(page, "timed is 2")

    await move(two, page)

    await page.raw.get_by_text(LOST).wait_for(timeout=30_000)
    (line,) = two.replicas[1].matching("callbacks were lost")
    assert "value of Slider 'timed', which called rows_at_run_time.py:" in line
    assert await page.value("timed", "value") == 2
    await click(page, "Add")  # all else works, and what the page shows besides is no part of the Document
    await page.until("model('row 2') != null")
    await click(page, "Close")
    assert await page.raw.get_by_text(LOST).count() == 0
    assert not two.replicas[1].matching("Traceback|svc-page-message")


async def test_widgets_of_panel(two: Fleet, page: Tab) -> None:
    await page.open(two.app_url("made_at_run_time"))
    for n in (1, 2):
        await click(page, "add")
        await page.raw.get_by_role("button", name=f"button {n}", exact=True).wait_for()
    await page.raw.locator(".noUi-handle").first.press("ArrowRight")
    await page.raw.get_by_role("button", name="bound 1", exact=True).wait_for()
    await page.raw.locator(".noUi-handle").first.press("ArrowRight")
    await page.raw.get_by_role("button", name="bound 2", exact=True).wait_for()
    await page.raw.get_by_text("second", exact=True).click()
    await click(page, "in a tab")
    await shows(page, "said in a tab")

    await move(two, page)

    for name in ("button 1", "bound 2", "in a tab", "button 2", "bound 1"):
        await click(page, name)
        await shows(page, f"said {name}")
    assert await page.raw.get_by_text(LOST).count() == 0
    await click(page, "add")
    await click(page, "button 3")
    await shows(page, "said button 3")
