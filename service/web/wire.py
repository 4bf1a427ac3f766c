"""A connected socket on the event loop: what comes in is handed on as it comes, what goes out never waits.

There are thousands of these, most of them idle, so one is a socket and a few fields, and no task. Bytes that
the network does not take yet are kept as they are, without a copy; small pieces are put together, as each
would take more memory than what is in it.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections import deque

__all__ = ("Wire",)

log = logging.getLogger(__name__)

CHUNK = 64 * 1024
"""Bytes read in one turn of the event loop: a client that sends without a pause lets others have theirs."""

MAX_COALESCED_BYTES = 4 * 1024
"""Bytes up to which a piece that has to wait is copied to the one before it."""

SLICE = 128 * 1024
"""Bytes offered to an encrypted socket at a time. It wants to be offered the same ones until it took them."""

_NOT_NOW = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Wire:
    """Reading and writing one non-blocking socket, plain or past its TLS handshake.

    A subclass says what to do with what comes in (:meth:`received`) and at the end (:meth:`lost`).
    """

    __slots__ = ("_loop", "_reads", "_sent", "_socket", "_unsent", "_waiting", "unwritten")

    def __init__(self, connected: socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket: socket.socket | None = connected
        self._reads = False
        self._unsent: deque[memoryview | bytearray] | None = None
        """What the network has not taken; None while there is nothing, as nearly always."""
        self._sent: asyncio.Future[None] | None = None
        """Somebody waits until all is sent."""
        self.unwritten = 0
        """Bytes in ``_unsent``."""

    def received(self, data: bytes) -> None:
        """Bytes came in."""
        raise NotImplementedError

    def lost(self) -> None:
        """The socket is closed, by whichever side. Called once."""
        raise NotImplementedError

    def relieved(self) -> None:
        """The network has taken something of what waited for it."""

    @property
    def open(self) -> bool:
        return self._socket is not None

    # -- reading -------------------------------------------------------------------------------

    def resume(self) -> None:
        """Read what comes in."""
        if self._socket is not None and not self._reads:
            self._reads = True
            self._loop.add_reader(self._socket, self._readable)
            self._look_for_decrypted()

    def pause(self) -> None:
        """Leave what comes in to the network, which tells the other side to wait."""
        if self._socket is not None and self._reads:
            self._reads = False
            self._loop.remove_reader(self._socket)

    def _look_for_decrypted(self) -> None:
        """What a TLS socket has decrypted already makes no event."""
        if isinstance(self._socket, ssl.SSLSocket) and self._socket.pending():
            self._loop.call_soon(self._readable)

    def _readable(self) -> None:
        if self._socket is None or not self._reads:
            return
        try:
            data = self._socket.recv(CHUNK)
        except _NOT_NOW:
            return
        except OSError as error:
            log.debug("a WebSocket failed: %s", error)
            data = b""
        if not data:
            self.cut()
            return
        self.received(data)
        self._look_for_decrypted()

    # -- writing -------------------------------------------------------------------------------

    def write(self, piece: bytes | memoryview) -> None:
        """Give it to the network at once as far as that takes it, and the rest when it can. In order."""
        if self._socket is None:
            return
        rest = memoryview(piece)
        if self._unsent is None:
            rest = rest[self._offer(rest) :]
            if not rest or self._socket is None:
                return
            self._unsent = deque()
            self._loop.add_writer(self._socket, self._writable)
        self._keep(self._unsent, rest)
        self.unwritten += len(rest)

    @staticmethod
    def _keep(unsent: deque[memoryview | bytearray], rest: memoryview) -> None:
        last = unsent[-1] if unsent else None
        if len(rest) > MAX_COALESCED_BYTES:
            unsent.append(rest)
        elif isinstance(last, bytearray) and len(last) < CHUNK:
            last += rest
        else:
            unsent.append(bytearray(rest))

    async def sent(self) -> None:
        """Return when all is given to the network, or the socket is closed."""
        if self._unsent is not None:
            if self._sent is None:
                self._sent = self._loop.create_future()
            await asyncio.wait([self._sent])  # which leaves it alone when one of many waits no longer

    def finish(self) -> None:
        """Nothing more will be written: the other side reads the end of it, and will close."""
        if self._socket is not None and self._unsent is None:
            try:
                self._socket.shutdown(socket.SHUT_WR)
            except OSError as error:
                log.debug("a WebSocket failed: %s", error)

    def cut(self) -> None:
        """Close now, whatever is unsent."""
        connected, self._socket = self._socket, None
        if connected is None:
            return
        if self._reads:
            self._loop.remove_reader(connected)
        if self._unsent is not None:
            self._loop.remove_writer(connected)
        connected.close()
        self._nothing_unsent()
        self.lost()

    def _offer(self, data: memoryview) -> int:
        """How many bytes the network took."""
        assert self._socket is not None
        if isinstance(self._socket, ssl.SSLSocket):
            data = data[:SLICE]
        try:
            return self._socket.send(data)
        except _NOT_NOW:
            return 0
        except OSError as error:
            log.debug("a WebSocket failed: %s", error)
            self.cut()
            return 0

    def _writable(self) -> None:
        while self._unsent:
            head = self._unsent[0]
            with memoryview(head) as view:
                took = self._offer(view)
            self.unwritten -= took
            if took < len(head):
                if self._unsent:  # the wire was not cut
                    self._shorten(self._unsent, took)
                    self.relieved()
                return
            self._unsent.popleft()
        if self._socket is not None:
            self._loop.remove_writer(self._socket)
            self._nothing_unsent()
            self.relieved()

    @staticmethod
    def _shorten(unsent: deque[memoryview | bytearray], took: int) -> None:
        head = unsent[0]
        if isinstance(head, bytearray):
            del head[:took]
        else:
            unsent[0] = head[took:]

    def _nothing_unsent(self) -> None:
        self._unsent, self.unwritten = None, 0
        waiting, self._sent = self._sent, None
        if waiting is not None:
            waiting.set_result(None)
