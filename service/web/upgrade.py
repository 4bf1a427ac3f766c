"""From an HTTP request to a :class:`~service.web.websocket.WebSocket`: the handshake is Tornado's.

Once it is done the socket is taken out of Tornado's hands: of the handler, the request and the stream, which
an idle tab would keep for days, nothing stays. Overridden are ``_receive_frame_loop``, ``_abort`` and
``_create_compressors`` of Tornado 6.5 and 6.6, and the stream is taken apart; a test fails when they change.
"""

from __future__ import annotations

import logging
import socket
import zlib
from asyncio import Future
from typing import Any, cast

from tornado import httputil
from tornado.iostream import IOStream, StreamClosedError
from tornado.websocket import WebSocketHandler, WebSocketProtocol13

from service.errors import ProtocolError
from service.protocol.websocket import Deflater, FrameReader, Inflater, compression_offers
from service.web.base import BaseHandler
from service.web.services import Services
from service.web.websocket import Socket, WebSocket

__all__ = ("Accepts", "UpgradeHandler")

log = logging.getLogger(__name__)


class Accepts:
    """What opens the WebSocket once the handler has agreed to it.

    A request may come with a connection of this kind: then a server of another make does the handshake.
    """

    async def take_over(self, services: Services, about: str) -> Socket:
        """The socket, open. Raises StreamClosedError when the client is gone already."""
        raise NotImplementedError

    def abort(self) -> None:
        """Close the connection, whatever became of it."""
        raise NotImplementedError


class UpgradeHandler(WebSocketHandler, BaseHandler):
    """A handler that lives until its WebSocket is open."""

    def check_upgrade(self) -> None:
        """Raises ProtocolError (400) for a request that asks for no WebSocket, as proxies make of one."""
        asked = self.request.headers.get("Upgrade", "")
        if asked.lower() != "websocket" and not isinstance(self.request.connection, Accepts):
            raise ProtocolError("no WebSocket: does a proxy leave out the headers Upgrade and Connection?")

    async def get(self, *args: Any, **kwargs: Any) -> None:
        accepts = self.request.connection
        if isinstance(accepts, Accepts):
            await self._agree(accepts)
        else:
            await super().get(*args, **kwargs)

    async def _agree(self, accepts: Accepts) -> None:
        """As Tornado's own ``get`` after its handshake."""
        self.set_status(101)
        chosen = self.select_subprotocol(self.request.headers.get("Sec-WebSocket-Protocol", "").split(","))
        if chosen is not None:
            self.set_header("Sec-WebSocket-Protocol", chosen)
        self.finish()
        try:
            await self.open()
        except BaseException:
            accepts.abort()
            raise

    def get_websocket_protocol(self) -> Handshake | None:
        protocol = super().get_websocket_protocol()
        return Handshake(self, protocol.params) if isinstance(protocol, WebSocketProtocol13) else None

    async def open(self, *args: str, **kwargs: str) -> None:
        accepts = self.ws_connection or self.request.connection
        assert isinstance(accepts, Accepts)
        try:
            opened = await accepts.take_over(self.services, self.request.path)
        except StreamClosedError:
            log.debug("a client disconnected during the handshake")
        else:
            await self.opened(opened)

    async def opened(self, websocket: Socket) -> None:
        """The client is there; find out who answers."""
        raise NotImplementedError


class Handshake(WebSocketProtocol13, Accepts):
    """Tornado's handshake without what it does afterwards."""

    handler: UpgradeHandler

    def __init__(self, handler: UpgradeHandler, params: Any) -> None:
        super().__init__(handler, mask_outgoing=False, params=params)
        self._reader = FrameReader(params.max_message_size)
        self._deflater: Deflater | None = None
        self._taken: WebSocket | None = None

    def _parse_extensions_header(self, headers: httputil.HTTPHeaders) -> list[tuple[str, dict[str, str]]]:
        """The client's offers, but for those that this server cannot take: RFC 7692 has it decline them."""
        # Tornado's own overlooks parameters without a value.
        offers = compression_offers(headers.get("Sec-WebSocket-Extensions", ""))
        return [("permessage-deflate", cast("dict[str, str]", offer)) for offer in offers]

    def _create_compressors(
        self, side: str, agreed_parameters: dict[str, Any], compression_options: dict[str, Any] | None = None
    ) -> None:
        """Both sides want compression."""
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

    async def take_over(self, services: Services, about: str) -> Socket:
        stream = self.stream
        await stream.write(b"")  # returns when the handshake's answer is sent
        stream.set_nodelay(True)
        stream.set_close_callback(None)
        connected, early = taken_from(stream)
        self._taken = WebSocket(
            connected, self._reader, self._deflater,
            among=services.websockets, keep_alive=services.keep_alive, about=about,
        )  # fmt: skip
        if early:
            self._taken.received(early)
        self._taken.resume()
        return self._taken

    async def _receive_frame_loop(self) -> None:
        """Whoever answers is found: that is all that handler and request were needed for."""
        self._let_go()

    def abort(self) -> None:
        self._abort()

    def _abort(self) -> None:
        if self._taken is not None:
            self._taken.cut()
        elif self.stream is not None:
            self.stream.close()
        self._let_go()

    def _let_go(self) -> None:
        """Leave nothing that refers to each other in a circle."""
        self.handler.ws_connection = None
        self.handler.on_ws_connection_close()


def taken_from(stream: IOStream) -> tuple[socket.socket, bytes]:
    """A stream's socket, and what it had read from it already. The stream is dead afterwards.

    Raises StreamClosedError.
    """
    reading = cast("Future[bytes]", stream.read_bytes(stream.max_buffer_size, partial=True))
    early = reading.result() if reading.done() else b""
    if stream.closed():
        raise StreamClosedError
    stream.io_loop.remove_handler(stream.fileno())
    connected: socket.socket = stream.socket
    stream.socket = None  # type: ignore[assignment]
    return connected, early
