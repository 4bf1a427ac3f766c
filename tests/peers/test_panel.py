"""A Panel app, unmodified: its page brings Panel's own scripts, and its Python callbacks run."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bokeh.protocol import Protocol
from bokeh.protocol.message import Message
from bokeh.protocol.messages.patch_doc import patch_doc
from devfleet.fleet import Fleet
from harness.browser import Tab
from harness.pages import get_page
from harness.wire import Wire

APP = """
import panel as pn

pn.extension()

slider = pn.widgets.IntSlider(name="number", start=0, end=10, value=2)

def square(number):
    return f"the square is **{number ** 2}**"

pn.Column(slider, pn.bind(square, slider)).servable(title="Panel")
"""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("panel") / "squares.py"
    path.write_text(APP)
    return path


@pytest.fixture(scope="module")
def fleet(start_fleet: Callable[..., Fleet], app: Path) -> Fleet:
    return start_fleet([app], n=2)


def ids(json: Any, kind: str) -> list[str]:
    """The ids of all models of that type in a Document's JSON. (Panel's types are unknown here.)"""
    if isinstance(json, list):
        return [found for each in json for found in ids(each, kind)]
    if not isinstance(json, dict):
        return []
    here = [json["id"]] if json.get("name") == kind and "id" in json else []
    return here + [found for each in json.values() for found in ids(each, kind)]


async def test_it_works_over_the_protocol_on_either_replica(fleet: Fleet) -> None:
    for _ in range(4):
        page = await get_page(fleet.app_url())
        wire = await Wire.open(f"ws{fleet.app_url().removeprefix('http')}/ws", page.token)
        try:
            await answer(wire, "ACK", None)
            document = await answer(wire, "PULL-DOC-REPLY", Protocol().create("PULL-DOC-REQ"))
            (slider,) = ids(document, "Slider")
            change = {"kind": "ModelChanged", "model": {"id": slider}, "attr": "value", "new": 5}
            content: Any = {"events": [change]}
            patch = await answer(wire, "PATCH-DOC", patch_doc(patch_doc.create_header(), {}, content))
            assert "25" in str(patch)
        finally:
            await wire.close()
            assert await wire.receive() is None


async def answer(wire: Wire, kind: str, message: Message[Any] | None) -> Any:
    """The content of the next message of that kind, after sending `message`."""
    if message is not None:
        await wire.send(message)
    async with asyncio.timeout(30):
        while (got := await wire.receive()) is not None:
            if got.msgtype == kind:
                return got.content
    raise AssertionError(f"closed without {kind}")


async def test_it_works_in_a_browser(fleet: Fleet, open_tab: Callable[..., Any]) -> None:
    for _ in range(2):  # the second page is made where the app has run before
        tab: Tab = await open_tab()
        # Panel (1.9) has its style sheets from there, under `bokeh serve` as well.
        await tab.raw.route(
            "https://cdn.holoviz.org/**", lambda route: route.fulfill(content_type="text/css")
        )
        await tab.open(fleet.app_url())
        await tab.raw.get_by_text("the square is").wait_for()
        slider = await tab.evaluate(
            "[...Bokeh.documents[0]._all_models.values()].find(m => m.type == 'Slider').id"
        )
        await tab.nudge_slider(slider, 2)
        await tab.raw.get_by_text("16", exact=True).wait_for()
        assert await tab.raw.title() == "Panel"


async def test_its_scripts_come_from_replicas_it_never_ran_on(
    start_fleet: Callable[..., Fleet], app: Path
) -> None:
    """The page is made here, and round robin fetches its scripts there."""
    here, there = start_fleet([app], n=2).replicas
    page = await get_page(here.app_url())
    paths = re.findall(r'src="/?(static/extensions/[^"]+)"', page.text)
    assert any("panel.min.js" in path for path in paths)
    for path in paths:
        assert (await get_page(f"{there.url}/{path}")).status == 200
    assert (await get_page(f"{there.url}/static/extensions/nothing/x.js")).status == 404
    assert (await get_page(f"{there.url}/static/extensions/panel/../../__init__.py")).status in (403, 404)


async def test_an_embed_brings_its_scripts_from_the_first(
    start_fleet: Callable[..., Fleet], app: Path
) -> None:
    here, there = start_fleet([app], n=2).replicas
    for replica in (here, there):
        embed = await get_page(f"{replica.app_url()}/autoload.js", arguments={"bokeh-autoload-element": "x"})
        assert "panel.min.js" in embed.text
