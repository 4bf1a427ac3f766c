"""`server_document`, `server_session` and their `autoload.js`, as a page on another origin asks for it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from bokeh.embed import server_document, server_session
from devfleet.replica import Replica
from harness.client import Client
from harness.pages import Page, get_page
from tornado.httpclient import AsyncHTTPClient

ORIGIN = "https://elsewhere.example"
STRANGER = "https://stranger.example"
ELEMENT = {"bokeh-autoload-element": "here"}


@pytest.fixture(scope="module")
def server(examples: Path) -> Iterator[Replica]:
    with Replica([examples / "sliders.py"], name="server", origins=["elsewhere.example:443"]) as running:
        yield running


async def autoload(server: Replica, origin: str = ORIGIN, **arguments: str) -> Page:
    given = ELEMENT | {name.replace("_", "-"): value for name, value in arguments.items()}
    return await get_page(f"{server.app_url()}/autoload.js", arguments=given, headers={"Origin": origin})


async def test_the_script_carries_a_token_that_opens_the_app(server: Replica) -> None:
    page = await autoload(server, bokeh_app_path="/sliders", bokeh_absolute_url=server.app_url())
    assert page.headers["Content-Type"].startswith("application/javascript")
    assert page.headers["Cache-Control"] == "private, no-cache"
    async with Client(server.app_url(), page.token) as client:
        await client.pull()
        assert client.value("freq", "value") == 1.0


async def test_allowed_origins_may_load_it_with_credentials(server: Replica) -> None:
    page = await autoload(server)
    assert page.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert page.headers["Access-Control-Allow-Credentials"] == "true"
    assert "Origin" in page.headers["Vary"]


@pytest.mark.parametrize("origin", [STRANGER, "http://elsewhere.example", "null", "https://", "*"])
async def test_others_may_not(server: Replica, origin: str) -> None:
    page = await autoload(server, origin)
    assert page.status == 200
    assert page.headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in page.headers
    assert "Origin" in page.headers["Vary"]


async def test_with_a_wildcard_all_may(examples: Path) -> None:
    with Replica([examples / "sliders.py"], name="open", args=["--allow-websocket-origin", "*"]) as server:
        for origin in (STRANGER, "null"):
            page = await autoload(server, origin)
            assert page.headers["Access-Control-Allow-Origin"] == origin
            assert page.headers["Access-Control-Allow-Credentials"] == "true"


@pytest.mark.parametrize("origin", [ORIGIN, STRANGER])
async def test_a_preflight_is_answered(server: Replica, origin: str) -> None:
    client = AsyncHTTPClient(force_instance=True)
    try:
        answer = await client.fetch(
            f"{server.app_url()}/autoload.js?bokeh-autoload-element=here",
            method="OPTIONS",
            headers={"Origin": origin, "Access-Control-Request-Headers": "Bokeh-Session-Id"},
        )
    finally:
        client.close()
    assert answer.code == 204
    assert answer.headers["Access-Control-Allow-Headers"] == "Bokeh-Session-Id"
    assert answer.headers["Access-Control-Allow-Origin"] == (ORIGIN if origin == ORIGIN else "*")
    assert ("Access-Control-Allow-Credentials" in answer.headers) == (origin == ORIGIN)


async def test_it_loads_bokehjs_from_the_server_it_comes_from(server: Replica) -> None:
    page = await autoload(server, bokeh_absolute_url=server.app_url())
    found = [url for urls in re.findall(r"js_urls = (\[.+?\])", page.text) for url in json.loads(urls)]
    assert found
    assert all(url.startswith(server.url + "/static/") for url in found)
    assert (await get_page(found[0])).status == 200


async def test_a_page_with_bokehjs_of_its_own_wants_none(server: Replica) -> None:
    page = await autoload(server, resources="none", bokeh_absolute_url=server.app_url())
    assert "/static/js/bokeh" not in page.text


async def test_without_an_element_it_is_a_bad_request_that_the_page_can_read(server: Replica) -> None:
    page = await get_page(f"{server.app_url()}/autoload.js", headers={"Origin": ORIGIN})
    assert page.status == 400
    assert page.headers["Access-Control-Allow-Origin"] == ORIGIN


async def test_bokehs_script_tags_ask_for_what_is_there(server: Replica) -> None:
    tag = server_document(server.app_url(), arguments={"a": "1"})
    asked = re.findall(r"xhr\.open\('GET', \"(.*?)\"", tag)
    assert asked
    page = await get_page(asked[0])
    assert page.status == 200
    assert len(page.session_id) > 20


async def test_server_session_names_a_session_that_is_there(server: Replica) -> None:
    async with await Client.open(server.app_url()) as client:
        assert client.page is not None
        await client.patch("freq", value=3.0)
        tag = server_session(None, client.page.session_id, url=server.app_url())
        asked = re.findall(r"xhr\.open\('GET', \"(.*?)\"", tag)
        header = {"Bokeh-Session-Id": client.page.session_id}
        page = await get_page(asked[0], headers=header)
        async with Client(server.app_url(), page.token) as other:
            await other.pull()
            assert other.value("freq", "value") == 3.0
