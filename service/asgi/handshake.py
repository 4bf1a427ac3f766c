"""A WebSocket's handshake by an ASGI server: a handler of ours says whether it is accepted."""

from __future__ import annotations

import asyncio

from tornado.httputil import HTTPHeaders, RequestStartLine, ResponseStartLine
from tornado.iostream import StreamClosedError

from service.asgi.answers import Answer, response_headers
from service.asgi.events import Event, Receive, Scope, Send, has_extension, sends_reasons
from service.asgi.websocket import EventSocket
from service.close_codes import POLICY_VIOLATION
from service.web.services import Services
from service.web.upgrade import Accepts
from service.web.websocket import Socket

__all__ = ("EventHandshake",)

REFUSALS = "websocket.http.response"
"""The extension of ASGI by which a refusal has a status and a text of its own; without, it is a bare 403."""

BARE_REFUSAL = 403
"""The status without that extension, so not worth it: uvicorn (0.54) logs an error after each use of it."""

_OF_THE_HANDSHAKE = frozenset({b"content-type", b"content-length", b"sec-websocket-protocol", b"upgrade"})


class EventHandshake(Answer, Accepts):
    """Towards handlers a connection, which they either answer as any other, with an error, or take over."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        super().__init__(scope, REFUSALS)
        self._scope = scope
        self._receive = receive
        self._send_event = send
        self._accepting: Event | None = None
        self._refused_with: int | None = None
        """An HTTP status."""
        self._decided = asyncio.Event()
        self._socket: EventSocket | None = None

    def write_headers(
        self,
        start_line: RequestStartLine | ResponseStartLine,
        headers: HTTPHeaders,
        chunk: bytes | None = None,
    ) -> asyncio.Future[None]:
        assert isinstance(start_line, ResponseStartLine)
        if start_line.code != 101:
            self._refused_with = start_line.code
            self._decided.set()
            return super().write_headers(start_line, headers, chunk)
        own = [pair for pair in response_headers(headers) if pair[0] not in _OF_THE_HANDSHAKE]
        chosen = headers.get("Sec-WebSocket-Protocol")
        self._accepting = {"type": "websocket.accept", "subprotocol": chosen, "headers": own}
        done = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    def finish(self) -> None:
        if self._accepting is None:
            super().finish()

    async def take_over(self, services: Services, about: str) -> Socket:
        assert self._accepting is not None
        try:
            await self._send_event(self._accepting)
        except OSError as error:
            self._decided.set()
            raise StreamClosedError(real_error=error) from error
        self._socket = EventSocket(
            self._send_event,
            among=services.websockets,
            max_message_size=services.settings.websocket_max_message_size,
            about=about,
            reasons=sends_reasons(self._scope),
        )
        self._decided.set()
        return self._socket

    def abort(self) -> None:
        if self._socket is not None:
            self._socket.cut()
        self._decided.set()

    async def run(self) -> None:
        """From the handler's decision to the end of the connection."""
        await self._decided.wait()
        if self._socket is not None:
            await self._socket.run(self._receive)
        elif self._accepting is not None:
            return  # the client left as it was accepted
        elif self._refused_with == BARE_REFUSAL or not has_extension(self._scope, REFUSALS):
            await self._send_event({"type": "websocket.close", "code": POLICY_VIOLATION})
        else:
            await self.send(self._send_event)
