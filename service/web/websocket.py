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
from collections.abc import Awaitable, Callable, Iterator
from itertools import chain
from typing import Protocol

from service.background import spawn
from service.close_codes import NO_ANSWER_TO_PINGS
from service.errors import ServiceError
from service.limits import CLOSING_SECONDS, MAX_UNREAD_BYTES, MAX_UNSENT_BYTES
from service.protocol.messages import Frame, Frames, Piece
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
    answer_to_close,
    close_payload,
    encode_control,
    encode_frames,
    encode_once,
)
from service.sessions.connection import Transport
from service.web.keep_alive import KeepAlive
from service.web.wire import CHUNK, Wire

__all__ = ("Answering", "Peer", "Socket", "WebSocket")

log = logging.getLogger(__name__)

MISSED_PONGS = 3
"""Keep-alive intervals without any sign of life after which a client is gone."""

MAX_WAITING_MESSAGES = 256
"""What waits here for a message at work, besides the limit in bytes."""

_PING = encode_control(PING, b"")


class Peer(Protocol):
    """Who answers a socket's frames: a connection of a local session, or a relay."""

    def receive(self, frame: Frame) -> Awaitable[None] | None:
        """Take one frame; what is left to be waited for, if anything is. Frames come one after another."""

    async def closed(self) -> None: ...


class Socket(Transport, Protocol):
    """A transport to a client, as handlers have it: somebody is yet to be found who answers."""

    @property
    def about(self) -> str:
        """What logs call it: its URL path."""

    @property
    def answered(self) -> bool:
        """Whether somebody answers already."""

    def begin(self, peer: Peer) -> None:
        """From here on ``peer`` answers, also what came before."""

    def close(self, code: int | None = None, reason: str = "", *, patience: float | None = None) -> None:
        """As :meth:`Transport.close`; without a code when there is nothing to say."""

    def cut(self) -> None:
        """Close now, whatever is unsent."""


class Answering:
    """What sockets have in common: a peer answers each message, and hears once that the client has gone."""

    __slots__ = ()

    _peer: Peer | None

    def _failed(self, error: Exception) -> None:
        """Log it, and end this connection alone."""
        raise NotImplementedError

    def _hand_on(self, message: Frame) -> Awaitable[None] | None:
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

    def _farewell(self) -> None:
        """Once, and only when what had come before the end is dealt with."""
        peer, self._peer = self._peer, None  # type: ignore[misc]  # a slot of whoever inherits from this
        if peer is not None:
            spawn(peer.closed())


class WebSocket(Answering, Wire):
    """A :class:`~service.sessions.connection.Transport`, in the set ``among`` for as long as it is open.

    Reads from the start, so that it knows when the client goes; hands on what came when :meth:`begin` says
    to whom. ``about`` is what logs call it; with ``keep_alive`` it is pinged.
    """

    __slots__ = (
        "_among", "_backlog", "_backlog_size", "_busy", "_closing", "_deaf", "_deflater", "_fault",
        "_flushes", "_keep_alive", "_last_sign", "_peer", "_pending", "_pending_size", "_reader", "_rest",
        "_timer", "_turn", "about",
    )  # fmt: skip

    def __init__(
        self,
        connected: socket.socket,
        reader: FrameReader,
        deflater: Deflater | None = None,
        *,
        among: set[Socket],
        keep_alive: KeepAlive | None = None,
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
        self._backlog_size = 0
        """Bytes in it."""
        self._rest: Iterator[Received] | None = None
        """What came along with it and is not unpacked yet: a little may become a lot."""
        self._fault: FrameError | None = None
        self._busy = False
        """Somebody works the backlog off."""
        self._deaf = False
        """Whatever else comes from the client is nothing to us."""
        self._closing = False
        """Our close frame is on its way, and nothing may follow it."""
        self._flushes = False
        """Whether somebody up the stack will flush."""
        self._pending: list[Frames] | None = None
        self._pending_size = 0
        self._last_sign = time.monotonic()
        self._turn: int | None = None
        """When it is pinged."""
        self._timer: asyncio.TimerHandle | None = None
        """Until a client that does not answer our close frame is cut off."""

    def begin(self, peer: Peer) -> None:
        """From here on ``peer`` answers."""
        if not self.open:
            spawn(peer.closed())
            return
        self._peer = peer
        if not self._closing and self._keep_alive is not None:
            self._turn = self._keep_alive.add(self)
        if self._backlog or self._fault:
            self._loop.call_soon(self._catch_up)

    @property
    def answered(self) -> bool:
        """Whether somebody answers already."""
        return self._peer is not None

    # -- writing -------------------------------------------------------------------------------

    @property
    def unsent(self) -> int:
        """Bytes (characters, for text) accepted but not yet given to the network."""
        return self.unwritten + self._pending_size

    def send(self, frames: Frames) -> None:
        """Queue a message. All of one turn of the event loop goes out in one write."""
        if self._closing or not self.open:
            log.debug("dropping a message for a closed WebSocket")
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

    def close(self, code: int | None = None, reason: str = "", *, patience: float | None = None) -> None:
        """Send a close frame after what is queued; the socket closes when the client has answered it.

        Or, if it does not, after ``patience`` seconds.
        """
        if self._closing or not self.open:
            return
        self.flush()
        self._closing = True
        self.write(encode_control(CLOSE, close_payload(code, reason)))
        self._call_later(CLOSING_SECONDS if patience is None else patience, self.cut)
        self.resume()

    def _encoded(self, frames: Frames) -> list[Piece]:
        if self._deflater is None:
            return encode_once(frames)
        return encode_frames(frames, self._deflater.deflate)  # refers to what this client got before

    # -- reading -------------------------------------------------------------------------------

    def received(self, data: bytes) -> None:
        while self._rest is not None:  # as we close, what comes is read all the same
            self._queue_rest()
        if self._deaf or self._fault is not None:
            return
        self._last_sign = time.monotonic()
        messages = self._reader.feed(data)
        if self._busy or (self._peer is None and not self._closing):
            self._queue(messages)
        else:
            self._go_on(messages)
        if self._has_to_read:
            self.pause()

    @property
    def _has_to_read(self) -> bool:
        """Whether the client has to read what it was sent before it is listened to."""
        return self.unwritten > MAX_UNSENT_BYTES and not self._closing

    def relieved(self) -> None:
        if not (self._reads or self._busy or self._peer is None or self._fault is not None):
            self._listen()

    def _listen(self) -> None:
        if not self._has_to_read:
            self.resume()

    def _queue(self, messages: Iterator[Received]) -> None:
        """For who is at work, or for nobody yet. Of those who go on all the same little more is read."""
        try:
            self._add_some(messages)
        except FrameError as fault:
            self._fault = fault
        self._make_wait()

    def _queue_rest(self) -> None:
        rest, self._rest = self._rest, None
        if rest is not None:
            self._queue(rest)

    def _add_some(self, messages: Iterator[Received]) -> None:
        for message in messages:
            self._add(message)
            if self._much_waits:
                self._rest = messages
                return

    @property
    def _much_waits(self) -> bool:
        waiting = len(self._backlog or ())
        return waiting > MAX_WAITING_MESSAGES or self._backlog_size > MAX_UNREAD_BYTES

    def _make_wait(self) -> None:
        """Leave the rest to the client's network while there is much to do, or nobody to do it."""
        if self._much_waits or (self._backlog and self._peer is None):
            self.pause()

    def _add(self, message: Received) -> None:
        if self._backlog is None:
            self._backlog = deque()
        self._backlog.append(message)
        self._backlog_size += len(message[1])

    def _catch_up(self) -> None:
        """Work off what came before there was anybody to answer."""
        if not self._busy:
            backlog, self._backlog, self._backlog_size = self._backlog, None, 0
            rest, self._rest = self._rest, None
            self._go_on(chain(backlog or (), rest or ()))

    def _go_on(self, messages: Iterator[Received]) -> None:
        """Deal with them as far as that goes at once; the rest is a task's."""
        self._busy = self._flushes = True
        waiting: Awaitable[None] | None = None
        try:
            for message in messages:
                waiting = self._take(*message)
                if waiting is not None:
                    self._add_some(messages)
                if waiting is not None or self._deaf:
                    break
        except FrameError as fault:
            self._fault = fault
        finally:
            self._flushes = False
            self.flush()
        if waiting is None:
            self._worked_off()
        else:
            self._make_wait()
            spawn(self._work_off(waiting))

    async def _work_off(self, waiting: Awaitable[None]) -> None:
        await self._guarded(waiting)
        while not self._deaf and (message := self._next()) is not None:
            left = self._take(*message)
            del message  # not while the next one waits
            if left is not None:
                await self._guarded(left)
        self._worked_off()

    def _next(self) -> Received | None:
        """The next one of those that wait."""
        if not self._backlog:
            self._queue_rest()
        if not self._backlog:
            return None
        message = self._backlog.popleft()
        self._backlog_size -= len(message[1])
        return message

    def _worked_off(self) -> None:
        self._busy, self._backlog, self._backlog_size, self._rest = False, None, 0, None
        if self._socket is None:
            self._farewell()
        elif self._fault is not None:
            self.close(self._fault.close_code, str(self._fault))
            self.finish()
        elif not self._reads:
            self._listen()

    def _take(self, opcode: int, payload: bytes) -> Awaitable[None] | None:
        if opcode == TEXT:
            try:
                return self._hand_on(payload.decode())
            except UnicodeDecodeError:
                self._break_off(NotText("text that is not UTF-8"))
        elif opcode == BINARY:
            return self._hand_on(payload)
        elif opcode == CLOSE:
            self._deaf = True
            self.close(answer_to_close(payload))
            self.cut()
        elif opcode == PING:
            self._control(PONG, payload)
        elif opcode != PONG:
            self._break_off(FrameError("an unknown opcode"))
        return None

    def _failed(self, error: Exception) -> None:
        if isinstance(error, ServiceError):  # what the client did wrong closes this socket and nothing else
            log.warning("closing a WebSocket of %s: %s", self.about, error)
            self.close(error.close_code, str(error))
            self._farewell()
        else:
            log.error("handling a message of a WebSocket of %s failed", self.about, exc_info=error)
            self._deaf = True
            self.cut()

    def _break_off(self, fault: FrameError) -> None:
        self._fault, self._deaf = fault, True

    def _control(self, opcode: int, payload: bytes) -> None:
        if not self._closing:
            self.flush()
            self.write(encode_control(opcode, payload))

    # -- the end -------------------------------------------------------------------------------

    def stay_alive(self, interval: float) -> None:
        """Ping, so that proxies keep the connection and a vanished client is noticed."""
        if not self._closing and time.monotonic() - self._last_sign > MISSED_PONGS * interval:
            log.info("a client of %s does not answer pings", self.about)
            self.close(*NO_ANSWER_TO_PINGS)
        if not self._closing:
            self.flush()
            self.write(_PING)

    def _call_later(self, seconds: float, what: Callable[[], None]) -> None:
        if self.open:
            self._timer = self._loop.call_later(seconds, what)

    def _cancel_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def lost(self) -> None:
        self._among.discard(self)
        if self._keep_alive is not None and self._turn is not None:
            self._keep_alive.discard(self, self._turn)
        self._cancel_timer()
        if not self._busy:
            self._farewell()


def _joined(pieces: list[Piece]) -> list[Piece]:
    """Small pieces as one; large ones are left alone, so that they are not copied."""
    if len(pieces) < 2 or sum(map(len, pieces)) > CHUNK:
        return pieces
    return [b"".join(pieces)]
