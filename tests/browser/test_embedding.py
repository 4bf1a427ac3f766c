"""Apps in somebody else's page: a static page on another origin, with `server_document` in it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bokeh.embed import server_document
from devfleet.fleet import Fleet
from devfleet.redis_server import eventually
from harness.browser import Tab
from harness.site import Site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("site"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def fleet(start_fleet: Callable[..., Fleet], examples: Path, site: Site) -> Fleet:
    apps = [examples / "sliders.py", examples / "weather"]
    return start_fleet(apps, args=["--allow-websocket-origin", site.host])


async def names(tab: Tab, name: str) -> list[str]:
    """The ids of the models of that name, one for each document in the page."""
    found = await tab.raw.evaluate(
        "name => Bokeh.documents.map(each => each.get_model_by_name(name)?.id ?? '')", name
    )
    return list(found)


async def test_two_embeds_of_one_app_work_side_by_side(fleet: Fleet, site: Site, tab: Tab) -> None:
    url = fleet.app_url("sliders")
    await tab.raw.goto(site.write(server_document(url) + "<hr>" + server_document(url)))
    await tab.drawn(documents=2)
    one, other = await names(tab, "offset")
    waves = dict(zip((one, other), await names(tab, "wave"), strict=True))
    assert one != other

    await tab.raw.set_viewport_size({"width": 1200, "height": 1200})
    value = await tab.drag_slider(one, 0.7)
    await tab.wait_value(waves[one], "data.y.0", value)
    assert await tab.value(waves[other], "data.y.0") == 0

    value = await tab.drag_slider(other, 0.3)
    await tab.wait_value(waves[other], "data.y.0", value)
    assert await tab.value(waves[one], "data.y.0") > 0


async def test_an_app_with_a_page_of_its_own_can_be_embedded_too(fleet: Fleet, site: Site, tab: Tab) -> None:
    embed = server_document(fleet.app_url("weather"), arguments={"station": "Sandhaven"})
    await tab.raw.goto(site.write(embed))
    await tab.drawn()
    assert await tab.value("rain", "title.text") == "Rain in Sandhaven"
    assert await tab.count_pixels("rain", "#3d85a8") > 1000


async def test_a_site_that_is_not_allowed_gets_no_session(fleet: Fleet, tmp_path: Path, tab: Tab) -> None:
    stranger = Site(tmp_path)
    try:
        for known in ("WebSocket", "403", "Failed to connect", "Error", "Lost"):
            tab.expect_problem(known)
        await tab.raw.goto(stranger.write(server_document(fleet.app_url("sliders"))))
        await tab.raw.wait_for_function("() => globalThis.Bokeh != null")
        await asyncio.to_thread(
            eventually, lambda: any(each.matching("--allow-websocket-origin=") for each in fleet.replicas)
        )
        assert await tab.raw.evaluate("Bokeh.documents.length") == 0
    finally:
        stranger.close()
