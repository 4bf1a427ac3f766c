"""The dialling end of a relay, against Tornado's server on a real port."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack
from typing import Any

import pytest
from tornado.httpclient import HTTPClientError
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from service.fleet import link as links
from service.fleet.link import RelayLink, dial

LIMIT = 4 * 1024 * 1024


class Owner(WebSocketHandler):
    """Sends back what it gets, but for what it is asked to do."""

    async def get(self, *args: Any, **kwargs: Any) -> None:
        if "Please" in self.request.headers:
            self.set_status(410, "Gone")
            self.finish("<!DOCTYPE html>")
            return
        await super().get(*args, **kwargs)

    def initialize(self, pongs: list[bytes]) -> None:
        self.pongs = pongs

    def open(self, *args: str, **kwargs: str) -> None:
        self.write_message("hello")

    def on_message(self, message: str | bytes) -> None:
        match message:
            case "close":
                self.close(1012, "the session moves")
            case "vanish":
                self.stream().close()
            case "ping":
                self.ping(b"there?")
            case _:
                self.write_message(message, binary=isinstance(message, bytes))

    def on_pong(self, data: bytes) -> None:
        self.pongs.append(data)
        self.write_message("pong")

    def stream(self) -> Any:
        assert self.ws_connection is not None
        return self.ws_connection.stream  # type: ignore[attr-defined]


class Silent(RequestHandler):
    async def get(self) -> None:
        await asyncio.Event().wait()


@pytest.fixture
def pongs() -> list[bytes]:
    return []


@pytest.fixture
async def port(pongs: list[bytes]) -> AsyncIterator[int]:
    server = HTTPServer(Application([("/owner", Owner, {"pongs": pongs}), ("/silent", Silent)]))
    (listening,) = bind_sockets(0, "127.0.0.1")
    server.add_socket(listening)
    yield listening.getsockname()[1]
    server.stop()
    await server.close_all_connections()


async def dialled(
    port: int,
    path: str = "/owner",
    *,
    host: str = "127.0.0.1",
    seconds: float = 30,
    limit: int = LIMIT,
    **headers: str,
) -> RelayLink:
    return await dial(f"http://{host}:{port}{path}", headers, seconds=seconds, limit=limit, tls=None)


async def sent(link: RelayLink, frame: str | bytes) -> None:
    waiting = link.send(frame)
    if waiting is not None:
        await waiting


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_frames_pass_both_ways_in_order(port: int, host: str) -> None:
    link = await dialled(port, host=host)
    frames = ["", "text", "é" * 70, b"\0\1" * 100, "x" * 70_000, bytes(3_000_000), "last"]
    for frame in frames:
        await sent(link, frame)

    assert await link.receive() == "hello"
    assert [await link.receive() for _ in frames] == frames
    link.close()


async def test_it_knows_why_the_owner_closed(port: int) -> None:
    link = await dialled(port)
    await sent(link, "close")

    assert [await link.receive(), await link.receive()] == ["hello", None]
    assert (link.close_code, link.close_reason) == (1012, "the session moves")
    with pytest.raises(WebSocketClosedError):
        link.send("too late")


async def test_an_owner_that_vanishes_says_nothing(port: int) -> None:
    link = await dialled(port)
    await sent(link, "vanish")

    assert [await link.receive(), await link.receive()] == ["hello", None]
    assert link.close_code is None


async def test_it_ends_when_it_is_closed_here(port: int) -> None:
    link = await dialled(port)
    assert await link.receive() == "hello"
    link.close()
    link.close()

    assert await link.receive() is None


async def test_pings_are_answered(port: int, pongs: list[bytes]) -> None:
    link = await dialled(port)
    await sent(link, "ping")

    assert [await link.receive(), await link.receive()] == ["hello", "pong"]
    assert pongs == [b"there?"]
    link.close()


async def test_what_is_longer_than_allowed_ends_it(port: int) -> None:
    link = await dialled(port, limit=1000)
    await sent(link, "x" * 1001)

    assert [await link.receive(), await link.receive()] == ["hello", None]


async def test_any_other_answer_is_told_by_its_status(port: int, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(HTTPClientError) as gone:
        await dialled(port, Please="go")
    with pytest.raises(HTTPClientError) as unknown:
        await dialled(port, "/nothing")

    assert (gone.value.code, unknown.value.code) == (410, 404)
    assert "breaks the protocol" not in caplog.text


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_nobody_listening_is_a_refusal_also_with_several_addresses(port: int, host: str) -> None:
    (closed,) = bind_sockets(0, "127.0.0.1")
    nobody = closed.getsockname()[1]
    closed.close()

    with pytest.raises(ConnectionRefusedError):
        await dialled(nobody, host=host)


async def test_an_address_that_swallows_packets_does_not_keep_the_next_waiting(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def addresses(host: str, port: int) -> list[str]:
        return ["127.0.0.2", "127.0.0.1"]

    monkeypatch.setattr(links, "_addresses", addresses)
    monkeypatch.setattr(links, "NEXT_ADDRESS_SECONDS", 0.1)
    with ExitStack() as opened:
        full = opened.enter_context(socket.socket())
        full.bind(("127.0.0.2", port))
        full.listen(0)
        for _ in range(4):  # nobody accepts them, and the queue is shorter
            waiting = opened.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.2", port))
        link = await dialled(port)

    assert await link.receive() == "hello"
    link.close()


async def test_no_answer_in_time_is_no_answer(port: int) -> None:
    with pytest.raises(HTTPClientError) as silent:
        await dialled(port, "/silent", seconds=0.05)
    assert silent.value.code == 599


async def test_a_header_cannot_bring_others_along(port: int) -> None:
    with pytest.raises(ValueError, match="more than one line"):
        await dialled(port, Header="a\r\nPlease: go")
