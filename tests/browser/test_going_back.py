"""`Back` finds the session that was left, as with `bokeh serve`; every other way begins a new one."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from devfleet.fleet import Fleet
from harness.browser import Tab
from harness.tools import require
from playwright.async_api import async_playwright

FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run"]


@pytest_asyncio.fixture(params=["with the page kept alive", "with the page made anew"])
async def history_tab(request: pytest.FixtureRequest) -> AsyncIterator[Tab]:
    """A tab of a Chromium that keeps pages for the way back (bfcache), or of one that does not.

    Playwright turns that off by itself.
    """
    off = "--disable-back-forward-cache"
    options = {"ignore_default_args": [off]} if "alive" in request.param else {"args": [*FLAGS, off]}
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=require("chromium"), **{"args": FLAGS, **options}
        )
        tab = Tab(await browser.new_page(), timeout=30)
        yield tab
        await browser.close()


async def session_of(tab: Tab) -> str:
    """Ids of models begin with what stands for the session."""
    return str(await tab.evaluate("model('freq').id")).partition("-")[0]


async def test_back_finds_its_session(fleet: Fleet, history_tab: Tab) -> None:
    tab, url = history_tab, fleet.app_url("sliders")
    await tab.open(url)
    first = await session_of(tab)
    await tab.nudge_slider("freq", 3)
    await tab.wait_value("freq", "value", 1.3)
    await tab.wait_value("wave", "data.y.0", await tab.value("wave", "data.y.0"))

    await tab.raw.goto(f"{fleet.url}/healthz")
    await tab.raw.evaluate("history.back()")
    await tab.drawn()
    await tab.wait_value("freq", "value", 1.3)
    assert await session_of(tab) == first
    await tab.nudge_slider("freq", 1)  # and it is alive
    await tab.until("value('freq', 'value') > 1.35")

    await tab.raw.reload()
    await tab.drawn()
    second = await session_of(tab)
    await tab.raw.goto(url)
    await tab.drawn()
    third = await session_of(tab)
    assert len({first, second, third}) == 3
    assert await tab.value("freq", "value") == 1.0
