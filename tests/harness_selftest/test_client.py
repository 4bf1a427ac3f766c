"""The protocol client against the reference peer: what works here is the protocol, not our reading of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bokeh.models import Slider
from devfleet.replica import BokehServe, Replica
from harness.client import Client, ServerError
from harness.pages import get_page
from harness.wire import Wire, WireClosed


@pytest.fixture(scope="module")
def server(examples: Path) -> Iterator[BokehServe]:
    with BokehServe([examples / "sliders.py"], name="bokeh serve") as running:
        yield running


async def test_a_page_view_ends_with_the_servers_document(server: BokehServe) -> None:
    async with await Client.open(server.app_url()) as client:
        assert client.value("freq", "value") == 1.0
        assert client.document.title == "Sliders"
        assert [each.kind for each in client.received] == ["ACK", "PULL-DOC-REPLY"]
        assert client.page is not None
        assert client.page.roots.keys() == {client.model("main").id}


async def test_a_patch_is_answered_and_its_consequences_arrive(server: BokehServe) -> None:
    async with await Client.open(server.app_url()) as client:
        await client.patch("offset", value=2.0)
        await client.expect(lambda c: c.value("wave", "data")["y"][0] == 2.0)
        await client.patch("title", value="hello")
        await client.expect_value("plot", "title.text", "hello")


async def test_two_clients_of_one_session_see_each_other(server: BokehServe) -> None:
    async with await Client.open(server.app_url()) as one, Client(server.app_url(), one.token) as two:
        await two.pull()
        await one.patch("phase", value=1.5)
        await two.expect_value("phase", "value", 1.5)


async def test_new_models_can_be_sent(replica: Callable[..., Replica], examples: Path) -> None:
    # Ours, because bokeh serve 3.10.2 sends the other client a reference to a model it never got.
    server = replica([examples / "sliders.py"])
    async with await Client.open(server.app_url()) as one, Client(server.app_url(), one.token) as two:
        await two.pull()
        await one.change(lambda document: document.add_root(Slider(name="new", start=0, end=1, value=0.5)))
        await two.expect(lambda c: c.document.select_one({"name": "new"}))
        assert two.value("new", "value") == 0.5


async def test_reconnecting_with_the_same_token_finds_the_session(server: BokehServe) -> None:
    async with await Client.open(server.app_url()) as client:
        await client.patch("freq", value=3.0)
        client.wire.drop()
        await client.wait_closed()
        await client.reconnect()
        assert client.value("freq", "value") == 3.0


async def test_server_info_and_push(server: BokehServe) -> None:
    async with await Client.open(server.app_url()) as client:
        info = await client.server_info()
        assert info["version_info"]["server"] == info["version_info"]["bokeh"]


async def test_a_bad_patch_is_an_error(server: BokehServe) -> None:
    async with await Client.open(server.app_url()) as client:
        with pytest.raises(ServerError, match="nobody"):
            await client.patch_json(
                {"kind": "ModelChanged", "model": {"id": "nobody"}, "attr": "value", "new": 1}
            )


async def test_a_refused_connection_says_so(server: BokehServe) -> None:
    page = await get_page(server.app_url())
    with pytest.raises(WireClosed) as refused:
        await Wire.open(f"ws://{server.host}/sliders/ws", page.token, headers={"Origin": "http://evil.test"})
    assert refused.value.http_status == 403


async def test_being_closed_by_the_server_says_so(server: BokehServe) -> None:
    async with await Client.open(server.app_url()) as client:
        await client.wire.send_frames(["not json", "{}", "{}"])
        assert await client.wait_closed() == 10000  # a code outside the legal range, but theirs


async def test_a_failed_expectation_tells_what_came(server: BokehServe) -> None:
    async with await Client.open(server.app_url()) as client:
        with pytest.raises(TimeoutError, match=r"expected freq value = 9.*ACK, PULL-DOC-REPLY"):
            await client.expect_value("freq", "value", 9, timeout=0.1)


async def test_arguments_and_cookies_go_with_the_page(server: BokehServe) -> None:
    page = await get_page(server.app_url(), arguments={"a": "1"}, cookies={"c": "2"})
    assert page.status == 200
    assert page.cookies["c"] == "2"
    assert len(page.session_id) > 20
