"""Reaching a session's owner from another replica: an internal WebSocket, pages and static files by HTTP.

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

from service.errors import Unavailable
from service.fleet.link import RelayLink, dial
from service.fleet.ownership import Dialled
from service.page_versions import PageVersions
from service.tokens import TokenAuthority
from service.tracing import HEADER, OFF, Tracing
from store.contract import Heartbeat, SessionKey

__all__ = (
    "ADOPT_EPOCH",
    "AUTOLOAD_PATH",
    "FILE_PATH",
    "OTHER_TOKEN_HEADER",
    "PAGE_HEADER",
    "PAGE_PATH",
    "RELAY_PATH",
    "ROOT_HEADER",
    "TOKEN_ID_HEADER",
    "ReplicaClient",
    "result_of",
)

RELAY_PATH = "/_svc/relay"
PAGE_PATH = "/_svc/page"
AUTOLOAD_PATH = "/_svc/autoload"
FILE_PATH = "/_svc/file"
"""Before the path that a static file has for browsers."""

TOKEN_ID_HEADER = "Svc-Token-Id"
OTHER_TOKEN_HEADER = "Svc-Relay-Token"
"""The same token once more, signed with the key before the last rotation, if there was one."""
PAGE_HEADER = "Svc-Page"
"""What the page at the other end of a relay was made with."""
ROOT_HEADER = "Svc-Root"
"""What our URLs begin with, seen from the page that is asked for."""

ADOPT_EPOCH = 0
"""In the place of an epoch: whoever is dialled shall become the owner of a session that nobody holds."""

FILE_TIMEOUT_SECONDS = 20.0
"""How long another replica may take to send a file."""

STATUS_NOT_OWNER = 410
"""HTTP status of a replica that does not own the session it was dialled for."""

MAX_ANSWER_SECONDS = 300.0
"""Seconds until a dialled owner that beats but does not answer is given up."""


class ReplicaClient:
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

    async def relay(
        self, owner: Heartbeat, key: SessionKey, epoch: int, token_id: str, page: PageVersions | None = None
    ) -> RelayLink:
        """Open a relay for a page made with ``page``. Raises what :func:`result_of` understands."""
        with self._tracing.span("relay", kind="client", session=key.short, owner=owner.replica):
            headers = {**self._headers(owner, key, epoch), TOKEN_ID_HEADER: token_id}
            if page is not None:
                headers[PAGE_HEADER] = page.text
            return await dial(
                owner.address + self._prefix + RELAY_PATH,
                headers,
                seconds=MAX_ANSWER_SECONDS,
                limit=self._max_message_size,
                tls=self._tls,
            )

    async def page(self, owner: Heartbeat, key: SessionKey, epoch: int, token: str, root: str) -> str:
        """The session's page, rendered by its owner around ``token``, with URLs that begin with ``root``."""
        with self._tracing.span("page of the owner", kind="client", session=key.short, owner=owner.replica):
            request = self._request(owner, PAGE_PATH, key, epoch)
            request.headers[ROOT_HEADER] = root
            return await self._post(request, token)

    async def autoload(self, owner: Heartbeat, key: SessionKey, epoch: int, asked: str, root: str) -> str:
        """The ``autoload.js`` of the session's owner, for what ``asked`` (JSON) says; see :meth:`page`."""
        with self._tracing.span("autoload of the owner", kind="client", session=key.short):
            request = self._request(owner, AUTOLOAD_PATH, key, epoch)
            request.headers[ROOT_HEADER] = root
            return await self._post(request, asked)

    async def file(self, replica: Heartbeat, path: str, query: str, encoding: str) -> HTTPResponse:
        """A static file of another replica, as it has it. Raises ``HTTPClientError`` and ``OSError``."""
        tokens = self._tokens().mint_file(path, replica.replica, now=self._clock())
        request = HTTPRequest(
            f"{replica.address}{self._prefix}{FILE_PATH}{path}{query}",
            headers={
                "Authorization": f"Bearer {tokens[0]}",
                OTHER_TOKEN_HEADER: tokens[-1],
                "Accept-Encoding": encoding,
            },
            connect_timeout=FILE_TIMEOUT_SECONDS,
            request_timeout=FILE_TIMEOUT_SECONDS,
            decompress_response=False,
            follow_redirects=False,
            ssl_options=self._tls,
        )
        response: HTTPResponse = await self._http().fetch(request)
        return response

    async def _post(self, request: HTTPRequest, body: str) -> str:
        request.method, request.body = "POST", body
        response: HTTPResponse = await self._http().fetch(request)
        return response.body.decode()

    def close(self) -> None:
        if self._client is not None:
            self._client.close()

    def _request(self, owner: Heartbeat, path: str, key: SessionKey, epoch: int) -> HTTPRequest:
        return HTTPRequest(
            owner.address + self._prefix + path,
            headers=self._headers(owner, key, epoch),
            connect_timeout=MAX_ANSWER_SECONDS,
            request_timeout=MAX_ANSWER_SECONDS,
            ssl_options=self._tls,
        )

    def _headers(self, owner: Heartbeat, key: SessionKey, epoch: int) -> dict[str, str]:
        tokens = self._tokens().mint_relay(key.app, key.session_id, epoch, owner.replica, now=self._clock())
        return {"Authorization": f"Bearer {tokens[0]}", OTHER_TOKEN_HEADER: tokens[-1], **self._trace()}

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
        case HTTPClientError(code=code) if code == STATUS_NOT_OWNER:
            return Dialled.NOT_OWNER
        case HTTPClientError(code=403 | 404):
            return Dialled.DENIED
        case HTTPClientError(code=599) | ConnectionError():  # 599: the connection broke
            return Dialled.REFUSED
        case OSError():
            return Dialled.UNREACHED
        case HTTPClientError(code=code):
            raise Unavailable(f"the session's owner answered {code}")
        case _:
            raise error
