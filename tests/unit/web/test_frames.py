"""Frames come to the handler one after another, however reading and handling fall together."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable
from types import SimpleNamespace
from typing import Any

import pytest
from tornado.iostream import IOStream
from tornado.websocket import _WebSocketParams

from loadtests.bench.client import masked
from service.web.frames import FrameProtocol


class Handler:
    """Answers each message with its text; waits first where the message says so."""

    def __init__(self) -> None:
        self.handled: list[str] = []
        self.news = asyncio.Event()
        self.go_on = asyncio.Event()
        self.failures: list[Any] = []
        self.closed = False
        self.request = SimpleNamespace(server_connection=None)
        self.protocol: FrameProtocol

    def on_message(self, message: str) -> Awaitable[None] | None:
        if message.startswith("wait"):
            return self.handle_later(message)
        self.handle(message)
        return None

    async def handle_later(self, message: str) -> None:
        await self.go_on.wait()
        self.handle(message)

    def handle(self, message: str) -> None:
        self.handled.append(message)
        self.protocol.send((message,))
        self.news.set()

    def log_exception(self, *failure: Any) -> None:
        self.failures.append(failure)

    def on_ws_connection_close(self, code: int | None, reason: str | None) -> None:
        self.closed = True

    async def until(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.handled) < count:
                self.news.clear()
                await self.news.wait()


class Line:
    """A client's socket, and the server's protocol at its other end."""

    def __init__(self) -> None:
        ours, self.client = socket.socketpair()
        self.stream = IOStream(ours)
        self.handler = Handler()
        self.handler.protocol = self.protocol = FrameProtocol(
            self.handler, _WebSocketParams(max_message_size=1 << 20)
        )
        self.protocol.stream = self.stream
        self.task = asyncio.create_task(self.protocol._receive_frame_loop())

    def say(self, *messages: str) -> None:
        self.client.sendall(b"".join(masked(message.encode(), 1) for message in messages))

    async def turns(self, count: int = 20) -> None:
        """Let the event loop see what there is to see."""
        for _ in range(count):
            await asyncio.sleep(0)


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    line = Line()
    await line.turns()
    yield line
    line.client.close()
    await asyncio.wait_for(line.task, 10)
    assert line.handler.closed


async def test_messages_are_handled_without_waking_the_task(line: Line) -> None:
    line.say("one", "two")
    await line.handler.until(2)
    assert not line.protocol._woken
    assert line.client.recv(100) == b"\x81\x03one\x81\x03two"


async def test_what_comes_while_a_message_waits_comes_after_it(line: Line) -> None:
    line.say("one", "wait", "two")
    await line.handler.until(1)
    for message in ("three", "wait again", "four", "five"):
        line.say(message)
        await line.turns()
    assert line.handler.handled == ["one"]
    line.handler.go_on.set()
    await line.handler.until(7)
    assert line.handler.handled == ["one", "wait", "two", "three", "wait again", "four", "five"]


async def test_one_message_after_another_may_wait(line: Line) -> None:
    line.handler.go_on.set()
    expected = [f"{kind} {number}" for number in range(200) for kind in ("wait", "now")]
    for at in range(0, len(expected), 3):
        line.say(*expected[at : at + 3])
        await line.turns(at % 5)
    await line.handler.until(len(expected))
    assert line.handler.handled == expected


async def test_a_message_that_waits_counts_although_the_client_is_gone(line: Line) -> None:
    line.say("wait", "now")
    await line.turns()
    line.client.close()
    await line.turns()
    line.handler.go_on.set()
    await line.handler.until(2)
    assert line.handler.handled == ["wait", "now"]


async def test_a_failing_message_ends_its_connection(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line.handler, "handle", lambda message: 1 / 0)
    line.say("one")
    await asyncio.wait_for(line.task, 10)
    assert [failure[0] for failure in line.handler.failures] == [ZeroDivisionError]
    assert line.client.recv(10) == b""
