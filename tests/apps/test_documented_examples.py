"""Programs as Bokeh's guide has them (a button, threads, unlocked callbacks, a notebook, a client that
animates), on one server and on three replicas behind nginx."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from bokeh.models import Slider
from devfleet.fleet import Fleet
from devfleet.processes import Process
from devfleet.replica import Server
from harness.client import Client

APPS = (
    "text_button.py", "threads.py", "unlocked.py", "notebook.ipynb", "sliders.py", "board.py", "nightly",
    "query.py", "computation",
)  # fmt: skip
Serving = Callable[..., Server | Fleet]


@pytest.fixture(scope="module")
def server(serving: Serving, examples: Path) -> Server | Fleet:
    return serving([examples / name for name in APPS])


async def test_a_button_adds_text(server: Server | Fleet) -> None:
    async with await Client.open(server.app_url("text_button")) as client:
        for count in range(1, 4):
            await client.click("button")
            await client.expect(lambda c, n=count: len(c.value("words", "data")["text"]) == n)

        assert list(client.value("words", "data")["text"]) == ["0", "1", "2"]


async def test_a_thread_streams_through_next_tick_callbacks(server: Server | Fleet) -> None:
    async with await Client.open(server.app_url("threads")) as client:
        await client.expect(lambda c: len(c.value("steps", "data")["x"]) >= 4)


async def test_an_unlocked_callback_leaves_the_document_to_others(server: Server | Fleet) -> None:
    async with await Client.open(server.app_url("unlocked")) as client:
        await client.patch("tenths", value=10)
        await client.click("compute")

        await client.patch("tenths", value=2)  # answered at once, while the executor works
        assert client.value("result", "text") == "Nothing yet"
        await client.expect_value("result", "text", "Computed for 10 tenths of a second")


async def test_what_one_puts_on_the_board_all_see(server: Server | Fleet) -> None:
    one, other = [await Client.open(server.app_url("board")) for _ in range(2)]
    await one.click("clear")
    await point(one, "tap", 1, 2)
    await point(other, "tap", 3, 4)
    await point(one, "mousemove", 5, 6)

    for client in (one, other):
        await client.expect(lambda c: list(c.value("dots", "data")["x"]) == [1, 3])
    await other.expect(lambda c: list(c.value("others", "data")["y"]) == [6])
    assert list(one.value("others", "data")["y"]) == []
    for client in (one, other):
        await client.close()


async def point(client: Client, event: str, x: float, y: float) -> None:
    entries = [
        ["model", client.model("board").ref],
        ["sx", 0],
        ["sy", 0],
        ["x", x],
        ["y", y],
        ["modifiers", None],
    ]
    data = {"type": "event", "name": event, "values": {"type": "map", "entries": entries}}
    await client.patch_json({"kind": "MessageSent", "msg_type": "bokeh_event", "msg_data": data})


async def test_figures_are_loaded_for_all(server: Server | Fleet) -> None:
    async with await Client.open(server.app_url("nightly")) as client:
        await client.expect(lambda c: c.value("loaded", "text").startswith("loaded at "))
        assert len(client.value("figures", "data")["y"]) == 100


async def test_a_query_is_made_once_for_all(server: Server | Fleet) -> None:
    clients = [await Client.open(server.app_url("query")) for _ in range(3)]
    for client in clients:
        await client.expect(lambda c: c.value("status", "text").startswith("2025: computed by"))
        assert len(client.value("source", "data")["sold"]) == 365
    assert len({each.value("status", "text").partition(",")[0] for each in clients}) == 1
    for client in clients:
        await client.close()


async def test_a_computation_shows_how_far_it_is(server: Server | Fleet) -> None:
    async with await Client.open(server.app_url("computation"), arguments={"seconds": "2"}) as client:
        await client.click("begin")
        await client.expect(lambda c: "of 1000 steps" in c.value("said", "text"))
        assert "width:" in client.value("bar", "text")
        await client.expect(lambda c: c.value("said", "text").startswith("done"))
        assert len(client.value("result", "data")["y"]) == 1000


async def test_a_computation_is_cancelled(server: Server | Fleet) -> None:
    async with await Client.open(server.app_url("computation")) as client:
        await client.click("begin")
        await client.expect(lambda c: "of 1000 steps" in c.value("said", "text"))
        await client.click("cancel")
        await client.expect(lambda c: c.value("said", "text").startswith("cancelled"))


async def test_a_notebook_is_an_app(server: Server | Fleet) -> None:
    async with await Client.open(server.app_url("notebook")) as client:
        await client.patch("factor", value=2)
        await client.expect(lambda c: list(c.value("points", "data")["y"]) == [0, 2, 8, 18])


async def test_sliders_move_the_curve(server: Server | Fleet) -> None:
    async with await Client.open(server.app_url("sliders")) as client:
        slider = client.document.select({"type": Slider})
        assert slider
        patches = len(client.messages("PATCH-DOC"))
        each = next(each for each in slider if each.value != each.start)
        await client.change(lambda _: each.update(value=each.start))
        await client.expect(lambda c: len(c.messages("PATCH-DOC")) > patches)


async def test_a_client_pushes_a_document_and_moves_it(serving: Serving, examples: Path) -> None:
    server = serving([])
    program = [sys.executable, str(examples / "client_animation.py")]
    with Process("animation", [*program, "--url", f"{server.url}/", "--steps", "100000"]) as animation:
        session_id = (await asyncio.to_thread(animation.wait_line, r"bokeh-session-id=(\S+)"))[1]
        replicas = server.replicas if isinstance(server, Fleet) else [server]
        for replica in replicas:  # whoever looks, wherever
            async with await Client.open(replica.url, session_id=session_id) as client:
                first = list(client.value("spiral", "data")["x"])
                await client.expect(lambda c, x=first: list(c.value("spiral", "data")["x"]) != x)
