"""One WebSocket to a server: messages as separate text and binary frames, exactly as BokehJS has them.

`send_frames` sends anything at all, for tests of what the server does with it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any, Self
from urllib.parse import urlsplit

from bokeh.protocol import Protocol
from bokeh.protocol.message import Message
from bokeh.protocol.receiver import Receiver
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.httputil import HTTPHeaders
from tornado.websocket import WebSocketClientConnection, WebSocketClosedError, websocket_connect

from harness.pages import request_headers


class WireClosed(ConnectionError):
    """The server refused the connection (`http_status`) or ended it (`close_code`, `close_reason`)."""

    def __init__(
        self,
        what: str,
        close_code: int | None = None,
        close_reason: str | None = None,
        http_status: int | None = None,
    ) -> None:
        super().__init__(f"{what} (close code {close_code}, {close_reason!r}, HTTP status {http_status})")
        self.close_code = close_code
        self.close_reason = close_reason
        self.http_status = http_status


class _LeftOpen(WebSocketClientConnection):
    """A tab that a test leaves open, see `harness.sockets`. Tornado's warns when it is collected."""

    def __del__(self) -> None:
        pass


class Wire:
    """An open WebSocket. `receive()` gives whole messages, None once it is closed."""

    def __init__(self, socket: WebSocketClientConnection) -> None:
        socket.__class__ = _LeftOpen
        self._socket = socket
        self._receiver = Receiver(Protocol())
        self._closed = asyncio.Event()
        self._sending = asyncio.Lock()

    @classmethod
    async def open(
        cls,
        url: str,
        token: str | None,
        *,
        cookies: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 30,
    ) -> Self:
        """Connects to `url` (ws:// or wss://) with the subprotocols `bokeh, <token>`.

        The Origin is the server's own, unless `headers` has another; an empty one is not sent at all.
        """
        sent = {"Origin": _own_origin(url), **(headers or {})}
        request = HTTPRequest(
            url,
            headers=request_headers({name: value for name, value in sent.items() if value}, cookies),
            connect_timeout=timeout,
        )
        try:
            return cls(
                await asyncio.wait_for(
                    websocket_connect(
                        request,
                        subprotocols=["bokeh", token] if token is not None else [],
                        max_message_size=256 * 1024 * 1024,
                    ),
                    timeout,
                )
            )
        except HTTPClientError as refused:
            raise WireClosed("refused", http_status=refused.code) from None

    @property
    def closed(self) -> bool:
        return self._closed.is_set()

    @property
    def headers(self) -> HTTPHeaders:
        """The headers of the answer that opened it."""
        assert self._socket.headers is not None  # it is open
        return HTTPHeaders(self._socket.headers)

    @property
    def close_code(self) -> int | None:
        return self._socket.close_code

    @property
    def close_reason(self) -> str | None:
        return self._socket.close_reason

    async def receive(self) -> Message[Any] | None:
        while (frame := await self._socket.read_message()) is not None:
            if (message := await self._receiver.consume(frame)) is not None:
                return message
        self._closed.set()
        return None

    async def send(self, message: Message[Any]) -> None:
        frames: list[str | bytes] = [message.header_json, message.metadata_json, message.content_json]
        for buffer in message.buffers:
            frames += [json.dumps(buffer.ref), buffer.to_bytes()]
        await self.send_frames(frames)

    async def send_frames(self, frames: Sequence[str | bytes]) -> None:
        """Sends these frames, in one go, whatever they are."""
        async with self._sending:
            try:
                for frame in frames:
                    await self._socket.write_message(frame, binary=isinstance(frame, bytes))
            except WebSocketClosedError:
                raise WireClosed("closed while sending", self.close_code, self.close_reason) from None

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Closes from this side; somebody must be in `receive()` for the answer to be seen."""
        self._socket.close(code, reason or None)

    def drop(self) -> None:
        """Cuts the connection as a broken network does: no closing handshake."""
        stream = self._socket.protocol.stream if self._socket.protocol else None
        if stream is not None:
            stream.close()


def _own_origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{'https' if parts.scheme == 'wss' else 'http'}://{parts.netloc}"
