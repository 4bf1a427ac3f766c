"""Tornado's WebSocket with reading and writing by whole messages: see service.protocol.websocket.

The handshake, closing and control frames stay Tornado's. Overridden are ``_receive_frame_loop`` and
``_create_compressors`` of Tornado 6.5 and 6.6, and the stream's ``read_from_fd``; a test fails when
they change.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import zlib
from collections import deque
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from typing import Any

from tornado.iostream import IOStream, StreamClosedError
from tornado.websocket import WebSocketProtocol13

from service.protocol.messages import Frame, Frames
from service.protocol.websocket import (
    BINARY,
    TEXT,
    Deflater,
    FrameError,
    FrameReader,
    FrameTooBig,
    Inflater,
    Received,
    encode_frames,
)

__all__ = ("FrameProtocol",)

log = logging.getLogger(__name__)

CHUNK = 64 * 1024
SMALL_CHUNK = 4 * 1024
FAIR_SHARE = 1024 * 1024
"""Bytes after which a client that sends without a pause lets others have their turn."""

_COMPRESSION = {
    "server_no_context_takeover",
    "client_no_context_takeover",
    "server_max_window_bits",
    "client_max_window_bits",
}
"""The parameters of RFC 7692."""


class FrameProtocol(WebSocketProtocol13):
    """The server's side of one WebSocket.

    A task waits for what comes in, as Tornado has it. But a message that can be dealt with at once
    is: in the turn of the event loop that reads it, answer and all, and without waking that task.
    """

    def __init__(self, handler: Any, params: Any) -> None:
        super().__init__(handler, mask_outgoing=False, params=params)
        self._reader = FrameReader(params.max_message_size)
        self._backlog: deque[Received] = deque()
        self._unfinished: Awaitable[None] | None = None
        """What the task has to wait for before it goes on with the backlog."""
        self._fault: FrameError | None = None
        self._waits = self._woken = False
        """The task waits for the stream; what it gets is no data but a call to work the backlog off."""
        self._taken = 0
        self._context = copy_context()
        self._deflater: Deflater | None = None
        self._pending: list[Frames] = []
        self._flushes = False
        """Whether somebody up the stack will flush."""
        self._unsent = 0
        self._last_write: asyncio.Future[None] | None = None

    def _create_compressors(
        self, side: str, agreed_parameters: dict[str, Any], compression_options: dict[str, Any] | None = None
    ) -> None:
        """Both sides want compression. Raises ValueError, which ends the handshake, for what is unknown."""
        if unknown := agreed_parameters.keys() - _COMPRESSION:
            raise ValueError(f"unsupported compression parameters {unknown}")
        options = compression_options or {}
        self._deflater = Deflater(
            options["compression_level"],
            options.get("mem_level", 8),
            window_bits=int(agreed_parameters.get("server_max_window_bits") or zlib.MAX_WBITS),
            forgetful="server_no_context_takeover" in agreed_parameters,
        )
        self._reader.inflater = Inflater(
            self.params.max_message_size,
            window_bits=int(agreed_parameters.get("client_max_window_bits") or zlib.MAX_WBITS),
            forgetful="client_no_context_takeover" in agreed_parameters,
        )

    # -- writing -------------------------------------------------------------------------------

    @property
    def unsent(self) -> int:
        """Bytes (characters, for text) accepted but not yet given to the network."""
        if not self._pending and (self._last_write is None or self._last_write.done()):
            self._unsent = 0
        return self._unsent

    def send(self, frames: Frames) -> None:
        """Queue a message. All of one turn of the event loop goes out in one write."""
        if not self._pending and not self._flushes:
            asyncio.get_running_loop().call_soon(self.flush)
        self._unsent = self.unsent + sum(map(len, frames))
        self._pending.append(frames)

    def flush(self) -> None:
        """Write what is queued; nothing after a close frame."""
        pending, self._pending = self._pending, []
        if not pending or self.server_terminated:
            return
        pieces = [piece for frames in pending for piece in self._encoded(frames)]
        try:
            for piece in _joined(pieces):
                self._write(piece)
        except StreamClosedError:
            self._abort()

    def _write(self, piece: bytes) -> None:
        """Give it to the network at once as far as that takes it; the stream keeps the rest."""
        rest = memoryview(piece)
        if not self.stream.writing() and not self.stream.closed():
            try:
                rest = rest[self.stream.write_to_fd(rest) :]
            except OSError:
                log.debug("the stream will try again, and know what to do about it")
        if rest:
            self._last_write = self.stream.write(rest)

    def _encoded(self, frames: Frames) -> list[bytes]:
        if self._deflater is None:
            return _encoded(frames)
        return encode_frames(frames, self._deflater.deflate)  # refers to what this client got before

    async def drained(self) -> None:
        """Return when nothing is unsent, or the connection is closed."""
        self.flush()
        if self._last_write is not None:
            try:
                await self._last_write
            except StreamClosedError:
                return

    def close(self, code: int | None = None, reason: str | None = None) -> None:
        self.flush()
        super().close(code, reason)

    # -- reading -------------------------------------------------------------------------------

    async def _receive_frame_loop(self) -> None:
        try:
            with self._reading_along():
                await self._receive()
        except StreamClosedError:
            await self._work_off()  # what came before
            self._abort()
        except FrameError as error:
            if isinstance(error, FrameTooBig):
                self.close(1009, str(error))
            self._abort()
        finally:
            self.handler.on_ws_connection_close(self.close_code, self.close_reason)

    async def _receive(self) -> None:
        while not self.client_terminated:
            self._woken, self._waits = False, True
            data = await self.stream.read_bytes(CHUNK, partial=True)
            self._waits = False
            if not self._woken:
                self._parse(data)
            await self._work_off()
            if self._fault is not None:
                raise self._fault
            self._taken += len(data)
            if self._taken > FAIR_SHARE:
                self._taken = 0
                await asyncio.sleep(0)

    @contextmanager
    def _reading_along(self) -> Iterator[None]:
        """Look at what the stream reads before it does. Encrypted streams read in ways of their own."""
        if type(self.stream) is not IOStream:
            yield
            return
        self._context = copy_context()
        self.stream.read_from_fd = self._read_from_fd  # type: ignore[method-assign, assignment]
        try:
            yield
        finally:
            del self.stream.read_from_fd

    def _read_from_fd(self, buffer: bytearray | memoryview) -> int | None:
        """As the stream's own; None ("nothing there yet") also when all that came is dealt with."""
        count = IOStream.read_from_fd(self.stream, buffer)
        if not count or not self._waits:  # Tornado reads on while the task is at work, too
            return count
        # Each read begins with a buffer full of zeros: a large one only for those who send much.
        self.stream.read_chunk_size = CHUNK if count == len(buffer) else SMALL_CHUNK
        self._context.run(self._arrived, bytes(buffer[:count]))
        if self._idle:
            return None
        self._woken, self._waits = True, False
        self._taken += count
        return 1  # byte, whatever is in it

    @property
    def _idle(self) -> bool:
        left = self._backlog or self._unfinished is not None or self._fault is not None
        return not left and not self.client_terminated

    def _arrived(self, data: bytes) -> None:
        self._flushes = True
        try:
            self._parse(data)
            self._unfinished = self._work()
        finally:
            self._flushes = False
            self.flush()

    def _parse(self, data: bytes) -> None:
        try:
            self._backlog.extend(self._reader.feed(data))
        except FrameError as error:
            self._fault = error

    def _work(self) -> Awaitable[None] | None:
        """Work the backlog off until something has to be waited for, which is returned."""
        while self._backlog and not self.client_terminated:
            waiting = self._take(*self._backlog.popleft())
            if waiting is not None:
                return waiting
        return None

    async def _work_off(self) -> None:
        waiting, self._unfinished = self._unfinished or self._work(), None
        while waiting is not None:
            await waiting
            waiting = self._work()

    def _take(self, opcode: int, payload: bytes) -> Awaitable[None] | None:
        if opcode == TEXT:
            try:
                return self._hand_on(payload.decode())
            except UnicodeDecodeError:
                self._fault = FrameError("text that is not UTF-8")
                self._backlog.clear()
                return None
        if opcode == BINARY:
            return self._hand_on(payload)
        return self._handle_message(opcode, payload)

    def _hand_on(self, message: Frame) -> Awaitable[None] | None:
        try:
            working = self.handler.on_message(message)
        except Exception:  # noqa: BLE001 - whatever it is, it is logged and ends this connection alone
            self._failed()
            return None
        return None if working is None else self._guarded(working)

    async def _guarded(self, working: Awaitable[None]) -> None:
        try:
            await working
        except Exception:  # noqa: BLE001 - as above
            self._failed()

    def _failed(self) -> None:
        self.handler.log_exception(*sys.exc_info())
        self._abort()


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
