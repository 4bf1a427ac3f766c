"""A load generator that costs far less than the servers it loads: raw HTTP, raw WebSocket frames.

No bokeh in here. A :class:`Tab` is what one browser tab does: get the page, open the socket, pull
the Document, then send patches and read answers. JSON is parsed only where a test asks for it.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import os
import re
import struct
from typing import Any, Self

__all__ = ("Message", "Tab", "get", "masked", "page_token")

Message = list[bytes]
"""The frames of one protocol message: header, metadata, content, then pairs for buffers."""

_TOKEN = re.compile(rb'"token":"([^"]+)"')
_NUM_BUFFERS = re.compile(rb'"num_buffers":\s*(\d+)')
_TEXT, _BINARY, _CLOSE, _PING, _PONG = 1, 2, 8, 9, 10
_ids = itertools.count(1)


async def get(port: int, path: str, headers: str = "") -> bytes:
    """The body of ``GET path``. Raises RuntimeError unless the answer is 200."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{headers}Connection: close\r\n\r\n"
        writer.write(request.encode())
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        if b" 200 " not in head.split(b"\r\n", 1)[0] + b" ":
            raise RuntimeError(f"GET {path}: {head[:200]!r}")
        return body
    finally:
        writer.close()


def page_token(page: bytes) -> str:
    """The token in a page."""
    found = _TOKEN.search(page)
    if found is None:
        raise RuntimeError(f"no token in {page[:300]!r}")
    return found[1].decode()


class _Socket(asyncio.Protocol):
    """WebSocket frames in and out, put together into messages."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue[Message | None] = asyncio.Queue()
        self.opened = asyncio.get_running_loop().create_future()
        self.close_code: int | None = None
        self._bytes = bytearray()
        self._frames: Message = []
        self._due = 3
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        if not self.opened.done():
            self.opened.set_exception(ConnectionError(f"closed: {bytes(self._bytes[:200])!r}"))
        self.messages.put_nowait(None)

    def data_received(self, data: bytes) -> None:
        self._bytes += data
        if not self.opened.done() and not self._handshake():
            return
        while self._take_frame():
            pass

    def _handshake(self) -> bool:
        head, end, rest = self._bytes.partition(b"\r\n\r\n")
        if not end:
            return False
        if b" 101 " not in head[:40]:
            self.opened.set_exception(ConnectionError(f"refused: {bytes(head[:200])!r}"))
            return False
        self._bytes = rest
        self.opened.set_result(None)
        return True

    def _take_frame(self) -> bool:
        data = self._bytes
        if len(data) < 2:
            return False
        opcode, size, at = data[0] & 15, data[1] & 127, 2
        if size >= 126:
            width, form = (2, "!H") if size == 126 else (8, "!Q")
            if len(data) < 2 + width:
                return False
            size, at = struct.unpack_from(form, data, 2)[0], 2 + width
        if len(data) < at + size:
            return False
        self._frame(opcode, bytes(data[at : at + size]))
        del data[: at + size]
        return True

    def _frame(self, opcode: int, payload: bytes) -> None:
        if opcode == _PING:
            self.send(payload, _PONG)
        elif opcode == _CLOSE:
            self.close_code = struct.unpack("!H", payload[:2])[0] if payload else None
            self.close()
        elif opcode in (_TEXT, _BINARY):
            if not self._frames:
                found = _NUM_BUFFERS.search(payload)
                self._due = 3 + 2 * int(found[1]) if found else 3
            self._frames.append(payload)
            if len(self._frames) == self._due:
                self.messages.put_nowait(self._frames)
                self._frames = []

    def send(self, payload: bytes, opcode: int = _TEXT) -> None:
        self._transport.write(masked(payload, opcode))

    def send_message(self, *frames: bytes) -> None:
        self._transport.write(b"".join(masked(frame, _TEXT) for frame in frames))

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    def close(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(masked(struct.pack("!H", 1000), _CLOSE))
            self._transport.close()

    def cut(self) -> None:
        self._transport.abort()


def masked(payload: bytes, opcode: int) -> bytes:
    """A client's frame, masked (as it must be) with zeros (which cost nothing)."""
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", 128 | opcode, 128 | size)
    elif size < 65536:
        head = struct.pack("!BBH", 128 | opcode, 128 | 126, size)
    else:
        head = struct.pack("!BBQ", 128 | opcode, 128 | 127, size)
    return head + b"\0\0\0\0" + payload


class Tab:
    """One page and its socket."""

    def __init__(self, port: int, app: str, token: str, *, source: str | None = None) -> None:
        self.port = port
        self.source = source
        """The address that its socket comes from; None for whichever."""
        self.app = app
        self.token = token
        self.document: dict[str, Any] = {}
        self._socket: Any = None

    @classmethod
    async def open(
        cls, port: int, app: str, *, socket_port: int = 0, pull: bool = True, source: str | None = None
    ) -> Self:
        """Page from ``port``, socket to ``socket_port`` (the same if 0), Document pulled."""
        tab = cls(socket_port or port, app, page_token(await get(port, f"/{app}")), source=source)
        await tab.connect(pull=pull)
        return tab

    @classmethod
    async def join(cls, port: int, app: str, session_id: str) -> Self:
        """A further tab of the session ``session_id``."""
        tab = cls(port, app, page_token(await get(port, f"/{app}?bokeh-session-id={session_id}")))
        await tab.connect()
        return tab

    @property
    def session_id(self) -> str:
        first = self.token.split(".")[0]
        fields = json.loads(base64.urlsafe_b64decode(first + "=" * (-len(first) % 4)))
        return str(fields["session_id"])

    async def connect(self, *, pull: bool = True) -> None:
        loop = asyncio.get_running_loop()
        transport, self._socket = await loop.create_connection(
            _Socket, "127.0.0.1", self.port, local_addr=(self.source, 0) if self.source else None
        )
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(
            f"GET /{self.app}/ws HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
            f"Origin: http://127.0.0.1:{self.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Protocol: bokeh, {self.token}\r\n\r\n".encode()
        )
        await self._socket.opened
        await self.message()  # ACK
        if pull:
            await self.pull()

    async def pull(self) -> Message:
        self.send("PULL-DOC-REQ", b"{}")
        return await self.reply()

    async def pull_parsed(self) -> dict[str, Any]:
        """The Document's JSON, also kept as ``document``."""
        self.document = json.loads((await self.pull())[2])["doc"]
        return self.document

    def id_of(self, name: str) -> str:
        """The id of the model with that name, in the Document that was pulled last."""
        return _id_of(self.document, name) or ""

    def send(self, msgtype: str, content: bytes) -> None:
        header = b'{"msgid":"%d","msgtype":"%s"}' % (next(_ids), msgtype.encode())
        self._socket.send_message(header, b"{}", content)

    def write(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._socket.write(data)

    def set(self, model: str, attr: str, value: object) -> None:
        """Send a patch, as when a widget was moved."""
        event = {"kind": "ModelChanged", "model": {"id": model}, "attr": attr, "new": value}
        self.send("PATCH-DOC", json.dumps({"events": [event]}).encode())

    async def message(self) -> Message:
        found: Message | None = await self._socket.messages.get()
        if found is None:
            raise ConnectionError("the server closed the socket")
        return found

    async def reply(self) -> Message:
        """The next message that answers one of ours."""
        while b'"reqid"' not in (message := await self.message())[0]:
            pass
        if b'"ERROR"' in message[0]:
            raise RuntimeError(message[2].decode()[:500])
        return message

    @property
    def close_code(self) -> int | None:
        """The code the server closed the socket with; None while it is open, or when it was cut."""
        code: int | None = self._socket.close_code
        return code

    def cut(self) -> None:
        """End the connection without a word."""
        self._socket.cut()

    def close(self) -> None:
        """Close the socket if there is one that is open."""
        if self._socket is not None:
            self._socket.close()


def _id_of(value: Any, name: str) -> str | None:
    children: Any = ()
    if isinstance(value, dict):
        attributes = value.get("attributes")
        if isinstance(attributes, dict) and attributes.get("name") == name:
            return str(value["id"])
        children = value.values()
    elif isinstance(value, list):
        children = value
    return next((found for child in children if (found := _id_of(child, name))), None)
