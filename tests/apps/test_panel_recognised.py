"""Panel apps are recognised however they come to Panel, and whichever other apps are beside them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from devfleet.fleet import Fleet
from devfleet.replica import Replica
from harness.browser import Tab

FOLDER = Path(__file__).parent / "panel_apps"
PLAIN = """
import sys
from bokeh.io import curdoc
from bokeh.models import Div
curdoc().add_root(Div(text=f"Panel is {'' if 'panel' in sys.modules else 'not '}there", name="text"))
"""
MATERIAL = """
import panel_material_ui as pmui
pmui.Column(pmui.TextInput(name="in material")).servable()
"""


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    (tmp_path / "plain.py").write_text(PLAIN)
    return tmp_path / "plain.py"


async def open_report(tab: Tab, server: Replica | Fleet) -> None:
    await tab.raw.goto(f"{server.app_url('by_name')}?id=7", timeout=60_000)
    for text in ("report 7", "loaded", "deferred content"):
        await tab.raw.get_by_text(text, exact=True).first.wait_for(timeout=30_000)
    assert await tab.raw.locator("#header").count() == 1, "the template's page"
    assert tab.requested_elsewhere == []


async def test_from_the_first_page_on(
    replica: Callable[..., Replica], plain: Path, tab: Tab, tmp_path: Path
) -> None:
    server = replica([plain, FOLDER / "by_name.py"])
    await tab.open(server.app_url("plain"))
    await tab.raw.get_by_text("Panel is not there").wait_for()

    await open_report(tab, server)
    await open_report(tab, server)

    await tab.open(server.app_url("plain"))
    await tab.raw.get_by_text("Panel is there").wait_for()
    assert not server.matching("Traceback")


async def test_after_a_move(start_fleet: Callable[..., Fleet], tab: Tab) -> None:
    tab.expect_lost_connection()
    fleet = start_fleet([FOLDER / "by_name.py"], n=2)
    first, second = fleet.replicas
    fleet.balance_over([first])
    await open_report(tab, fleet)
    await asyncio.sleep(0.6)  # until it is surely in the store
    await tab.evaluate("(Bokeh.documents[0].roots()[0].before = true, null)")
    fleet.balance_over([second])
    first.kill()
    root = "Bokeh.documents[0].roots()[0]"
    await tab.until(f"{root} != null && {root}.before === undefined && model({root}.id) != null", timeout=30)
    assert not second.matching("Traceback|begins afresh")


async def test_by_another_package_alone(
    replica: Callable[..., Replica], plain: Path, tab: Tab, tmp_path: Path
) -> None:
    (tmp_path / "material.py").write_text(MATERIAL)
    server = replica([plain, tmp_path / "material.py"])
    await tab.raw.goto(server.app_url("material"), timeout=60_000)
    await tab.raw.get_by_text("in material").first.wait_for(timeout=30_000)
    assert tab.requested_elsewhere == []
