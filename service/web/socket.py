"""The browser's WebSocket: admitted or refused before the upgrade, then a connection or a relay."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable
from contextlib import AbstractContextManager
from typing import Any, Protocol

from tornado.web import HTTPError
from tornado.websocket import WebSocketClosedError, WebSocketHandler, WebSocketProtocol13

from service import logs
from service.background import spawn
from service.errors import AppError, ServiceError, SessionUnknown, TokenExpired, TokenInvalid
from service.fleet.relay import RelayLink
from service.protocol.messages import Frame, Frames
from service.sessions.connection import Connection
from service.sessions.notice import Notice, app_failed, session_ended
from service.sessions.session import Session
from service.tokens import VerifiedToken
from service.web.base import failure_of
from service.web.frames import FrameProtocol
from service.web.opening import AppHandler
from service.web.requests import request_from_payload
from store.contract import SessionKey
from store.errors import StoreError

__all__ = ("Peer", "SocketHandler", "SocketTransport")

log = logging.getLogger(__name__)

VANISHED = 1012
"""What a browser is told when a relay's other end is gone: come back at once."""

MISSED_PONGS = 3
"""Keep-alive intervals without any sign of life after which a client is gone."""


class Peer(Protocol):
    """Who answers a socket's frames: a connection of a local session, or a relay."""

    def receive(self, frame: Frame) -> Awaitable[None] | None:
        """Take one frame; what is left to be waited for, if anything is. Frames come one after another."""

    async def closed(self) -> None: ...


class SocketTransport(WebSocketHandler):
    """The server side of a WebSocket as a :class:`~service.sessions.connection.Transport`."""

    peer: Peer | None = None
    keep_alive: float = 0.0
    _last_sign: float = 0.0
    _alive: asyncio.TimerHandle | None = None

    def get_websocket_protocol(self) -> FrameProtocol | None:
        protocol = super().get_websocket_protocol()
        return FrameProtocol(self, protocol.params) if isinstance(protocol, WebSocketProtocol13) else None

    @property
    def _protocol(self) -> FrameProtocol | None:
        protocol = self.ws_connection
        return protocol if isinstance(protocol, FrameProtocol) and not protocol.is_closing() else None

    @property
    def unsent(self) -> int:
        protocol = self._protocol
        return 0 if protocol is None else protocol.unsent

    def send(self, frames: Frames) -> None:
        protocol = self._protocol
        if protocol is None:
            log.debug("a message came too late for a closed socket")
        else:
            protocol.send(frames)

    async def drained(self) -> None:
        protocol = self._protocol
        if protocol is not None:
            await protocol.drained()

    def on_message(self, message: str | bytes) -> Awaitable[None] | None:
        """Hand a frame on; what the client did wrong closes this socket and nothing else."""
        self._last_sign = time.monotonic()
        if self.peer is None:
            return None
        try:
            working = self.peer.receive(message)
        except ServiceError as error:
            self._refuse(error)
            return None
        return None if working is None else self._carried_out(working)

    async def _carried_out(self, working: Awaitable[None]) -> None:
        try:
            await working
        except ServiceError as error:
            self._refuse(error)

    def _refuse(self, error: ServiceError) -> None:
        log.warning("closing a socket of %s: %s", self.request.path, error)
        self.close(error.close_code, str(error)[:120])

    def on_pong(self, data: bytes) -> None:
        self._last_sign = time.monotonic()

    def begin(self, peer: Peer) -> None:
        """From here on ``peer`` answers."""
        self.peer = peer
        self.request.headers.clear()  # cookies and all, which an open tab would keep for days
        self.set_nodelay(True)
        self._last_sign = time.monotonic()
        self._keep_alive()

    def _keep_alive(self) -> None:
        """Ping, so that proxies keep the connection and a vanished client is noticed."""
        if self.keep_alive <= 0 or self.ws_connection is None:
            return
        if time.monotonic() - self._last_sign > MISSED_PONGS * self.keep_alive:
            log.info("a client of %s is gone without a word", self.request.path)
            self.close(1001, "no answer to pings")
            return
        try:
            self.ping(b"")
        except WebSocketClosedError:
            return
        self._alive = asyncio.get_running_loop().call_later(self.keep_alive, self._keep_alive)

    def on_close(self) -> None:
        if self._alive is not None:
            self._alive.cancel()
        peer, self.peer = self.peer, None
        if peer is not None:
            spawn(peer.closed())


class SocketHandler(SocketTransport, AppHandler):
    """``/app/ws``, with the token as second subprotocol."""

    token: VerifiedToken

    async def get(self, *args: Any, **kwargs: Any) -> None:
        # Ours first: Tornado 6.6 does not ask check_origin when Origin equals Host.
        self.services.origins.check(self.request.headers.get("Origin"), self.request.host)
        self.token = self.services.tokens.verify(self._offered_token(), self.app.path)
        self.services.tokens.check_user(self.token, self.user)
        self.keep_alive = self.services.settings.keep_alive
        await super().get(*args, **kwargs)

    def turn_away(self) -> None:
        raise HTTPError(403, "log in first")

    def get_compression_options(self) -> dict[str, Any] | None:
        settings = self.services.settings
        level, memory = settings.websocket_compression_level, settings.websocket_compression_mem_level
        if level is None:
            return None
        return {"compression_level": level, **({} if memory is None else {"mem_level": memory})}

    def _offered_token(self) -> str:
        offered = [part.strip() for part in self.request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
        if len(offered) != 2 or offered[0] != "bokeh":
            raise TokenInvalid("the subprotocols are not 'bokeh' and a token")
        return offered[1]

    def check_origin(self, origin: str) -> bool:
        return True  # get() has checked it, by stricter rules

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        return "bokeh"

    async def open(self, *args: str, **kwargs: str) -> None:
        key = SessionKey(self.app.path, self.token.session_id)
        logs.speaking_of(**key.facts)
        try:
            with self._span(key, await self._page_view(key)):
                await self._join(key)
        except AppError as error:
            detail = error.detail if self.services.settings.dev is not None else ""
            self._tell(app_failed(self, detail))
        except SessionUnknown as error:
            log.warning("refusing a socket: %s", error)
            if self.token.minted_by_us:
                self._tell(session_ended(self))
            else:
                self.close(error.close_code, str(error)[:120])
        except Exception as error:
            failure = failure_of(error)
            if failure is None:
                raise
            log.warning("refusing a socket: %s", failure)
            self.close(failure.close_code, str(failure)[:120])

    def _tell(self, notice: Notice) -> None:
        self.begin(notice)
        notice.open()

    def _span(self, key: SessionKey, parent: str) -> AbstractContextManager[None]:
        tracing = self.services.tracing
        return tracing.span("socket", parent=parent, kind="server", app=key.app, session=key.short)

    async def _page_view(self, key: SessionKey) -> str:
        """The span of the page that this socket is of, if it is known (any more) and somebody cares."""
        if not self.services.tracing.on:
            return ""
        try:
            handoff = await self.services.store.handoff(key, self.token.token_id)
        except StoreError as error:
            log.debug("the trace begins here: %s", error)
            return ""
        return "" if handoff is None else handoff.trace

    async def _join(self, key: SessionKey) -> None:
        found = await self.services.router.session(key, self.token.token_id, self._own_request())
        if self.ws_connection is None:
            if isinstance(found, RelayLink):
                found.close()
        elif isinstance(found, Session):
            limit = self.services.settings.websocket_max_message_size
            connection = Connection(found, self, self.token.token_id, max_bytes=limit)
            connection.open()
            self.begin(connection)
        else:
            self.begin(RelayPeer(found))
            spawn(self._relay(found))

    async def _relay(self, link: RelayLink) -> None:
        with self.services.metrics.relays.track_inprogress():
            await carry(link, self)

    def _own_request(self) -> Any:
        """What a session may be begun with when there is no handoff: a Bokeh token brings it along."""
        if self.token.minted_by_us:
            return None
        if self.token.expired(time.time()):
            raise TokenExpired("the token has expired; see --session-token-expiration")
        payload = self.token.payload or {}
        return request_from_payload(self.request, self.services.settings, payload, self.user)


class RelayPeer:
    """Passes a browser's frames on to the owner."""

    def __init__(self, link: RelayLink) -> None:
        self._link = link

    async def receive(self, frame: Frame) -> None:
        try:
            await self._link.send(frame)
        except WebSocketClosedError:
            log.debug("a frame came too late for a closed relay")

    async def closed(self) -> None:
        self._link.close()


async def carry(link: RelayLink, socket: SocketTransport) -> None:
    """Pass the owner's frames on to the browser until one of them closes."""
    while (frame := await link.receive()) is not None:
        socket.send((frame,))
        if socket.unsent:
            await socket.drained()
    socket.close(link.close_code or VANISHED, link.close_reason or "the session's replica is gone")
