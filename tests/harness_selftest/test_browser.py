"""The browser helpers against the reference peer: each is shown to see, and to cause, something real."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from devfleet.replica import BokehServe
from harness.browser import Tab
from harness.client import Client


@pytest.fixture(scope="module")
def server(examples: Path) -> Iterator[BokehServe]:
    with BokehServe([examples / "sliders.py"], name="bokeh serve") as running:
        yield running


async def test_dragging_a_slider_moves_the_curve(server: BokehServe, tab: Tab) -> None:
    await tab.open(server.app_url())
    before = await tab.image("plot")

    value = await tab.drag_slider("offset", 0.7)

    assert value == pytest.approx(2.0, abs=0.3)
    await tab.wait_value("wave", "data.y.0", value)
    assert (await tab.image("plot")).tobytes() != before.tobytes()


async def test_sliders_move_by_keyboard_and_text_is_typed(server: BokehServe, tab: Tab) -> None:
    await tab.open(server.app_url())
    assert await tab.nudge_slider("freq", 2) == pytest.approx(1.2)
    await tab.type("title", "typed")
    await tab.wait_value("plot", "title.text", "typed")


async def test_the_curve_is_there_in_its_colour(server: BokehServe, tab: Tab) -> None:
    await tab.open(server.app_url())
    assert await tab.count_pixels("plot", "#78aed2") > 500


async def test_a_client_joins_a_tabs_session(server: BokehServe, open_tab: Callable[..., Any]) -> None:
    tab = await open_tab()
    async with await Client.open(server.app_url()) as client:
        await tab.open(f"{server.app_url()}?bokeh-session-id={client.page.session_id}")
        await client.patch("phase", value=2.5)
        await tab.wait_value("phase", "value", 2.5)


async def test_problems_are_noticed(server: BokehServe, open_tab: Callable[..., Any]) -> None:
    tab: Tab = await open_tab()
    await tab.open(server.app_url())
    tab.expect_problem("on purpose")
    await tab.raw.evaluate("console.error('on purpose')")
    await tab.raw.evaluate("setTimeout(() => { throw new Error('on purpose too') })")
    await tab.raw.evaluate("fetch('/nothing-here-on-purpose').then(() => null)")
    await tab.raw.wait_for_function("() => true")
    tab.expect_problem("404")
    assert len(tab.problems) >= 3
    assert not tab.unexpected()
