"""A page is open, its session falls asleep, and its user comes back to it: nothing is to be noticed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from devfleet.fleet import Fleet
from harness.apps import CountedApp
from harness.browser import Tab
from operations.scrape import scrape, until

SLEEPY = ["--hibernate-after", "0.5", "--check-unused-sessions", "200"]


@pytest.fixture
def sleepy(start_fleet: Callable[..., Fleet], examples: Path) -> Iterator[Fleet]:
    started = start_fleet([examples / "sliders.py"], n=1, args=SLEEPY)
    yield started
    started.stop()


def asleep(fleet: Fleet) -> None:
    until(lambda: scrape(fleet.replicas[0].url)("svc_hibernated_sessions") == 1)


async def test_who_moves_a_slider_of_a_sleeping_session_gets_an_answer(sleepy: Fleet, tab: Tab) -> None:
    await tab.open(sleepy.app_url("sliders"))
    await tab.nudge_slider("freq", 3)
    await tab.wait_value("freq", "value", 1.3)
    asleep(sleepy)
    shown = await tab.image("plot")

    offset = await tab.drag_slider("offset", 0.7)

    await tab.wait_value("wave", "data.y.0", offset)
    assert await tab.value("freq", "value") == 1.3
    assert await tab.image("plot") != shown, "and it is drawn, too"
    asleep(sleepy)
    await tab.nudge_slider("freq", 1)
    await tab.until("value('freq', 'value') > 1.35")
    await tab.wait_value("wave", "data.y.0", offset)


async def test_back_finds_a_session_that_sleeps(sleepy: Fleet, tab: Tab) -> None:
    await tab.open(sleepy.app_url("sliders"))
    first = await tab.evaluate("model('freq').id")
    await tab.nudge_slider("freq", 3)
    await tab.wait_value("freq", "value", 1.3)
    asleep(sleepy)

    await tab.raw.goto(f"{sleepy.url}/healthz")
    await tab.raw.evaluate("history.back()")

    await tab.drawn()
    await tab.wait_value("freq", "value", 1.3)
    assert await tab.evaluate("model('freq').id") == first
    offset = await tab.drag_slider("offset", 0.7)
    await tab.wait_value("wave", "data.y.0", offset)


TICKING = """
from bokeh.io import curdoc
from bokeh.models import ColumnDataSource, Slider

slider = Slider(name="slider", start=0, end=10, value=1)
ticks = ColumnDataSource(name="ticks", data={"n": [0]})
slider.tags = [ticks]

def tick():
    ticks.stream({"n": [ticks.data["n"][-1] + 1]}, rollover=5)

document = curdoc()
document.add_root(slider)
document.add_periodic_callback(tick, 50)
"""

SHOW = """hidden => {
    Object.defineProperty(document, "hidden", {configurable: true, get: () => hidden})
    document.dispatchEvent(new Event("visibilitychange"))
}"""
"""What a browser does when its user changes to another tab; one that is driven by Playwright never does."""


@pytest.fixture
def ticking(start_fleet: Callable[..., Fleet], counted_app: Callable[..., CountedApp]) -> Fleet:
    app = counted_app("ticking", body=TICKING, files={"app_hooks.py": "pause_when_hidden = True\n"})
    return start_fleet([app.path], n=1, args=[*SLEEPY, "--log-level", "debug"])


async def test_what_ticks_pauses_while_its_tab_is_hidden(ticking: Fleet, tab: Tab) -> None:
    await tab.open(ticking.app_url("ticking"))
    await tab.set("slider", "value", 7)
    for seen in (10, 40):  # more than a second, in which it would fall asleep
        await tab.until(f"value('ticks', 'data.n').at(-1) > {seen}")
    assert scrape(ticking.replicas[0].url)("svc_hibernated_sessions") == 0

    await tab.raw.evaluate(SHOW, True)
    asleep(ticking)
    last = await tab.evaluate("value('ticks', 'data.n').at(-1)")
    await tab.raw.evaluate(SHOW, False)

    await tab.until(f"value('ticks', 'data.n').at(-1) > {last + 10}")
    assert await tab.value("slider", "value") == 7
    assert scrape(ticking.replicas[0].url)("svc_hibernated_sessions") == 0
    await tab.raw.evaluate(SHOW, True)
    asleep(ticking)
    await tab.set("slider", "value", 3)
    await tab.until("value('slider', 'value') == 3")
    until(lambda: len(ticking.replicas[0].matching("hibernates")) >= 3)
