"""Who has new connections first, and what becomes of those that say nothing."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable

import pytest
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler

from service.web import accepting
from service.web.accepting import PausingHTTPServer

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


class Page(RequestHandler):
    def get(self) -> None:
        self.finish("by Tornado")


class Taker:
    """Takes those whose first word is MINE."""

    def __init__(self) -> None:
        self.offered: list[bytes] = []

    async def take(self, connection: socket.socket) -> bool:
        self.offered.append(connection.recv(4, socket.MSG_PEEK))
        if self.offered[-1] != b"MINE":
            return False
        connection.recv(4)  # unread, it would make the end of it a reset
        connection.sendall(b"taken")
        connection.close()
        return True


@pytest.fixture
def taker() -> Taker:
    return Taker()


@pytest.fixture
async def server(taker: Taker) -> AsyncIterator[tuple[PausingHTTPServer, int]]:
    listening, port = bind_unused_port()
    http = PausingHTTPServer(Application([("/", Page)]), paused=lambda: None, takes=taker.take)
    http.add_sockets([listening])
    yield http, port
    http.stop()
    await http.close_all_connections()


def timers() -> int:
    return sum(not each.cancelled() for each in asyncio.get_running_loop()._scheduled)  # type: ignore[attr-defined]


async def until(check: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not check():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0)


async def test_what_is_not_taken_is_tornados(server: tuple[PausingHTTPServer, int], taker: Taker) -> None:
    for said, answered in ((b"MINE", b"taken"), (GET, b"by Tornado")):
        reader, writer = await asyncio.open_connection("127.0.0.1", server[1])
        writer.write(said)
        assert (await reader.read()).endswith(answered)
        writer.close()
    assert taker.offered == [b"MINE", b"GET "]


async def test_who_says_nothing_for_a_while_is_tornados(
    server: tuple[PausingHTTPServer, int], taker: Taker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accepting, "SILENT_SECONDS", 0.01)
    http, port = server
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await until(lambda: http._silent)
    await until(lambda: not http._silent)

    writer.write(GET)

    assert (await reader.read()).endswith(b"by Tornado")
    assert taker.offered == []
    writer.close()


async def test_one_timer_looks_after_all_that_are_silent(server: tuple[PausingHTTPServer, int]) -> None:
    http, port = server
    before = timers()
    for _ in range(5):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await until(lambda: http._silent)
        writer.write(b"MINE")
        assert await reader.read() == b"taken"
        writer.close()
    assert timers() == before + 1


async def test_who_is_silent_is_closed_with_the_others(server: tuple[PausingHTTPServer, int]) -> None:
    http, port = server
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await until(lambda: http._silent)

    await http.close_all_connections()

    assert await reader.read() == b""
    writer.close()
