"""Tornado's WebSocket with reading and writing by whole messages: see service.protocol.websocket.

The handshake, closing and control frames stay Tornado's. Overridden is ``_receive_frame_loop`` of
Tornado 6.5 and 6.6; a test fails when that changes.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketProtocol13

from service.protocol.messages import Frame, Frames
from service.protocol.websocket import (
    BINARY,
    TEXT,
    FrameError,
    FrameReader,
    FrameTooBig,
    encode_frames,
)

__all__ = ("FrameProtocol",)

CHUNK = 64 * 1024
FAIR_SHARE = 1024 * 1024
"""Bytes after which a client that sends without a pause lets others have their turn."""


class FrameProtocol(WebSocketProtocol13):
    """The server's side of one WebSocket, without compression."""

    def __init__(self, handler: Any, params: Any) -> None:
        super().__init__(handler, mask_outgoing=False, params=params)
        self._reader = FrameReader(params.max_message_size)
        self._pending: list[Frames] = []
        self._unsent = 0
        self._last_write: asyncio.Future[None] | None = None

    # -- writing -------------------------------------------------------------------------------

    @property
    def unsent(self) -> int:
        """Bytes (characters, for text) accepted but not yet given to the network."""
        if not self._pending and (self._last_write is None or self._last_write.done()):
            self._unsent = 0
        return self._unsent

    def send(self, frames: Frames) -> None:
        """Queue a message. All of one turn of the event loop goes out in one write."""
        if not self._pending:
            asyncio.get_running_loop().call_soon(self.flush)
        self._unsent = self.unsent + sum(map(len, frames))
        self._pending.append(frames)

    def flush(self) -> None:
        """Write what is queued; nothing after a close frame."""
        pending, self._pending = self._pending, []
        if not pending or self.server_terminated:
            return
        pieces = [piece for frames in pending for piece in _encoded(frames)]
        try:
            for piece in _joined(pieces):
                self._last_write = self.stream.write(piece)
        except StreamClosedError:
            self._abort()

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
            await self._receive()
        except StreamClosedError:
            self._abort()
        except FrameError as error:
            if isinstance(error, FrameTooBig):
                self.close(1009, str(error))
            self._abort()
        finally:
            self.handler.on_ws_connection_close(self.close_code, self.close_reason)

    async def _receive(self) -> None:
        read = 0
        while not self.client_terminated:
            data = await self.stream.read_bytes(CHUNK, partial=True)
            for opcode, payload in self._reader.feed(data):
                if self.client_terminated:
                    return
                await self._take(opcode, payload)
            read += len(data)
            if read > FAIR_SHARE:
                read = 0
                await asyncio.sleep(0)

    async def _take(self, opcode: int, payload: bytes) -> None:
        if opcode == TEXT:
            try:
                message: Frame = payload.decode()
            except UnicodeDecodeError as error:
                raise FrameError("text that is not UTF-8") from error
            await self._hand_on(message)
        elif opcode == BINARY:
            await self._hand_on(payload)
        else:
            waiting = self._handle_message(opcode, payload)
            if waiting is not None:
                await waiting

    async def _hand_on(self, message: Frame) -> None:
        try:
            working = self.handler.on_message(message)
            if working is not None:
                await working
        except Exception:  # noqa: BLE001 - whatever it is, it is logged and ends this connection alone
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
