"""The example apps in a real browser, without a console error: on one server, through round-robin nginx on
three replicas, and under `bokeh serve`, because they are ordinary Bokeh apps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from devfleet.fleet import Fleet
from devfleet.replica import Server
from harness.browser import Tab
from harness.client import Client

EXAMPLES = ("sliders.py", "weather", "streaming.py", "explorer.py")

pytestmark = pytest.mark.parametrize(
    "serving", ["one server", "three replicas", "bokeh serve"], indirect=True
)


@pytest.fixture(scope="module")
def server(serving: Callable[..., Server | Fleet], examples: Path) -> Server | Fleet:
    return serving([examples / name for name in EXAMPLES])


async def test_sliders_dragging_one_changes_the_curve(server: Server | Fleet, tab: Tab) -> None:
    await tab.open(server.app_url("sliders"))
    assert await tab.count_pixels("plot", "#78aed2") > 500
    before = await tab.image("plot")

    value = await tab.drag_slider("offset", 0.7)

    assert value == pytest.approx(2.0, abs=0.3)
    await tab.wait_value("wave", "data.y.0", value)
    assert (await tab.image("plot")).tobytes() != before.tobytes()
    assert await tab.raw.title() == "Sliders"


async def test_sliders_every_slider_and_the_title_go_through_python(server: Server | Fleet, tab: Tab) -> None:
    await tab.open(server.app_url("sliders"))
    assert await tab.nudge_slider("freq", 2) == pytest.approx(1.2)
    phase = await tab.drag_slider("phase", 0.25)
    await tab.until("Math.abs(value('wave', 'data.y.0') - Math.sin(argument)) < 1e-9", phase)
    await tab.type("title", "typed in a browser")
    await tab.wait_value("plot", "title.text", "typed in a browser")


async def test_explorer_buttons_add_and_remove_models(server: Server | Fleet, tab: Tab) -> None:
    await tab.open(server.app_url("explorer"))
    await tab.click("add_plot")
    await tab.wait_value("summary", "text", "1 plots, 1 curves")
    await tab.drag_slider("k 1", 0.9)
    await tab.click("more 1")
    await tab.wait_value("summary", "text", "1 plots, 2 curves")
    assert await tab.count_pixels("plot 1", "#ff7f0e") > 100
    await tab.click("add_plot")
    await tab.wait_value("summary", "text", "2 plots, 3 curves")
    await tab.click("remove 1")
    await tab.wait_value("summary", "text", "1 plots, 1 curves")


async def test_streaming_streams_pauses_and_goes_on(server: Server | Fleet, tab: Tab) -> None:
    await tab.open(server.app_url("streaming"))
    await tab.until("value('readings', 'data.time').length >= 5")
    await tab.click("pause")
    await tab.wait_value("pause", "label", "Go on")
    stopped = len(await tab.value("readings", "data.time"))
    await tab.click("pause")
    await tab.until("value('readings', 'data.time').length >= argument + 5", stopped)


async def test_weather_has_its_own_page_theme_and_files(server: Server | Fleet, tab: Tab) -> None:
    await tab.open(f"{server.app_url('weather')}?station=Palmwick")

    assert await tab.raw.locator("h1").inner_text() == "Four places, one year"
    assert await tab.value("temperature", "title.text") == "Night and day in Palmwick (°F)"
    assert await tab.raw.evaluate("document.querySelector('header img').naturalWidth") > 0
    assert await tab.raw.evaluate(
        "[...document.styleSheets].some(each => each.href?.includes('weather.css'))"
    )
    assert await tab.value("temperature", "outline_line_color") is None  # by the theme
    await (await tab.element("station", "select")).select_option("Sandhaven")
    await tab.wait_value("rain", "title.text", "Rain in Sandhaven")
    assert await tab.count_pixels("rain", "#3d85a8") > 1000


async def test_weather_reads_the_language_of_the_request(server: Server | Fleet) -> None:
    async with await Client.open(server.app_url("weather"), headers={"Accept-Language": "de"}) as client:
        assert client.value("unit", "active") == 0
