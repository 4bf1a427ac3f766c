"""Reaching a session's owner from another replica: an internal WebSocket, and pages by HTTP.

Frames pass through untouched and unread; whoever dials shows a short-lived signed token that
names the session, its epoch and the replica it is meant for.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Any

from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest, HTTPResponse
from tornado.simple_httpclient import SimpleAsyncHTTPClient
from tornado.websocket import WebSocketClientConnection, websocket_connect

from service.errors import Unavailable
from service.fleet.ownership import Dialled
from service.protocol.messages import Frame
from service.tokens import TokenAuthority
from service.tracing import HEADER, OFF, Tracing
from store.contract import Heartbeat, SessionKey

__all__ = (
    "OTHER_TOKEN_HEADER",
    "PAGE_PATH",
    "RELAY_PATH",
    "TOKEN_ID_HEADER",
    "Dialer",
    "RelayLink",
    "result_of",
)

RELAY_PATH = "/_svc/relay"
PAGE_PATH = "/_svc/page"
TOKEN_ID_HEADER = "Svc-Token-Id"
OTHER_TOKEN_HEADER = "Svc-Relay-Token"
"""The same token once more, signed with the key before the last rotation, if there was one."""

GONE = 410
"""HTTP status of a replica that does not own the session it was dialled for."""

LONGEST_ANSWER = 300.0
"""Seconds until a dialled owner that beats but does not answer is given up."""


class RelayLink:
    """An open relay to a session's owner."""

    def __init__(self, connection: WebSocketClientConnection) -> None:
        self._connection = connection

    async def send(self, frame: Frame) -> None:
        """Pass one frame on. Raises ``tornado.websocket.WebSocketClosedError`` when closed."""
        await self._connection.write_message(frame, binary=isinstance(frame, bytes))

    async def receive(self) -> Frame | None:
        """The owner's next frame, None when it closed."""
        return await self._connection.read_message()

    @property
    def close_code(self) -> int | None:
        """Why the owner closed; None when it just vanished."""
        return self._connection.close_code

    @property
    def close_reason(self) -> str | None:
        return self._connection.close_reason

    def close(self) -> None:
        self._connection.close()


class Dialer:
    """Makes authenticated requests to other replicas. ``clock`` is one on which all of them agree."""

    def __init__(
        self,
        tokens: Callable[[], TokenAuthority],
        clock: Callable[[], float],
        prefix: str,
        max_message_size: int,
        tls: ssl.SSLContext | None = None,
        tracing: Tracing = OFF,
    ) -> None:
        self._tokens = tokens
        self._clock = clock
        self._prefix = prefix
        self._max_message_size = max_message_size
        self._tls = tls
        self._tracing = tracing
        self._client: AsyncHTTPClient | None = None

    async def relay(self, owner: Heartbeat, key: SessionKey, epoch: int, token_id: str) -> RelayLink:
        """Open a relay. Raises what :func:`result_of` understands."""
        with self._tracing.span("relay", kind="client", session=key.short, owner=owner.replica):
            request = self._request(owner, RELAY_PATH, key, epoch)
            request.headers[TOKEN_ID_HEADER] = token_id
            request.url = "ws" + request.url.removeprefix("http")
            return RelayLink(await websocket_connect(request, max_message_size=self._max_message_size))

    async def page(self, owner: Heartbeat, key: SessionKey, epoch: int, token: str) -> str:
        """The session's page, rendered by its owner around ``token``."""
        with self._tracing.span("page of the owner", kind="client", session=key.short, owner=owner.replica):
            request = self._request(owner, PAGE_PATH, key, epoch)
            request.method, request.body = "POST", token
            response: HTTPResponse = await self._http().fetch(request)
            return response.body.decode()

    def close(self) -> None:
        if self._client is not None:
            self._client.close()

    def _request(self, owner: Heartbeat, path: str, key: SessionKey, epoch: int) -> HTTPRequest:
        tokens = self._tokens().mint_relay(key.app, key.session_id, epoch, owner.replica, now=self._clock())
        return HTTPRequest(
            owner.address + self._prefix + path,
            headers={"Authorization": f"Bearer {tokens[0]}", OTHER_TOKEN_HEADER: tokens[-1], **self._trace()},
            connect_timeout=LONGEST_ANSWER,
            request_timeout=LONGEST_ANSWER,
            ssl_options=self._tls,
        )

    def _trace(self) -> dict[str, str]:
        here = self._tracing.here()
        return {HEADER: here} if here else {}

    def _http(self) -> AsyncHTTPClient:
        if self._client is None:
            self._client = SimpleAsyncHTTPClient(force_instance=True, max_clients=1000)
        return self._client


def result_of(attempt: asyncio.Future[Any]) -> Dialled:
    """What a finished attempt says about the owner. Re-raises what says nothing about it."""
    error = attempt.exception()
    match error:
        case None:
            return Dialled.ACCEPTED
        case HTTPClientError(code=code) if code == GONE:
            return Dialled.NOT_OWNER
        case HTTPClientError(code=403 | 404):
            return Dialled.DENIED
        case HTTPClientError(code=599) | OSError():  # 599: the connection broke
            return Dialled.REFUSED
        case HTTPClientError(code=code):
            raise Unavailable(f"the session's owner answered {code}")
        case _:
            raise error
