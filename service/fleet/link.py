"""The dialling end of a relay: a WebSocket to another replica, from its handshake to its close.

Tornado's client (6.6) takes a resolver's thread, an HTTP client and several futures per frame, which is a
good part of what it costs when a thousand pages connect again at once. This one reads frames as the server's
side of a socket does, several out of one read.
"""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import logging
import os
import socket
import ssl
import struct
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from urllib.parse import urlsplit

from tornado.httpclient import HTTPClientError
from tornado.websocket import WebSocketClosedError, WebSocketProtocol13

from service.limits import CLOSING_SECONDS, MAX_UNREAD_BYTES
from service.protocol.messages import Frame
from service.protocol.websocket import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    FrameError,
    FrameReader,
    close_payload,
    encode_masked,
)

__all__ = ("RelayLink", "dial")

log = logging.getLogger(__name__)

MAX_HEAD_BYTES = 64 * 1024
"""Of the answer to the handshake."""

NEXT_ADDRESS_SECONDS = 1.0
"""How long an address of several may take until the next is tried: packets may get lost on the way to it."""

STATUS_CONNECTION_LOST = 599
"""Tornado's HTTP status for a connection that ended without an answer."""


async def dial(
    url: str, headers: Mapping[str, str], *, seconds: float, limit: int, tls: ssl.SSLContext | None
) -> RelayLink:
    """An open link to ``url`` (http or https); messages have at most ``limit`` bytes.

    Raises OSError when nobody can be reached, HTTPClientError for any answer but 101 and, with 599, for none.
    """
    where = urlsplit(url)
    port = where.port or (443 if where.scheme == "https" else 80)
    context = (tls or True) if where.scheme == "https" else None
    try:
        async with asyncio.timeout(seconds) as limited:
            link = await _connected(lambda: RelayLink(limit), where.hostname or "", port, context)
            await link.opened(where.netloc, where.path, headers)
    except TimeoutError as error:
        if limited.expired():
            raise HTTPClientError(STATUS_CONNECTION_LOST, "no answer") from error
        raise  # the system's own, for an address that leads nowhere
    return link


async def _connected(
    make: Callable[[], RelayLink], host: str, port: int, tls: ssl.SSLContext | bool | None
) -> RelayLink:
    """Try the addresses of ``host`` in turn. asyncio (3.13) makes one error without a kind of several."""
    loop = asyncio.get_running_loop()
    failed: OSError | None = None
    addresses = await _addresses(host, port)
    for number, address in enumerate(addresses, 1):
        try:
            async with asyncio.timeout(NEXT_ADDRESS_SECONDS if number < len(addresses) else None):
                _, link = await loop.create_connection(
                    make, address, port, ssl=tls, server_hostname=host if tls else None
                )
        except OSError as error:  # TimeoutError, too
            failed = error
        else:
            return link
    raise failed or OSError(f"no address of {host}")


async def _addresses(host: str, port: int) -> list[str]:
    """A number needs no thread that looks it up."""
    with suppress(ValueError):
        return [str(ipaddress.ip_address(host))]
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


class RelayLink(asyncio.Protocol):
    """An open relay to a session's owner. On the event loop only."""

    def __init__(self, limit: int) -> None:
        self.close_code: int | None = None
        """Why the owner closed; None when it just vanished."""
        self.close_reason: str | None = None
        self._reader = FrameReader(limit, masked=False)
        self._head: bytearray | None = bytearray()
        """The answer to the handshake, as far as it has come."""
        self._answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._frames: deque[Frame] = deque()
        self._waiting = 0
        self._next: asyncio.Future[None] | None = None
        """Somebody waits for a frame, or the end."""
        self._writable: asyncio.Future[None] | None = None
        """While the network does not take more."""
        self._paused = False
        self._closing = False
        self._lost = False
        self._transport: asyncio.Transport
        self._timer: asyncio.TimerHandle | None = None

    async def opened(self, host: str, path: str, headers: Mapping[str, str]) -> None:
        """Shake hands. Raises HTTPClientError; the connection is closed then."""
        key = base64.b64encode(os.urandom(16))
        fields = {
            "Host": host,
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": key.decode(),
            "Sec-WebSocket-Version": "13",
            **headers,
        }
        lines = [f"{name}: {value}" for name, value in fields.items()]
        try:
            if any("\r" in line or "\n" in line for line in lines):
                raise ValueError("a header has more than one line")
            self._transport.write("\r\n".join((f"GET {path} HTTP/1.1", *lines, "", "")).encode("latin-1"))
            _check_answer(await self._answer, key)
        except BaseException:
            self._answer.cancel()
            self._transport.abort()
            raise

    def send(self, frame: Frame) -> Awaitable[None] | None:
        """Pass one frame on; what is left to be waited for, if anything is.

        Raises ``tornado.websocket.WebSocketClosedError`` when closed.
        """
        if self._closing or self._lost:
            raise WebSocketClosedError
        opcode, payload = (TEXT, frame.encode()) if isinstance(frame, str) else (BINARY, frame)
        self._transport.write(encode_masked(opcode, payload))
        return self._writable

    async def receive(self) -> Frame | None:
        """The owner's next frame, None when it closed."""
        while not self._frames:
            if self._lost:
                return None
            self._read_on()
            self._next = asyncio.get_running_loop().create_future()
            await self._next
        frame = self._frames.popleft()
        self._waiting -= len(frame)
        return frame

    def close(self) -> None:
        """Say goodbye; what comes from here on is ignored."""
        if self._closing or self._lost:
            return
        self._say_close(close_payload(None))
        self._read_on()

    def _say_close(self, payload: bytes) -> None:
        self._closing = True
        self._transport.write(encode_masked(CLOSE, payload))
        self._timer = asyncio.get_running_loop().call_later(CLOSING_SECONDS, self._transport.abort)

    def _read_on(self) -> None:
        if self._paused and not self._lost:
            self._paused = False
            self._transport.resume_reading()

    # -- what the network says -------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._head is not None:
            self._head += data
            head, end, data = bytes(self._head).partition(b"\r\n\r\n")
            if not end:
                if len(head) > MAX_HEAD_BYTES:
                    self._transport.abort()
                return
            self._head = None
            if not self._answer.done():
                self._answer.set_result(head)
            if not _agrees(head):  # what follows is an error page
                self._transport.pause_reading()
                return
        try:
            for opcode, payload in self._reader.feed(data):
                self._take(opcode, payload)
        except (FrameError, UnicodeDecodeError) as error:
            log.warning("a relay ends, as its owner breaks the protocol: %s", error)
            self._transport.abort()
        if self._waiting > MAX_UNREAD_BYTES and not self._paused and not self._closing:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def _take(self, opcode: int, payload: bytes) -> None:
        if opcode == CLOSE:
            self._closed_by_owner(payload)
        elif opcode == PING:
            self._transport.write(encode_masked(PONG, payload))
        elif opcode in (TEXT, BINARY) and not self._closing:
            frame = payload.decode() if opcode == TEXT else payload
            self._frames.append(frame)
            self._waiting += len(frame)

    def _closed_by_owner(self, payload: bytes) -> None:
        if len(payload) >= 2:
            (self.close_code,) = struct.unpack_from("!H", payload)
            self.close_reason = payload[2:].decode("utf-8", "replace")
        if not self._closing:
            self._say_close(payload[:2])
        self._transport.close()

    def pause_writing(self) -> None:
        self._writable = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        writable, self._writable = self._writable, None
        if writable is not None and not writable.done():
            writable.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        self._lost = True
        if self._timer is not None:
            self._timer.cancel()
        if not self._answer.done():
            self._answer.set_exception(HTTPClientError(STATUS_CONNECTION_LOST, "the connection was closed"))
        self.resume_writing()
        self._wake()

    def _wake(self) -> None:
        waiting, self._next = self._next, None
        if waiting is not None and not waiting.done() and (self._frames or self._lost):
            waiting.set_result(None)
        else:
            self._next = waiting


def _agrees(head: bytes) -> bool:
    return head.split(b" ", 2)[1:2] == [b"101"]


def _check_answer(head: bytes, key: bytes) -> None:
    """Raise HTTPClientError unless it agrees to the handshake with ``key``."""
    status, *lines = head.decode("latin-1").split("\r\n")
    _, code, reason = (*status.split(" ", 2), "", "")[:3]
    if not _agrees(head):
        raise HTTPClientError(int(code) if code.isdecimal() else STATUS_CONNECTION_LOST, reason)
    fields = dict(line.partition(":")[::2] for line in lines)
    accepts = {name.strip().lower(): value.strip() for name, value in fields.items()}
    if accepts.get("sec-websocket-accept") != WebSocketProtocol13.compute_accept_value(key):
        raise HTTPClientError(STATUS_CONNECTION_LOST, "the answer to the handshake is not of its key")
