"""Tornado's side of a connection, towards an ASGI server: what handlers write becomes events."""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections import deque
from collections.abc import Callable

from tornado.httputil import HTTPConnection, HTTPHeaders, RequestStartLine, ResponseStartLine
from tornado.iostream import StreamClosedError

from service.asgi.events import Event, Scope, Send
from service.asgi.requests import peer_of

__all__ = ("Answer", "response_headers")

_OF_THE_SERVER = frozenset({"connection", "date", "server", "transfer-encoding"})
"""Headers that ASGI servers send themselves."""


class Answer(HTTPConnection):
    """The answer to one HTTP request. :meth:`send` gives it to the ASGI server as it is written.

    ``kind`` is what its events' types begin with.
    """

    def __init__(self, scope: Scope, kind: str = "http.response") -> None:
        self.context = peer_of(scope)
        self._kind = kind
        self._written: deque[tuple[Event, Future[None]]] = deque()
        self._news = asyncio.Event()
        self._finished = False
        self._closed = False

    # -- what handlers call --------------------------------------------------------------------

    def set_close_callback(self, callback: Callable[[], None] | None) -> None:
        """No handler of ours does anything when its client leaves before it is answered."""

    def write_headers(
        self,
        start_line: RequestStartLine | ResponseStartLine,
        headers: HTTPHeaders,
        chunk: bytes | None = None,
    ) -> Future[None]:
        assert isinstance(start_line, ResponseStartLine)
        done = self._put(
            {"type": f"{self._kind}.start", "status": start_line.code, "headers": response_headers(headers)}
        )
        return self.write(chunk) if chunk else done

    def write(self, chunk: bytes) -> Future[None]:
        return self._put({"type": f"{self._kind}.body", "body": bytes(chunk), "more_body": True})

    def finish(self) -> None:
        self._finished = True
        self._news.set()

    def _put(self, event: Event) -> Future[None]:
        done: Future[None] = asyncio.get_running_loop().create_future()
        if self._closed:
            _break(done)
        else:
            self._written.append((event, done))
            self._news.set()
        return done

    # -- towards the server --------------------------------------------------------------------

    async def send(self, send: Send) -> None:
        """Return when all is given to the server, or it takes no more. Raises what ``send`` does then."""
        try:
            while await self._more():
                event, done = self._written.popleft()
                if self._is_last(event):
                    event["more_body"] = False
                try:
                    await send(event)
                finally:
                    if not done.done():
                        done.set_result(None)
                if event.get("more_body") is False:
                    return
            await send({"type": f"{self._kind}.body", "body": b"", "more_body": False})
        finally:
            self._close()

    async def _more(self) -> bool:
        while not self._written and not self._finished:
            self._news.clear()
            await self._news.wait()
        return bool(self._written)

    def _is_last(self, event: Event) -> bool:
        return self._finished and not self._written and "more_body" in event

    def _close(self) -> None:
        self._closed = True
        while self._written:
            _break(self._written.popleft()[1])


def response_headers(headers: HTTPHeaders) -> list[tuple[bytes, bytes]]:
    return [
        (name.lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in headers.get_all()
        if name.lower() not in _OF_THE_SERVER
    ]


def _break(done: Future[None]) -> None:
    """As Tornado's own connections do once their client is gone."""
    done.set_exception(StreamClosedError())
    done.exception()  # nobody has to look at it
