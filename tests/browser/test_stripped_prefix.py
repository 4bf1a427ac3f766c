"""Behind a proxy that takes a path away and tells nobody, as jupyter-server-proxy does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from bokeh.embed import server_document
from devfleet.fleet import Fleet
from devfleet.ports import free_port
from harness.browser import Tab
from harness.site import show

PANEL_APPS = Path(__file__).parent.parent / "apps" / "panel_apps"
BELOW = "/hub/ada/proxy"

SLIDER = """
from bokeh.io import curdoc
from bokeh.layouts import column
from bokeh.models import Div, Slider

slider, twice = Slider(start=0, end=10, value=1, name="slider"), Div(name="twice")
slider.on_change("value", lambda attr, old, new: twice.update(text=f"twice {2 * new}"))
curdoc().add_root(column(slider, twice))
"""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("apps") / "größe 100%.py"
    path.write_text(SLIDER)
    return path


@pytest.fixture(scope="module")
def fleet(start_fleet: Callable[..., Fleet], app: Path, examples: Path) -> Fleet:
    args = ["--allow-websocket-origin", "127.0.0.1:*"]
    return start_fleet([app, examples / "sliders.py"], n=2, args=args, below=BELOW)


@pytest.fixture(autouse=True)
def icon(tab: Tab) -> None:
    """Browsers ask for it at the host's root, where others live."""
    tab.expect_problem("favicon.ico")


async def test_a_panel_page_has_all_its_files(start_fleet: Callable[..., Fleet], tab: Tab) -> None:
    fleet = start_fleet([PANEL_APPS / "table.py"], n=1, below=BELOW)
    await tab.open(fleet.app_url())
    files = await tab.raw.evaluate("performance.getEntriesByType('resource').map(each => each.name)")
    assert [each for each in files if each.endswith(".css") and not each.startswith(fleet.url)] == []


@pytest.mark.parametrize("slash", ["", "/"])
async def test_a_slash_at_the_end_changes_nothing(fleet: Fleet, tab: Tab, slash: str) -> None:
    await tab.open(f"{fleet.app_url('sliders')}{slash}")
    value = await tab.drag_slider("offset", 0.7)
    await tab.wait_value("wave", "data.y.0", value)


async def test_a_page_elsewhere_embeds_the_app(fleet: Fleet, tab: Tab) -> None:
    embed = server_document(f"{fleet.url}/gr%C3%B6%C3%9Fe%20100%25")
    await show(tab, embed, free_port())
    await tab.set("slider", "value", 3)
    await tab.wait_value("twice", "text", "twice 6")


async def test_a_lone_app_is_found_from_the_root(
    start_fleet: Callable[..., Fleet], app: Path, tab: Tab
) -> None:
    alone = start_fleet([app], n=1, below=BELOW)
    await tab.open(f"{alone.url}/")
    assert tab.raw.url == f"{alone.url}/gr%C3%B6%C3%9Fe%20100%25"
    await tab.set("slider", "value", 4)
    await tab.wait_value("twice", "text", "twice 8")


async def test_from_the_index_to_a_page_that_survives_its_replica(fleet: Fleet, tab: Tab) -> None:
    tab.expect_lost_connection()
    await tab.raw.goto(f"{fleet.url}/")
    await tab.raw.get_by_role("link", name="größe 100%").click()
    await tab.drawn()
    assert tab.raw.url.startswith(fleet.url)

    await tab.set("slider", "value", 7)
    await tab.wait_value("twice", "text", "twice 14")
    first, second = fleet.replicas
    fleet.balance_over([second])
    first.kill()
    await tab.set("slider", "value", 8)
    await tab.wait_value("twice", "text", "twice 16", timeout=40)
