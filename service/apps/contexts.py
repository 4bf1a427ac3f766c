"""What app code sees of the server: server context, session context and request.

The public attributes are those of ``bokeh.server.contexts`` (bokeh 3.9), which app code and
Panel rely on.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, Token
from dataclasses import replace
from typing import Any, Protocol
from urllib.parse import urlsplit

from bokeh.application.application import Application, ServerContext, SessionContext
from bokeh.core.types import ID
from bokeh.document import Document
from tornado.ioloop import IOLoop

from service.apps.state import SessionState
from store.contract import PageRequest

__all__ = (
    "AppServerContext",
    "AppSessionContext",
    "RequestView",
    "SessionLike",
    "SessionPart",
    "begin_draft",
    "current_app",
    "end_draft",
)

_draft: ContextVar[bool] = ContextVar("draft", default=False)
"""Whether this context has a Document to itself that is no session's yet."""


current_app: ContextVar[AppServerContext | None] = ContextVar("current_app", default=None)
"""Whose code this context runs."""


def begin_draft(document: Document | None) -> Token[bool] | None:
    """Before work on ``document`` on a thread of the pool; afterwards comes :func:`end_draft`."""
    context: Any = None if document is None else document.session_context
    return None if context is None or context.session is not None else _draft.set(True)


def end_draft(begun: Token[bool] | None) -> None:
    if begun is not None:
        _draft.reset(begun)


class SessionLike(Protocol):
    """What a session context needs of its session."""

    @property
    def destroyed(self) -> bool: ...

    async def with_document_locked(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any: ...


class SessionPart(Protocol):
    """What hangs on a session because its code has asked for it."""

    def begin(self) -> None:
        """The session is whole. On its event loop."""

    def end(self) -> None:
        """The session is gone from here. On its event loop."""


class AppServerContext(ServerContext):
    """``session_context.server_context`` and the argument of the server hooks."""

    def __init__(
        self, live_sessions: Callable[[], Iterable[Any]], path: str, application: Application
    ) -> None:
        self._live_sessions = live_sessions
        self.application_context = ApplicationView(self, path, application)
        self.shared_values: Any = None
        """What the app's code shares with other replicas; None where no server runs it."""
        self.tasks: Any = None
        """What the fleet runs for the app on one replica at a time; None as above."""
        self.topics: Any = None
        """What the app's code publishes messages with; None as above."""
        self.session_updates: dict[str, Callable[..., Any]] = {}
        """Functions by which the app's code updates the sessions of all replicas, by name."""
        self.beginnings: list[Callable[[AppSessionContext], None]] = []
        """Each is told of each session of the app that begins to live here, just before it does."""
        self.results: Any = None
        """What functions of the app have computed for the fleet; None as above."""

        self.jobs: Any = None
        """What workers run for the app; None as above."""

    def shares(self, values: Any, tasks: Any = None, results: Any = None, jobs: Any = None) -> None:
        """From here on the app's code can share these."""
        self.shared_values, self.tasks, self.results, self.jobs = values, tasks, results, jobs

    def publishes(self, topics: Any) -> None:
        """From here on the app's code can publish messages with these."""
        self.topics = topics

    def on_this_loop(self) -> None:
        """From here on the app is served by the event loop that runs now."""
        self.application_context.serve_on(IOLoop.current())

    @property
    def sessions(self) -> list[Any]:
        """The live sessions of this app on this replica."""
        return list(self._live_sessions())


class ApplicationView:
    """What Panel reads of Bokeh's ``ApplicationContext``."""

    def __init__(self, server_context: AppServerContext, path: str, application: Application) -> None:
        self.server_context = server_context
        self.application = application
        self._io_loop: IOLoop | None = None
        self.url = self._url = path

    def serve_on(self, io_loop: IOLoop) -> None:
        self._io_loop = io_loop

    @property
    def io_loop(self) -> IOLoop | None:
        """Where the Documents' changes are made: Panel (1.10) knows other threads by it.

        None where an app is built: Panel then changes models right away, as on the event loop, though there
        is no session yet whose lock it could ask about.
        """
        return None if _draft.get() else self._io_loop

    @property
    def sessions(self) -> list[Any]:
        return self.server_context.sessions


class RequestView:
    """``session_context.request``: the page request the session was opened with."""

    def __init__(self, request: PageRequest) -> None:
        self._request = request
        self.arguments = {
            name: list(values)
            for name, values in request.arguments.items()
            if name not in ("bokeh-session-id", "bokeh-token")
        }
        self.cookies = dict(request.cookies)
        self.headers = dict(request.headers)
        self._own_header = "Cookie" not in self.headers
        self.set_cookies(request.cookies)
        self.method = request.method
        # Pages are asked for with GET, which has no body.
        self.body = b""
        self.body_arguments: dict[str, list[bytes]] = {}
        self.files: dict[str, list[Any]] = {}
        self.uri = request.uri
        self.host = request.host
        self.protocol = request.protocol
        self.remote_ip = request.remote_ip
        self.user = request.user
        # As on requests of Panel (1.9 and 1.10): what a path that is a pattern stands for.
        self.app_path = request.app_path or None
        self.route_params = dict(request.route_params)

    def set_cookies(self, cookies: Mapping[str, str]) -> None:
        """From here on it has these, and no others."""
        self.cookies.clear()
        self.cookies.update(cookies)
        if self._own_header:
            self.headers.pop("Cookie", None)
            if cookies:
                self.headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())

    @property
    def path(self) -> str:
        return urlsplit(self.uri).path

    @property
    def query(self) -> str:
        return urlsplit(self.uri).query

    @property
    def host_name(self) -> str:
        """The host without its port."""
        return urlsplit(f"//{self.host}").hostname or ""

    @property
    def query_arguments(self) -> dict[str, list[bytes]]:
        """All there are."""
        return self.arguments

    def full_url(self) -> str:
        return f"{self.protocol}://{self.host}{self.uri}"


class AppSessionContext(SessionContext):
    """``doc.session_context`` and the argument of the session hooks."""

    def __init__(
        self,
        session_id: str,
        server_context: ServerContext,
        document: Document,
        request: PageRequest,
        logout_url: str | None = None,
        *,
        state: SessionState | None = None,
    ) -> None:
        super().__init__(server_context, ID(session_id))
        # Bokeh's DocumentLifecycleHandler and Panel read ``_document``.
        self._document = document
        self._request = RequestView(request)
        self._payload = request
        self._logout_url = logout_url
        self._session: SessionLike | None = None
        self._ended = False
        self._loop: asyncio.AbstractEventLoop | None = None
        """Of the session, once there is one."""
        self.parts: list[SessionPart] = []
        self.repeating = False
        """Callbacks run for what clients did before the session came here: what follows elsewhere is done."""
        self.starts_over = False
        """The Document is as the app has built it: what came of earlier lives of the session is not in it."""
        self.state = state if state is not None else SessionState({})
        """See :func:`service.session_state`."""
        # bokeh 3.9: ``Document.session_context`` dereferences this.
        document._session_context = weakref.ref(self)

    def set_cookies(self, cookies: Mapping[str, str]) -> None:
        """From here on the request has these, and no others."""
        self._payload = replace(self._payload, cookies=cookies)
        self._request.set_cookies(cookies)

    @property
    def cookies(self) -> Mapping[str, str]:
        """Those of the request, now."""
        return self._payload.cookies

    @contextmanager
    def repeats(self) -> Iterator[None]:
        """Inside, what clients did is done once more to what the app has built anew."""
        self.repeating = True
        try:
            yield
        finally:
            self.repeating = False

    def keep(self, part: SessionPart) -> None:
        """``part`` begins and ends with the session. On any thread."""
        if self._ended:
            part.end()
            return
        self.parts.append(part)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(part.begin)

    def attach(self, session: SessionLike) -> None:
        for begin in tuple(getattr(self.server_context, "beginnings", ())):
            begin(self)
        self._session, self._loop = session, asyncio.get_running_loop()
        for part in self.parts:
            part.begin()

    def detach(self) -> None:
        """The session is destroyed, or what was built becomes none."""
        self._session, self._ended = None, True
        for part in self.parts:
            part.end()
        self.parts.clear()
        self.state.changed = lambda key: None

    @property
    def session(self) -> Any:
        return self._session

    @property
    def document(self) -> Document:
        return self._document

    @property
    def request(self) -> RequestView:
        return self._request

    @property
    def token_payload(self) -> dict[str, Any]:
        """Headers, cookies and arguments of the request and what ``process_request`` added."""
        payload = self._payload
        return {
            "headers": dict(payload.headers),
            "cookies": dict(payload.cookies),
            "arguments": {name: list(values) for name, values in payload.arguments.items()},
            **payload.payload,
        }

    @property
    def logout_url(self) -> str | None:
        return self._logout_url

    @property
    def destroyed(self) -> bool:
        return self._ended or (self._session is not None and self._session.destroyed)

    async def with_locked_document(self, func: Callable[[Document], Awaitable[None]]) -> None:
        """Run ``func(document)`` under the session's lock (which is ours anyway during creation)."""
        if self._session is not None:
            await self._session.with_document_locked(func, self._document)
        elif not self._ended:
            await func(self._document)
