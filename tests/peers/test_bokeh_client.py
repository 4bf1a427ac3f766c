"""`bokeh.client`, unmodified: pulled and pushed sessions, changes in both directions, signed ids."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bokeh.document import Document
from bokeh.models import ColumnDataSource, Slider
from bokeh.util.token import generate_session_id
from devfleet.replica import Replica
from harness.client import Client
from harness.peer import Peer

SECRET = "a secret key that both sides of these tests know"


@pytest.fixture(scope="module")
def server(examples: Path) -> Iterator[Replica]:
    with Replica([examples / "sliders.py"], name="server") as running:
        yield running


def named(document: Document, name: str) -> Any:
    found = document.select_one({"name": name})
    assert found is not None
    return found


async def test_a_pulled_session_is_the_app(server: Replica) -> None:
    async with Peer() as peer:
        session = await peer.pull(url=server.app_url())
        assert session.document.title == "Sliders"
        assert named(session.document, "freq").value == 1.0
        assert len(named(session.document, "wave").data["x"]) == 200


async def test_a_change_of_the_client_runs_the_apps_callbacks_and_comes_back(server: Replica) -> None:
    async with Peer() as peer:
        session = await peer.pull(url=server.app_url())
        await peer.do(named(session.document, "offset").update, value=2.5)
        wave = named(session.document, "wave")
        await peer.until(session, lambda: wave.data["y"][0] == 2.5)


async def test_two_clients_of_one_session_see_each_other(server: Replica) -> None:
    async with Peer() as one, Peer() as other:
        first = await one.pull(url=server.app_url())
        second = await other.pull(url=server.app_url(), session_id=first.id)
        await one.do(named(first.document, "phase").update, value=1.5)
        await one.do(first.force_roundtrip)
        await other.until(second, lambda: named(second.document, "phase").value == 1.5)


async def test_a_pushed_document_replaces_the_apps_for_everyone(server: Replica) -> None:
    document = Document()
    document.add_root(Slider(name="pushed", start=0, end=10, value=3))
    document.add_root(ColumnDataSource(name="data", data={"x": list(range(1000))}))
    document.title = "Pushed"
    async with Peer() as peer:
        session = await peer.push(document, url=server.app_url())
        async with await Client.open(server.app_url(), session_id=session.id) as client:
            assert client.document.title == "Pushed"
            assert list(client.value("data", "data")["x"]) == list(range(1000))

            await peer.do(named(document, "pushed").update, value=7)
            await peer.do(session.force_roundtrip)
            await client.expect_value("pushed", "value", 7)

            await client.patch("pushed", value=9)
            await peer.until(session, lambda: named(document, "pushed").value == 9)


async def test_models_can_be_streamed_to_and_added(server: Replica) -> None:
    document = Document()
    source = ColumnDataSource(name="data", data={"x": [1, 2], "y": [3.0, 4.0]})
    document.add_root(source)
    async with Peer() as peer:
        session = await peer.push(document, url=server.app_url())
        async with await Client.open(server.app_url(), session_id=session.id) as client:
            await peer.do(source.stream, {"x": [5], "y": [6.0]}, 2)
            await peer.do(source.patch, {"y": [(0, 40.0)]})
            await peer.do(document.add_root, Slider(name="later", start=0, end=1, value=0.5))
            await peer.do(session.force_roundtrip)
            await client.expect(lambda c: c.document.select_one({"name": "later"}))
            assert list(client.value("data", "data")["x"]) == [2, 5]
            assert list(client.value("data", "data")["y"]) == [40.0, 6.0]


async def test_request_server_info(server: Replica) -> None:
    async with Peer() as peer:
        session = await peer.pull(url=server.app_url())
        info = await peer.do(session.request_server_info)
        assert info["version_info"]["bokeh"] == info["version_info"]["server"]


async def test_the_client_brings_arguments_along(replica: Callable[..., Replica], tmp_path: Path) -> None:
    app = tmp_path / "asked.py"
    app.write_text(
        "from bokeh.io import curdoc\n"
        "from bokeh.models import Div\n"
        "who = curdoc().session_context.request.arguments['who'][0].decode()\n"
        "curdoc().add_root(Div(name='who', text=who))\n"
    )
    server = replica([app])
    async with Peer() as peer:
        session = await peer.pull(url=server.app_url(), arguments={"who": "me"})
        assert named(session.document, "who").text == "me"


async def test_signed_session_ids(replica: Callable[..., Replica], examples: Path) -> None:
    signed = ["--session-ids", "external-signed"]
    server = replica([examples / "sliders.py"], args=signed, env={"BOKEH_SECRET_KEY": SECRET})
    session_id = generate_session_id(SECRET, signed=True)
    async with await Client.open(server.app_url(), session_id=session_id) as client:
        await client.patch("freq", value=2.0)
        assert client.page is not None
        assert client.page.session_id == session_id


async def test_unsigned_session_ids_by_default(server: Replica) -> None:
    async with await Client.open(server.app_url(), session_id="any name will do") as client:
        assert client.page is not None
        assert client.page.session_id == "any name will do"
