"""A page is open, its session falls asleep, and its user comes back to it: nothing is to be noticed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from devfleet.fleet import Fleet
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
