"""One session in several places at once: browsers and clients on different replicas see one Document."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bokeh.document import Document
from bokeh.models import Slider
from devfleet.fleet import Fleet
from harness.browser import Tab
from harness.client import Client
from harness.peer import Peer


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
