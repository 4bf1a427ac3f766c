"""Messages come to whoever answers one after another, however reading and handling fall together."""

from __future__ import annotations

import asyncio
import inspect
import logging
import socket
import struct
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from tornado.iostream import IOStream, StreamClosedError

from loadtests.bench.client import masked
from service.errors import ProtocolError
from service.protocol.messages import Frames
from service.protocol.websocket import Deflater, FrameReader, Inflater
from service.web import websocket as module
from service.web.keep_alive import KeepAlive
from service.web.upgrade import taken_from
from service.web.websocket import WebSocket


class Peer:
    """Answers each message with its text; waits first where the message says so."""

    def __init__(self, websocket: WebSocket) -> None:
        self.handled: list[str] = []
        self.news = asyncio.Event()
        self.go_on = asyncio.Event()
        self.gone = asyncio.Event()
        self._websocket = websocket

    def receive(self, message: str | bytes) -> Awaitable[None] | None:
        assert isinstance(message, str)
        if message.startswith("wait"):
            return self.handle_later(message)
        self.handle(message)
        return None

    async def handle_later(self, message: str) -> None:
        await self.go_on.wait()
        self.handle(message)

    def handle(self, message: str) -> None:
        if message == "forbidden":
            raise ProtocolError("that is forbidden")
        if message == "wrong":
            raise ZeroDivisionError
        self.handled.append(message)
        self._websocket.send(Frames((message,)))
        self.news.set()

    async def closed(self) -> None:
        self.gone.set()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(30):
            while len(self.handled) < count:
                self.news.clear()
                await self.news.wait()


class Line:
    """A client's socket, and the server's WebSocket at its other end."""

    def __init__(self, *, keep_alive: KeepAlive | None = None, limit: int = 1 << 20) -> None:
        ours, self.client = socket.socketpair()
        ours.setblocking(False)
        self.client.setblocking(False)
        self.all: set[WebSocket] = set()
        self.websocket = WebSocket(ours, FrameReader(limit), among=self.all, keep_alive=keep_alive)
        self.websocket.resume()
        self.peer = Peer(self.websocket)

    def begin(self) -> Line:
        self.websocket.begin(self.peer)
        return self

    def say(self, *messages: str, opcode: int = 1) -> None:
        self.client.sendall(b"".join(masked(message.encode(), opcode) for message in messages))

    def say_bytes(self, payload: bytes, opcode: int) -> None:
        self.client.sendall(masked(payload, opcode))

    async def read(self, count: int = 1 << 16) -> bytes:
        loop = asyncio.get_running_loop()
        return await asyncio.wait_for(loop.sock_recv(self.client, count), 30)

    async def read_all(self) -> bytes:
        """All until the server closes."""
        found = b""
        while data := await self.read():
            found += data
        return found

    async def turns(self, count: int = 20) -> None:
        """Let the event loop see what there is to see."""
        for _ in range(count):
            await asyncio.sleep(0)


@pytest.fixture
async def new_line() -> AsyncIterator[Callable[..., Line]]:
    """Makes lines, which must be all gone when their clients are."""
    lines: list[Line] = []

    def make(**options: Any) -> Line:
        lines.append(Line(**options))
        return lines[-1]

    yield make
    for line in lines:
        line.client.close()
        await asyncio.wait_for(line.peer.gone.wait(), 30)
        assert not line.websocket.open
        assert not line.all


@pytest.fixture
async def line(new_line: Callable[..., Line]) -> Line:
    return new_line().begin()


def close_frame(code: int, reason: str) -> bytes:
    payload = struct.pack("!H", code) + reason.encode()
    return bytes([0x88, len(payload)]) + payload


# -- messages ----------------------------------------------------------------------------------


async def test_messages_are_handled_without_a_task(line: Line) -> None:
    before = asyncio.all_tasks()
    line.say("one", "two")
    assert await line.read() == b"\x81\x03one\x81\x03two"
    assert asyncio.all_tasks() == before


async def test_what_comes_while_a_message_waits_comes_after_it(line: Line) -> None:
    line.say("one", "wait", "two")
    await line.peer.until(1)
    for message in ("three", "wait again", "four", "five"):
        line.say(message)
        await line.turns()
    assert line.peer.handled == ["one"]
    line.peer.go_on.set()
    await line.peer.until(7)
    assert line.peer.handled == ["one", "wait", "two", "three", "wait again", "four", "five"]


async def test_one_message_after_another_may_wait(line: Line) -> None:
    line.peer.go_on.set()
    expected = [f"{kind} {number}" for number in range(200) for kind in ("wait", "now")]
    for at in range(0, len(expected), 3):
        line.say(*expected[at : at + 3])
        await line.turns(at % 5)
    await line.peer.until(len(expected))
    assert line.peer.handled == expected


async def test_a_message_that_waits_counts_although_the_client_is_gone(line: Line) -> None:
    line.say("wait", "now")
    await line.turns()
    line.client.close()
    await line.turns()
    assert not line.peer.gone.is_set()
    line.peer.go_on.set()
    await line.peer.until(2)
    assert line.peer.handled == ["wait", "now"]


async def flood(line: Line) -> int:
    """Send one message after another until the network is full; how many."""
    some, sent = masked(b"x", 1) * 1000, 0
    while sent < 64 << 20:
        try:
            sent += line.client.send(some)
        except BlockingIOError:
            break
        await line.turns(2)
    return sent // len(masked(b"x", 1))


async def test_a_client_that_floods_has_to_wait(line: Line) -> None:
    line.say("wait")
    await line.turns()
    count = await flood(line)
    assert count < 1 << 21
    line.peer.go_on.set()
    async with asyncio.timeout(60):
        while len(line.peer.handled) < count:
            await line.read()


async def test_who_speaks_before_somebody_answers_is_heard_then(new_line: Callable[..., Line]) -> None:
    line = new_line()
    line.say("one", "two")
    await line.turns()
    line.say("three")
    line.begin()
    await line.peer.until(3)
    assert line.peer.handled == ["one", "two", "three"]


async def test_who_goes_before_somebody_answers_is_known_to_be_gone(new_line: Callable[..., Line]) -> None:
    line = new_line()
    line.client.close()
    await line.turns()
    assert not line.websocket.open
    line.begin()


async def test_what_the_network_does_not_take_is_kept_and_waited_for(line: Line) -> None:
    big = "x" * (8 << 20)
    line.websocket.send(Frames((big,)))
    waiting = [asyncio.create_task(line.websocket.drained()) for _ in range(2)]
    await line.turns()
    waiting[0].cancel()
    assert line.websocket.unsent > 0
    line.websocket.send(Frames(("after",)))
    found = b""
    while not found.endswith(b"\x81\x05after"):
        found += await line.read()
    assert found[10:-7] == big.encode()
    await asyncio.wait_for(waiting[1], 30)
    assert line.websocket.unsent == 0


async def test_what_waits_in_small_pieces_takes_no_more_memory_than_a_tenth_on_top(line: Line) -> None:
    """As with an app that streams: many messages, for a client that does not read."""
    line.websocket.send(Frames(("x" * (1 << 20),)))
    await line.turns()
    tracemalloc.start()
    try:
        before, held = tracemalloc.get_traced_memory()[0], line.websocket.unsent
        for number in range(2_000):
            line.websocket.send(Frames((f"{number:0100}",)))
            await line.turns(1)
        took, held = tracemalloc.get_traced_memory()[0] - before, line.websocket.unsent - held
    finally:
        tracemalloc.stop()

    assert held == 2_000 * 102
    assert took < 1.1 * held
    found = bytearray()
    while not found.endswith(b"%0100d" % 1_999):
        found += await line.read()
    assert found[10 + (1 << 20) :] == b"".join(b"\x81\x64%0100d" % number for number in range(2_000))


async def test_a_client_that_asks_without_reading_has_to_read_first(line: Line) -> None:
    """Its pings and messages are answered, and the answers are kept for it up to a bound."""
    both = masked(b"p" * 125, 9) + masked(b"m" * 100, 1)
    sent, held = 0, 0
    async for taken in sending(line, both, 16 << 20):
        sent, held = sent + taken, max(held, line.websocket.unsent)

    assert sent < 16 << 20, "all of it was read"
    assert held <= 1.1 * module.MAX_UNSENT_BYTES
    answers, due = 0, sent // len(both) * (2 + 125 + 2 + 100)
    while answers < due:
        answers += len(await line.read())
    assert line.websocket.open


async def sending(line: Line, what: bytes, most: int) -> AsyncIterator[int]:
    """Send that over and over, until nobody takes it any more; how much was taken each time."""
    sent, refused = 0, 0
    while sent < most and refused < 20:
        try:
            taken = line.client.send((what * 100)[sent % len(what) :])
            sent, refused = sent + taken, 0
            yield taken
        except BlockingIOError:
            refused += 1
        await line.turns(5)


async def test_nobody_waits_for_a_client_that_is_gone(line: Line) -> None:
    line.websocket.send(Frames(("x" * (8 << 20),)))
    waiting = asyncio.create_task(line.websocket.drained())
    await line.turns()
    line.client.close()
    await asyncio.wait_for(waiting, 30)


# -- control frames and the end ----------------------------------------------------------------


async def test_a_ping_is_answered_in_its_turn(line: Line) -> None:
    line.client.sendall(masked(b"one", 1) + masked(b"?", 9) + masked(b"two", 1))
    assert await line.read() == b"\x81\x03one\x8a\x01?\x81\x03two"


async def test_the_clients_close_frame_is_answered(line: Line) -> None:
    line.say_bytes(struct.pack("!H", 1001) + b"leaving", 8)
    assert await line.read_all() == close_frame(1001, "")


async def test_a_close_frame_without_a_code_is_answered_without(line: Line) -> None:
    line.say_bytes(b"", 8)
    assert await line.read_all() == b"\x88\x00"


async def test_a_close_frame_that_breaks_the_protocol_is_answered_with_that(line: Line) -> None:
    line.say_bytes(struct.pack("!H", 1005), 8)
    assert await line.read_all() == close_frame(1002, "")


async def test_what_waits_is_bounded_in_bytes(new_line: Callable[..., Line]) -> None:
    line = new_line(limit=1 << 25).begin()
    line.say("wait")
    await line.turns()
    message, sent = masked(b"x" * 300_000, 1), 0
    unsent = memoryview(message * 200)
    for _ in range(2000):
        try:
            sent += line.client.send(unsent[sent : sent + (1 << 16)])
        except BlockingIOError:
            await line.turns(2)
    held = module.MAX_UNREAD_BYTES + len(message) + (1 << 16)

    assert line.websocket._backlog_size <= held
    assert sent < held + (4 << 20), "the rest stays in the network"

    line.peer.go_on.set()
    loop = asyncio.get_running_loop()
    sending = loop.create_task(loop.sock_sendall(line.client, unsent[sent:]))
    async with asyncio.timeout(60):
        while len(line.peer.handled) < 201:
            await line.read()  # a client that reads nothing is not listened to any longer
        await sending


@pytest.mark.parametrize("waits_for", ["who answers", "a message"])
async def test_what_waits_is_not_unpacked_yet(new_line: Callable[..., Line], waits_for: str) -> None:
    """64 KiB from the network may be 64 MiB of messages."""
    line = new_line(limit=1 << 25)
    line.websocket._reader.inflater = Inflater(1 << 25)
    if waits_for == "a message":
        line.begin()
        line.say("wait")
        await line.turns()
    deflater = Deflater()
    packed = [deflater.deflate(str(number).encode() + bytes(5_000_000)) for number in range(10)]
    frames = b"".join(compressed(each) for each in packed)
    assert len(frames) < 1 << 16
    line.client.sendall(frames)
    await line.turns()

    assert line.websocket._backlog_size < module.MAX_UNREAD_BYTES + 5_000_010

    line.peer.go_on.set()
    if waits_for == "who answers":
        line.begin()
    async with asyncio.timeout(60):
        while len(line.peer.handled) < 10 + (waits_for == "a message"):
            await line.read(1 << 22)
    found = [each.rstrip(chr(0)) for each in line.peer.handled if each != "wait"]
    assert found == [str(number) for number in range(10)]


def compressed(payload: bytes) -> bytes:
    """A client's text frame of it."""
    frame = bytearray(masked(payload, 1))
    frame[0] |= 0x40
    return bytes(frame)


async def test_our_close_frame_comes_after_what_is_queued_and_before_nothing(line: Line) -> None:
    line.websocket.send(Frames(("one",)))
    line.websocket.close(1012, "moves")
    line.websocket.send(Frames(("too late",)))
    line.websocket.close(1001, "again")
    await line.turns()
    line.say_bytes(struct.pack("!H", 1012), 8)
    assert await line.read_all() == b"\x81\x03one" + close_frame(1012, "moves")


async def test_a_client_that_does_not_answer_a_close_frame_is_cut_off(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CLOSING_SECONDS", 0.01)
    line.websocket.close(1001, "x" * 500)
    assert await line.read_all() == close_frame(1001, "x" * 123)


async def test_who_holds_a_copy_that_is_not_the_session_any_more_has_no_time(line: Line) -> None:
    line.websocket.close(1012, "moved", patience=0.01)
    async with asyncio.timeout(module.CLOSING_SECONDS / 2):
        assert await line.read_all() == close_frame(1012, "moved")


async def test_a_client_that_does_not_answer_pings_is_gone(
    new_line: Callable[..., Line], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CLOSING_SECONDS", 0.01)
    line = new_line(keep_alive=KeepAlive(0.01)).begin()
    assert (await line.read_all()).endswith(close_frame(1001, "no answer to pings"))


async def test_a_message_nobody_may_send_closes_the_socket_with_the_reason(
    line: Line, caplog: pytest.LogCaptureFixture
) -> None:
    line.say("one", "forbidden", "two", "forbidden")
    assert await line.read() == b"\x81\x03one" + close_frame(1002, "that is forbidden")
    assert line.peer.handled == ["one"]
    assert len(caplog.records) == 1
    line.say_bytes(b"", 8)
    assert await line.read_all() == b""


@pytest.mark.parametrize("first", ["now", "wait"])
async def test_a_failing_message_ends_its_socket_and_is_logged(
    line: Line, caplog: pytest.LogCaptureFixture, first: str
) -> None:
    line.peer.go_on.set()
    line.say(first, "wrong", "two")
    assert await line.read_all() in (b"", b"\x81\x03now", b"\x81\x04wait")
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert line.peer.handled == [first]


@pytest.mark.parametrize(
    ("frame", "code", "reason"),
    [
        (masked(b"\xff", 1), 1007, "text that is not UTF-8"),
        (masked(b"", 11), 1002, "an unknown opcode"),
        (masked(b"", 0), 1002, "a continuation of nothing, or a message inside another"),
        (masked(b"x" * (2 << 20), 2), 1009, "message too big"),
    ],
)
async def test_frames_that_break_the_protocol_close_the_socket_with_a_reason(
    line: Line, frame: bytes, code: int, reason: str
) -> None:
    loop = asyncio.get_running_loop()
    sending = asyncio.create_task(loop.sock_sendall(line.client, masked(b"one", 1) + frame))
    assert await line.read_all() == b"\x81\x03one" + close_frame(code, reason)
    await sending
    assert line.peer.handled == ["one"]


# -- taking it out of Tornado's hands ----------------------------------------------------------


async def test_a_stream_gives_its_socket_up_with_what_it_had_read() -> None:
    ours, client = socket.socketpair()
    stream = IOStream(ours)
    client.sendall(b"head\r\nearly")
    assert await stream.read_until(b"\r\n") == b"head\r\n"
    connected, early = taken_from(stream)
    assert (connected, early) == (ours, b"early")
    client.sendall(b"later")
    await asyncio.sleep(0)
    assert connected.recv(100) == b"later"
    connected.close()
    client.close()


async def test_a_stream_that_nobody_spoke_on_gives_its_socket_up() -> None:
    ours, client = socket.socketpair()
    connected, early = taken_from(IOStream(ours))
    assert (connected, early) == (ours, b"")
    connected.close()
    client.close()


async def test_a_stream_whose_client_is_gone_has_no_socket_to_give() -> None:
    ours, client = socket.socketpair()
    stream = IOStream(ours)
    client.close()
    with pytest.raises(StreamClosedError):
        taken_from(stream)


def test_the_stream_is_the_one_we_take_apart() -> None:
    """Tornado 6.5 and 6.6: who changes this has to look at `taken_from` again."""
    assert "return self.socket\n" in inspect.getsource(IOStream.fileno)
