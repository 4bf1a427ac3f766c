"""The server's side of one WebSocket after its handshake: whole messages in, whole messages out.

A message that can be dealt with at once is: in the turn of the event loop that reads it, answer and all,
and all answers in one write. Only what has to be waited for gets a task, and what comes after it, a backlog.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol

from service.background import spawn
from service.errors import ServiceError
from service.protocol.messages import Frame, Frames
from service.protocol.websocket import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    Deflater,
    FrameError,
    FrameReader,
    NotText,
    Received,
    close_code_of,
    close_payload,
    encode_control,
    encode_frames,
)
from service.web.wire import CHUNK, Wire

__all__ = ("Peer", "WebSocket")

log = logging.getLogger(__name__)

MISSED_PONGS = 3
"""Keep-alive intervals without any sign of life after which a client is gone."""

CLOSING_SECONDS = 5.0
"""How long a client may take to answer a close frame."""

MOST_WAITING = 256
"""Messages that wait for one at work; then the client's network has to keep what else it sends."""


class Peer(Protocol):
    """Who answers a socket's frames: a connection of a local session, or a relay."""

    def receive(self, frame: Frame) -> Awaitable[None] | None:
        """Take one frame; what is left to be waited for, if anything is. Frames come one after another."""

    async def closed(self) -> None: ...


class WebSocket(Wire):
    """A :class:`~service.sessions.connection.Transport`, in the set ``among`` for as long as it is open.

    Reads from the start, so that it knows when the client goes; hands on what came when :meth:`begin` says
    to whom. ``about`` is what logs call it, ``keep_alive`` seconds are between pings (0: none).
    """

    __slots__ = (
        "_among", "_backlog", "_busy", "_closing", "_deflater", "_fault", "_flushes", "_keep_alive",
        "_last_sign", "_peer", "_pending", "_pending_size", "_reader", "_timer", "about",
    )  # fmt: skip

    def __init__(
        self,
        connected: socket.socket,
        reader: FrameReader,
        deflater: Deflater | None = None,
        *,
        among: set[WebSocket],
        keep_alive: float = 0.0,
        about: str = "",
    ) -> None:
        super().__init__(connected)
        self.about = about
        self._among = among
        among.add(self)
        self._reader = reader
        self._deflater = deflater
        self._keep_alive = keep_alive
        self._peer: Peer | None = None
        self._backlog: deque[Received] | None = None
        self._fault: FrameError | None = None
        self._busy = False
        """Somebody works the backlog off."""
        self._closing = False
        """Our close frame is on its way, and nothing may follow it."""
        self._flushes = False
        """Whether somebody up the stack will flush."""
        self._pending: list[Frames] | None = None
        self._pending_size = 0
        self._last_sign = time.monotonic()
        self._timer: asyncio.TimerHandle | None = None
        """Until the next ping, or until a client that does not answer our close frame is cut off."""

    def begin(self, peer: Peer) -> None:
        """From here on ``peer`` answers."""
        if not self.open:
            spawn(peer.closed())
            return
        self._peer = peer
        if not self._closing:
            self._stay_alive()
        if self._backlog or self._fault:
            self._loop.call_soon(self._go_on)

    # -- writing -------------------------------------------------------------------------------

    @property
    def unsent(self) -> int:
        """Bytes (characters, for text) accepted but not yet given to the network."""
        return self.unwritten + self._pending_size

    def send(self, frames: Frames) -> None:
        """Queue a message. All of one turn of the event loop goes out in one write."""
        if self._closing or not self.open:
            log.debug("a message came too late for a closed socket")
            return
        if self._pending is None:
            self._pending = []
            if not self._flushes:
                self._loop.call_soon(self.flush)
        self._pending.append(frames)
        self._pending_size += sum(map(len, frames))

    def flush(self) -> None:
        """Write what is queued."""
        pending, self._pending, self._pending_size = self._pending, None, 0
        if pending is not None:
            for piece in _joined([piece for frames in pending for piece in self._encoded(frames)]):
                self.write(piece)

    async def drained(self) -> None:
        """Return when nothing is unsent, or the socket is closed."""
        self.flush()
        await self.sent()

    def close(self, code: int | None = None, reason: str = "") -> None:
        """Send a close frame after what is queued; the socket closes when the client has answered it."""
        if self._closing or not self.open:
            return
        self.flush()
        self._closing = True
        self.write(encode_control(CLOSE, close_payload(code, reason)))
        self._call_later(CLOSING_SECONDS, self.cut)
        self.resume()

    def _encoded(self, frames: Frames) -> list[bytes]:
        if self._deflater is None:
            return _encoded(frames)
        return encode_frames(frames, self._deflater.deflate)  # refers to what this client got before

    # -- reading -------------------------------------------------------------------------------

    def received(self, data: bytes) -> None:
        if self._fault is not None:
            return  # whatever follows is not to be understood
        try:
            for message in self._reader.feed(data):
                self._add(message)
        except FrameError as error:
            self._fault = error
        if self._peer is None and not self._closing:
            self._hold_on()
        elif self._busy:
            if self._backlog is not None and len(self._backlog) > MOST_WAITING:
                self.pause()
        else:
            self._go_on()

    def _add(self, message: Received) -> None:
        if self._backlog is None:
            self._backlog = deque()
        self._backlog.append(message)

    def _hold_on(self) -> None:
        """Nobody is there yet to answer. Who speaks first all the same, gets no more attention for now."""
        if self._backlog:
            self.pause()

    def _go_on(self) -> None:
        """Work the backlog off as far as that goes at once; the rest is a task's."""
        if self._busy:
            return
        self._busy = self._flushes = True
        try:
            waiting = self._work()
        finally:
            self._flushes = False
            self.flush()
        if waiting is None:
            self._worked_off()
        else:
            spawn(self._work_off(waiting))

    async def _work_off(self, waiting: Awaitable[None] | None) -> None:
        while waiting is not None:
            await self._guarded(waiting)
            waiting = self._work()
        self._worked_off()

    def _work(self) -> Awaitable[None] | None:
        """Work the backlog off until something has to be waited for, which is returned."""
        while self._backlog:
            waiting = self._take(*self._backlog.popleft())
            if waiting is not None:
                return waiting
        return None

    def _worked_off(self) -> None:
        self._busy, self._backlog = False, None
        if not self.open:
            self._farewell()
        elif self._fault is not None:
            self.close(self._fault.close_code, str(self._fault))
            self.finish()
        else:
            self.resume()

    def _take(self, opcode: int, payload: bytes) -> Awaitable[None] | None:
        if opcode == TEXT:
            try:
                return self._hand_on(payload.decode())
            except UnicodeDecodeError:
                self._fail(NotText("text that is not UTF-8"))
        elif opcode == BINARY:
            return self._hand_on(payload)
        elif opcode == CLOSE:
            self._forget_backlog()
            self.close(close_code_of(payload))
            self.cut()
        elif opcode == PING:
            self._control(PONG, payload)
        elif opcode == PONG:
            self._last_sign = time.monotonic()
        else:
            self._fail(FrameError("an unknown opcode"))
        return None

    def _hand_on(self, message: Frame) -> Awaitable[None] | None:
        self._last_sign = time.monotonic()
        if self._peer is None:
            return None
        try:
            return self._peer.receive(message)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is logged and ends this connection alone
            self._failed(error)
            return None

    async def _guarded(self, working: Awaitable[None]) -> None:
        try:
            await working
        except Exception as error:  # noqa: BLE001 - as above
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        if isinstance(error, ServiceError):  # what the client did wrong closes this socket and nothing else
            log.warning("closing a socket of %s: %s", self.about, error)
            self.close(error.close_code, str(error))
            self._farewell()
        else:
            log.error("a message on a socket of %s failed", self.about, exc_info=error)
            self.cut()
            self._forget_backlog()

    def _fail(self, fault: FrameError) -> None:
        self._fault = fault
        self._forget_backlog()

    def _forget_backlog(self) -> None:
        if self._backlog is not None:
            self._backlog.clear()

    def _control(self, opcode: int, payload: bytes) -> None:
        if not self._closing:
            self.flush()
            self.write(encode_control(opcode, payload))

    # -- the end -------------------------------------------------------------------------------

    def _stay_alive(self) -> None:
        """Ping, so that proxies keep the connection and a vanished client is noticed."""
        if self._keep_alive <= 0:
            return
        if time.monotonic() - self._last_sign > MISSED_PONGS * self._keep_alive:
            log.info("a client of %s is gone without a word", self.about)
            self.close(1001, "no answer to pings")
            return
        self._control(PING, b"")
        self._call_later(self._keep_alive, self._stay_alive)

    def _call_later(self, seconds: float, what: Callable[[], None]) -> None:
        self._cancel_timer()
        if self.open:
            self._timer = self._loop.call_later(seconds, what)

    def _cancel_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def lost(self) -> None:
        self._among.discard(self)
        self._cancel_timer()
        if not self._busy:
            self._farewell()

    def _farewell(self) -> None:
        """Once, and only when what had come before the end is dealt with."""
        peer, self._peer = self._peer, None
        if peer is not None:
            spawn(peer.closed())


# -- encoding once for all sockets -----------------------------------------------------------------

_this_turn: dict[int, tuple[Frames, list[bytes]]] = {}
"""What was encoded in this turn of the event loop, by identity: a broadcast is encoded once."""


def _encoded(frames: Frames) -> list[bytes]:
    known = _this_turn.get(id(frames))
    if known is not None:
        return known[1]
    if not _this_turn:
        asyncio.get_running_loop().call_soon(_this_turn.clear)
    pieces = encode_frames(frames)
    _this_turn[id(frames)] = (frames, pieces)
    return pieces


def _joined(pieces: list[bytes]) -> list[bytes]:
    """Small pieces as one; large ones are left alone, so that they are not copied."""
    if len(pieces) < 2 or sum(map(len, pieces)) > CHUNK:
        return pieces
    return [b"".join(pieces)]
