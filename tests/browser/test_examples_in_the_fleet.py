"""Every example in a real browser, through round-robin nginx and three replicas, without a console error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from bokeh.document import Document
from bokeh.models import Slider
from devfleet.fleet import Fleet
from harness.browser import Tab
from harness.client import Client
from harness.peer import Peer


async def test_sliders_dragging_one_changes_the_curve(fleet: Fleet, tab: Tab) -> None:
    await tab.open(fleet.app_url("sliders"))
    assert await tab.count_pixels("plot", "#78aed2") > 500
    before = await tab.image("plot")

    value = await tab.drag_slider("offset", 0.7)

    assert value == pytest.approx(2.0, abs=0.3)
    await tab.wait_value("wave", "data.y.0", value)
    assert (await tab.image("plot")).tobytes() != before.tobytes()
    assert await tab.raw.title() == "Sliders"


async def test_sliders_every_slider_and_the_title_go_through_python(fleet: Fleet, tab: Tab) -> None:
    await tab.open(fleet.app_url("sliders"))
    assert await tab.nudge_slider("freq", 2) == pytest.approx(1.2)
    phase = await tab.drag_slider("phase", 0.25)
    await tab.until("Math.abs(value('wave', 'data.y.0') - Math.sin(argument)) < 1e-9", phase)
    await tab.type("title", "typed in a browser")
    await tab.wait_value("plot", "title.text", "typed in a browser")


async def test_explorer_buttons_add_and_remove_models(fleet: Fleet, tab: Tab) -> None:
    await tab.open(fleet.app_url("explorer"))
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


async def test_streaming_streams_pauses_and_goes_on(fleet: Fleet, tab: Tab) -> None:
    await tab.open(fleet.app_url("streaming"))
    await tab.until("value('readings', 'data.time').length >= 5")
    await tab.click("pause")
    await tab.wait_value("pause", "label", "Go on")
    stopped = len(await tab.value("readings", "data.time"))
    await tab.click("pause")
    await tab.until("value('readings', 'data.time').length >= argument + 5", stopped)


async def test_weather_has_its_own_page_theme_and_files(fleet: Fleet, tab: Tab) -> None:
    await tab.open(f"{fleet.app_url('weather')}?station=Palmwick")

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


async def test_a_session_pushed_to_one_replica_shows_in_a_browser_on_another(fleet: Fleet, tab: Tab) -> None:
    document = Document()
    document.add_root(Slider(name="pushed", start=0, end=10, value=3, title="pushed"))
    async with Peer() as peer:
        here, there, _ = fleet.replicas
        pushed = await peer.push(document, url=here.app_url("sliders"))

        await tab.open(f"{there.app_url('sliders')}?bokeh-session-id={pushed.id}")

        assert await tab.value("pushed", "value") == 3
        slider = document.select_one({"name": "pushed"})
        assert slider is not None
        await peer.do(slider.update, value=8)
        await peer.do(pushed.force_roundtrip)
        await tab.wait_value("pushed", "value", 8)
        assert await tab.drag_slider("pushed", 0.1) == 1
        await peer.until(pushed, lambda: slider.value == 1)


async def test_two_tabs_on_two_replicas_share_a_session(fleet: Fleet, open_tab: Callable[..., Any]) -> None:
    here, there, elsewhere = (each.app_url("sliders") for each in fleet.replicas)
    async with await Client.open(elsewhere) as client:
        assert client.page is not None
        one, other = await open_tab(), await open_tab()
        await one.open(f"{here}?bokeh-session-id={client.page.session_id}")
        await other.open(f"{there}?bokeh-session-id={client.page.session_id}")

        value = await one.drag_slider("offset", 0.3)

        await other.wait_value("wave", "data.y.0", value)
        await client.expect_value("offset", "value", value)
