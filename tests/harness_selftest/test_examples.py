"""The examples are ordinary Bokeh apps: they work under `bokeh serve`, without an error in the browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from devfleet.replica import BokehServe
from harness.browser import Tab
from harness.client import Client


@pytest.fixture(scope="module")
def server(examples: Path) -> Iterator[BokehServe]:
    apps = [examples / name for name in ("weather", "streaming.py", "explorer.py")]
    with BokehServe(apps, name="bokeh serve") as running:
        yield running


async def test_weather_has_its_own_page_and_follows_the_menu(server: BokehServe, tab: Tab) -> None:
    await tab.open(f"{server.app_url('weather')}?station=Palmwick")
    assert await tab.raw.locator("h1").inner_text() == "Four places, one year"
    assert await tab.value("temperature", "title.text") == "Night and day in Palmwick (°F)"
    await (await tab.element("station", "select")).select_option("Sandhaven")
    await tab.wait_value("rain", "title.text", "Rain in Sandhaven")
    assert await tab.count_pixels("rain", "#3d85a8") > 1000


async def test_weather_reads_the_language_of_the_request(server: BokehServe) -> None:
    async with await Client.open(server.app_url("weather"), headers={"Accept-Language": "de"}) as client:
        assert client.value("unit", "active") == 0


async def test_streaming_streams_and_pauses(server: BokehServe, tab: Tab) -> None:
    await tab.open(server.app_url("streaming"))
    await tab.until("value('readings', 'data.time').length >= 5")
    await tab.click("pause")
    await tab.wait_value("pause", "label", "Go on")


async def test_explorer_adds_plots_at_run_time(server: BokehServe, tab: Tab) -> None:
    await tab.open(server.app_url("explorer"))
    await tab.click("add_plot")
    await tab.wait_value("summary", "text", "1 plots, 1 curves")
    await tab.drag_slider("k 1", 0.9)
    await tab.click("more 1")
    await tab.wait_value("summary", "text", "1 plots, 2 curves")
    assert await tab.count_pixels("plot 1", "#ff7f0e") > 100
    await tab.click("remove 1")
    await tab.wait_value("summary", "text", "0 plots, 0 curves")
