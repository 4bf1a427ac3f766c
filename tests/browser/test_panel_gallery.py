"""What apps of Panel's gallery are made of, used in a page, after a kill of their replica, and on."""

from __future__ import annotations

import asyncio
import importlib.util
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from devfleet.fleet import Fleet
from harness.browser import Tab
from operations.scrape import journaled

GALLERY = Path(__file__).parents[1] / "apps/panel_apps/gallery"


async def shows(tab: Tab, text: str) -> None:
    await tab.raw.get_by_text(text, exact=True).first.wait_for(state="attached")


async def click(tab: Tab, label: str) -> None:
    await tab.raw.get_by_role("button", name=label, exact=True).first.click()


async def step_right(tab: Tab) -> None:
    await tab.raw.locator(".noUi-handle").first.press("ArrowRight")


# Each uses its page for the first, and later for the second time.


async def components(tab: Tab, turn: int) -> None:
    await click(tab, f"plain {turn - 1}")
    await shows(tab, f"plain {turn}")
    await click(tab, "ask")
    await click(tab, f"old {turn - 1}")
    await shows(tab, f"said {turn} {turn} -{'ping' * turn} {turn}")
    await shows(tab, "a child")


async def address(tab: Tab, turn: int) -> None:
    await step_right(tab)
    await shows(tab, f"told {turn + 1}")
    await tab.raw.wait_for_function(f"location.search.includes('level={turn + 1}')")
    await click(tab, "several")
    await shows(tab, f"held {turn} 3")
    await shows(tab, f"noted {turn}")
    await click(tab, "details")
    await tab.raw.get_by_text(f"in the modal {turn + 1}").wait_for()
    await tab.raw.locator(".pn-modalclose, #pn-closeModal").first.click()


async def charts(tab: Tab, turn: int) -> None:
    await step_right(tab)
    while not await tab.raw.get_by_text(f"clicked {turn + 3}", exact=True).count():  # drawn when it is
        await tab.raw.locator("canvas").first.click(position={"x": 115, "y": 150})
        await tab.raw.wait_for_timeout(100)
    async with tab.raw.expect_download() as download:
        await tab.raw.get_by_text("get", exact=True).click()
    assert (await (await download.value).path()).read_text() == f"top {turn + 3}"
    file = {"name": f"{turn}.txt", "mimeType": "text/plain", "buffer": b"x" * turn}
    await tab.raw.locator("input[type=file]").set_input_files([file])
    await shows(tab, f"given {turn}.txt {turn}")
    if turn == 1:
        await tab.raw.locator("button.play").click()
    frame = tab.raw.get_by_text(re.compile(r"^frame \d+$"))
    first = await frame.inner_text()
    while await frame.inner_text() == first:
        await tab.raw.wait_for_timeout(50)


async def material(tab: Tab, turn: int) -> None:
    await click(tab, "add")
    await click(tab, "up")
    kind = ("mate", "tea")[turn - 1]
    await click(tab, kind)
    await shows(tab, f"said {kind} {turn}")
    for row in range(1, turn + 1):
        await shows(tab, f"row {row}")


USES: tuple[Callable[[Tab, int], Awaitable[None]], ...] = (components, address, charts)


async def goes_on(
    fleet: Fleet,
    open_tab: Callable[..., Awaitable[Tab]],
    uses: tuple[Callable[[Tab, int], Awaitable[None]], ...],
) -> None:
    first, second = fleet.replicas
    fleet.balance_over([first])
    tabs = [await open_tab() for _ in uses]
    for use, tab in zip(uses, tabs, strict=True):
        tab.expect_lost_connection()
        await tab.open(fleet.app_url(use.__name__))
        await use(tab, 1)
        await tab.evaluate("(Bokeh.documents[0].roots()[0].before = true, null)")

    await asyncio.to_thread(journaled, first)
    fleet.balance_over([second])
    first.kill()

    root = "Bokeh.documents[0].roots()[0]"
    for use, tab in zip(uses, tabs, strict=True):
        await tab.until(f"{root} != null && {root}.before === undefined && model({root}.id) != null")
        await use(tab, 2)


async def test_pages_go_on(
    start_fleet: Callable[..., Fleet], open_tab: Callable[..., Awaitable[Tab]]
) -> None:
    await goes_on(start_fleet([GALLERY / f"{use.__name__}.py" for use in USES], n=2), open_tab, USES)


@pytest.mark.skipif(
    importlib.util.find_spec("panel_material_ui") is None, reason="panel-material-ui is missing"
)
async def test_pages_of_panel_material_ui_go_on(
    start_fleet: Callable[..., Fleet], open_tab: Callable[..., Awaitable[Tab]]
) -> None:
    """On replicas of their own: its import changes what widgets other apps of the process get."""
    await goes_on(start_fleet([GALLERY / "material.py"], n=2), open_tab, (material,))
