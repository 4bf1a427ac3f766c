"""A page that is open in Chromium goes on when its replica goes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from devfleet.asgi import AsgiReplica
from devfleet.fleet import Fleet
from devfleet.replica import Replica
from harness.browser import Tab
from operations.scrape import journaled
from playwright.async_api import ConsoleMessage

PATIENT = ["--heartbeat-ttl", "600"]
"""A page would not come back that waited until a silent replica counts as gone."""

HURRIED = """
    const slowly = globalThis.setTimeout
    const hurried = delay => delay == 5000 ? delay : delay / 50
    globalThis.setTimeout = (call, delay, ...rest) => slowly(call, hurried(delay), ...rest)
"""
"""Each attempt of BokehJS to reconnect comes fifty times as soon; what it says stays for its five seconds."""

PEOPLE = Path(__file__).parent.parent / "apps" / "asgi_apps" / "people"

PANEL_APP = """
import panel as pn
knob = pn.widgets.IntSlider(name="knob", start=0, end=10, value=1)
pn.Column(knob, pn.bind(lambda value: f"twice is {2 * value}", knob)).servable()
"""

SET_KNOB = """value => {
    for (const model of Bokeh.documents[0]._all_models.values())
        if (model.type.endsWith("Slider")) model.value = value
}"""

ways = pytest.mark.parametrize("way", ["kill", "terminate"])


@pytest.fixture
def fleet(start_fleet: Callable[..., Fleet], examples: Path) -> Iterator[Fleet]:
    """A fleet for each test: replicas go here."""
    started = start_fleet([examples / "sliders.py"], args=PATIENT)
    yield started
    started.stop()


@pytest.fixture
def mixed_fleet(start_fleet: Callable[..., Fleet], examples: Path, tmp_path: Path) -> Iterator[Fleet]:
    """With an app that imports Panel, which switches reconnecting off in each Document after that."""
    (tmp_path / "knob.py").write_text(PANEL_APP)
    started = start_fleet([examples / "sliders.py", tmp_path / "knob.py"])
    yield started
    started.stop()


def owners(fleet: Fleet) -> list[Replica]:
    """The replicas that hold the sessions there are."""
    keys = fleet.redis.command("KEYS", "svc:*:session")
    names = {fleet.redis.command("HGET", key, "owner").decode() for key in keys}
    return [each for each in fleet.replicas if each.id in names]


def owner_of(fleet: Fleet) -> Replica:
    """The replica that holds the one session there is."""
    (owner,) = owners(fleet)
    return owner


def reconnected(message: ConsoleMessage) -> bool:
    return "Reconnected websocket" in message.text


@ways
async def test_an_open_page_goes_on(fleet: Fleet, tab: Tab, way: str) -> None:
    tab.expect_lost_connection()
    await tab.open(fleet.app_url("sliders"))
    await tab.raw.evaluate("window.neverReloaded = true")
    offset = await tab.drag_slider("offset", 0.8)
    await tab.wait_value("wave", "data.y.0", offset)
    await asyncio.to_thread(journaled, *fleet.replicas)
    shown = await tab.value("wave", "data.y")

    owner = owner_of(fleet)
    async with tab.raw.expect_console_message(lambda message: "Lost websocket" in message.text):
        getattr(owner, way)()
    await tab.raw.get_by_text("Client connect was reestablished").wait_for(timeout=30_000)
    assert await tab.raw.get_by_text("Reconnecting now").count() == 0
    assert await tab.value("offset", "value") == offset
    assert await tab.value("wave", "data.y") == shown
    offset = await tab.drag_slider("offset", 0.3)
    await tab.wait_value("wave", "data.y.0", offset)
    assert await tab.raw.evaluate("window.neverReloaded")


async def test_a_laptop_that_slept_for_long_can_go_on(fleet: Fleet, tab: Tab) -> None:
    """BokehJS tries five times, which are quick here, and then leaves it to the user."""
    tab.expect_lost_connection()
    await tab.raw.add_init_script(HURRIED)
    await tab.open(fleet.app_url("sliders"))
    offset = await tab.drag_slider("offset", 0.8)
    await tab.wait_value("wave", "data.y.0", offset)
    await asyncio.to_thread(journaled, *fleet.replicas)
    owner = owner_of(fleet)

    await asyncio.to_thread(fleet.nginx.stop)
    await tab.raw.get_by_text("Client connection was lost permanently").wait_for()
    owner.terminate()
    assert await asyncio.to_thread(owner.wait) == 0
    await asyncio.to_thread(fleet.nginx.start)
    await tab.raw.get_by_text("Try", exact=True).click()

    await tab.raw.get_by_text("Client connect was reestablished").wait_for()
    assert await tab.value("offset", "value") == offset
    offset = await tab.drag_slider("offset", 0.3)
    await tab.wait_value("wave", "data.y.0", offset)


async def test_a_panel_page_and_a_plain_one_beside_it_go_on(
    mixed_fleet: Fleet, open_tab: Callable[..., Awaitable[Tab]]
) -> None:
    fleet = mixed_fleet
    knob, plain = await open_tab(), await open_tab()
    await knob.open(fleet.app_url("knob"))
    await plain.open(fleet.app_url("sliders"))
    for tab in (knob, plain):
        tab.expect_lost_connection()
    await knob.raw.evaluate(SET_KNOB, 4)
    await knob.raw.get_by_text("twice is 8").wait_for()
    await plain.set("offset", "value", 1.5)
    await plain.wait_value("wave", "data.y.0", 1.5)
    await asyncio.to_thread(journaled, *fleet.replicas)

    async with (
        knob.raw.expect_console_message(reconnected, timeout=30_000),
        plain.raw.expect_console_message(reconnected, timeout=30_000),
    ):
        for replica in owners(fleet):
            replica.kill()

    await knob.raw.evaluate(SET_KNOB, 5)
    await knob.raw.get_by_text("twice is 10").wait_for(timeout=30_000)
    await plain.set("offset", "value", 0.5)
    await plain.wait_value("wave", "data.y.0", 0.5)


async def test_a_panel_page_goes_from_one_front_to_the_other_and_back(
    start_fleet: Callable[..., Fleet], tab: Tab
) -> None:
    """Its table and its widgets are the same on ASGI and on Tornado."""
    tab.expect_lost_connection()
    fleet = start_fleet([PEOPLE], n=2, make_last=AsgiReplica)
    await tab.raw.goto(fleet.app_url())
    await tab.raw.get_by_text("loaded", exact=True).wait_for()
    rows = tab.raw.locator(".tabulator-row")
    for number, way in enumerate(("kill", "terminate"), start=1):
        await tab.raw.get_by_text("add", exact=True).click()
        await tab.raw.locator(".noUi-handle").first.press("ArrowRight")
        await tab.raw.get_by_text(f"twice {2 + 2 * number}").wait_for()
        await rows.nth(1 + number).wait_for()
        await asyncio.to_thread(journaled, *fleet.replicas)
        owner = owner_of(fleet)
        async with tab.raw.expect_console_message(reconnected, timeout=30_000):
            getattr(owner, way)()
        await asyncio.to_thread(owner.wait)
        await owner.start_async()
    assert type(owner_of(fleet)) is not type(owner)
    await tab.raw.get_by_text("add", exact=True).click()
    await rows.nth(4).wait_for()
    await tab.raw.get_by_text("twice 6").wait_for()
    fleet.stop()
