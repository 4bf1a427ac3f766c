"""A socket made of events: order, backlogs, slow clients, and its ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest

from service.asgi.websocket import EventSocket
from service.errors import ProtocolError
from service.protocol.messages import Frame, Frames
from service.web.websocket import MAX_UNSENT_BYTES, MAX_WAITING_MESSAGES, Socket


class Server:
    """Of ASGI: what it has for the application, and what it got. ``slow`` keeps it from taking anything."""

    def __init__(self) -> None:
        self.incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.sent: list[dict[str, Any]] = []
        self.fast = asyncio.Event()
        self.fast.set()
        self.broken = False

    async def receive(self) -> dict[str, Any]:
        return await self.incoming.get()

    async def send(self, event: Any) -> None:
        await self.fast.wait()
        if self.broken:
            raise OSError("broken")
        self.sent.append(event)

    def client_sends(self, *frames: Frame) -> None:
        for frame in frames:
            kind = "text" if isinstance(frame, str) else "bytes"
            self.incoming.put_nowait({"type": "websocket.receive", kind: frame})

    def client_leaves(self) -> None:
        self.incoming.put_nowait({"type": "websocket.disconnect", "code": 1006})


class Peer:
    """Takes frames; with ``gate``, "wait" has to wait for it. "wrong" is what no client may send."""

    def __init__(self) -> None:
        self.got: list[Frame] = []
        self.gate = asyncio.Event()
        self.over = asyncio.Event()

    def receive(self, frame: Frame) -> Awaitable[None] | None:
        self.got.append(frame)
        if frame == "wrong":
            raise ProtocolError("nobody may say that")
        if frame == "bug":
            raise ZeroDivisionError
        return self._wait() if frame == "wait" else None

    async def _wait(self) -> None:
        await self.gate.wait()

    async def closed(self) -> None:
        assert not self.over.is_set()
        self.over.set()


class Setup:
    def __init__(self) -> None:
        self.server, self.peer = Server(), Peer()
        self.among: set[Socket] = set()
        self.socket = EventSocket(self.server.send, among=self.among, max_message_size=1000, about="/app")
        self.running = asyncio.ensure_future(self.socket.run(self.server.receive))

    async def until(self, true: Any) -> None:
        for _ in range(100_000):  # turns of the event loop
            if true():
                return
            await asyncio.sleep(0)
        raise TimeoutError


@pytest.fixture
async def setup() -> Setup:
    return Setup()


async def test_frames_come_in_order_also_those_before_there_was_anybody(setup: Setup) -> None:
    setup.server.client_sends("first", b"second")
    await setup.until(setup.server.incoming.empty)
    setup.socket.begin(setup.peer)
    setup.server.client_sends("third")
    await setup.until(lambda: setup.peer.got == ["first", b"second", "third"])
    setup.server.client_leaves()
    await setup.running
    await setup.peer.over.wait()
    assert not setup.socket.open
    assert not setup.among


async def test_what_comes_after_a_frame_at_work_waits(setup: Setup) -> None:
    setup.socket.begin(setup.peer)
    setup.server.client_sends("wait", "next")
    setup.server.client_leaves()
    await setup.until(lambda: not setup.socket.open)
    assert setup.peer.got == ["wait"]
    assert not setup.peer.over.is_set()  # not while it is at work
    setup.peer.gate.set()
    await setup.peer.over.wait()
    assert setup.peer.got == ["wait", "next"]


async def test_much_that_waits_stays_with_the_server(setup: Setup) -> None:
    setup.socket.begin(setup.peer)
    setup.server.client_sends("wait", *["x"] * 1000)
    await setup.until(lambda: setup.server.incoming.qsize() == 1000 - MAX_WAITING_MESSAGES - 1)
    setup.peer.gate.set()
    await setup.until(lambda: len(setup.peer.got) == 1001)
    setup.running.cancel()


async def test_what_is_unsent_is_counted_and_a_client_that_does_not_read_is_not_read_from(
    setup: Setup,
) -> None:
    setup.socket.begin(setup.peer)
    setup.server.fast.clear()
    setup.socket.send(Frames(("x" * MAX_UNSENT_BYTES, b"y")))
    assert setup.socket.unsent == MAX_UNSENT_BYTES + 1
    drained = asyncio.ensure_future(setup.socket.drained())
    setup.server.client_sends("one", "two")
    await setup.until(lambda: setup.peer.got == ["one"])
    assert not drained.done()
    setup.server.fast.set()
    await drained
    assert setup.socket.unsent == 0
    await setup.until(lambda: setup.peer.got == ["one", "two"])
    setup.running.cancel()


async def test_a_close_comes_after_what_is_queued_and_ends_it(setup: Setup) -> None:
    setup.socket.begin(setup.peer)
    setup.socket.send(Frames(("last",)))
    setup.socket.close(1012, "elsewhere")
    setup.socket.send(Frames(("too late",)))
    await setup.running
    assert setup.server.sent == [
        {"type": "websocket.send", "text": "last"},
        {"type": "websocket.close", "code": 1012, "reason": "elsewhere"},
    ]
    await setup.peer.over.wait()


async def test_a_client_that_reads_nothing_is_cut_off_in_the_end(setup: Setup) -> None:
    setup.socket.begin(setup.peer)
    setup.server.fast.clear()
    setup.socket.close(1012, "elsewhere", patience=0.01)
    await asyncio.wait_for(setup.running, 30)
    await setup.peer.over.wait()


@pytest.mark.parametrize(
    ("frame", "code"), [("wrong", ProtocolError.close_code), ("x" * 1001, 1009), ("bug", 1011)]
)
async def test_what_no_client_may_send_closes_it_with_a_reason(setup: Setup, frame: str, code: int) -> None:
    setup.socket.begin(setup.peer)
    setup.server.client_sends(frame, "ignored")
    await asyncio.wait_for(setup.running, 30)
    assert setup.server.sent[-1]["code"] == code
    assert "ignored" not in setup.peer.got
    await setup.peer.over.wait()


async def test_a_server_that_takes_no_more_ends_it(setup: Setup) -> None:
    setup.socket.begin(setup.peer)
    setup.server.broken = True
    setup.socket.send(Frames(("x",)))
    await asyncio.wait_for(setup.running, 30)
    await setup.socket.drained()
    await setup.peer.over.wait()


async def test_a_server_that_stops_ends_it(setup: Setup) -> None:
    setup.socket.begin(setup.peer)
    await asyncio.sleep(0)
    setup.running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await setup.running
    await setup.peer.over.wait()
    late = Peer()
    setup.socket.begin(late)
    await late.over.wait()
