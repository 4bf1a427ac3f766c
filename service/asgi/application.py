"""``app(...)``: one replica behind the ASGI interface, from its start with the host's to its stop."""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bokeh.application import Application as BokehApplication
from tornado.httputil import HTTPInputError

from service.apps.app import App
from service.apps.panel import applications_of_panel
from service.apps.panel_login import with_panels_config
from service.asgi.answers import Answer
from service.asgi.events import Event, Receive, Scope, Send
from service.asgi.handshake import EventHandshake
from service.asgi.requests import request_of, routed
from service.asgi.users import HostAuth, UserOf
from service.background import spawn
from service.close_codes import BAD_REQUEST
from service.embedding import LiveSessions, apps_of, auth_of, settings_of
from service.errors import ConfigError
from service.lines import check_bokeh
from service.listening import Hosted
from service.server import Server
from service.settings import Settings
from service.web.auth import Auth
from service.web.base import plain_page
from service.web.origins import SameHost

__all__ = ("Application", "app")

log = logging.getLogger(__name__)

START_SECONDS = 10.0
"""After which a host may begin though our store has not answered; our pages say 503 until it does."""

MAX_BODY_BYTES = 100 * 1024 * 1024
"""Of a request; what Tornado's own server takes."""

_OF_THE_HOST = {
    "port": "give the port to the ASGI server; relay_port is for other replicas",
    "unix_socket": "give the path to the ASGI server",
    "num_procs": "let the ASGI server begin the processes (uvicorn --workers), and give them one Redis",
    "use_xheaders": "let the ASGI server read them (uvicorn --proxy-headers)",
    "dev": "is for svc serve; ASGI servers have their own way to reload (uvicorn --reload)",
    "show": "is for svc serve",
}
"""Options that have no effect here, and what to do instead."""


def app(
    applications: Mapping[str, Any] | Any,
    *,
    redis: str | None = None,
    user: UserOf | None = None,
    login_url: str | None = None,
    auth_policy: object | None = None,
    auth_provider: object | None = None,
    relay_port: int = 0,
    **options: Any,
) -> Application:
    """An ASGI application that serves ``applications``.

    They are functions that fill a Document, ``Application`` objects, paths of apps, or what Panel shows: its
    objects, and functions that return one; by URL path, or one of these. ``user``, plain or async, finds the
    user of a request in its scope; who has none is sent to ``login_url``. ``relay_port`` is where other
    replicas reach this one. ``options`` are those of ``svc serve``, as :class:`service.Server` takes them.

    Raises ConfigError and AppLoadError.
    """
    check_bokeh()
    for name in options.keys() & _OF_THE_HOST.keys():
        raise ConfigError(f"{name}: {_OF_THE_HOST[name]}")
    if redis is not None:
        options["redis"] = redis
    # Nobody comes here any more when the host stops us: there is nothing to wait for.
    settings = with_panels_config(settings_of({"drain_delay": 0.0, **options}))
    auth = _auth(settings, user, login_url, auth_policy, auth_provider)
    return Application(settings, _apps(applications, settings), auth, relay_port)


class Application(LiveSessions):
    """One replica, as an ASGI application.

    It begins with the host's lifespan: by itself where it is the application that the ASGI server runs, and
    with :meth:`lifespan` where it is mounted. Otherwise with its first request, and then nothing drains it.
    """

    def __init__(
        self, settings: Settings, apps: Mapping[str, App], auth: Auth | None, relay_port: int = 0
    ) -> None:
        self.settings = settings
        self._apps = apps
        self._auth = auth
        self._relay_port = relay_port
        self._server: Server | None = None
        self._of_lifespan = False
        """Whether the host says when it stops."""
        self._starting: asyncio.Task[None] | None = None
        self._stopping: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        """Whether an operator wants it to drain."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match scope["type"]:
            case "lifespan":
                await self._lifespan_events(receive, send)
            case "http":
                await self._http(scope, receive, send)
            case "websocket":
                await self._websocket(scope, receive, send)
            case other:
                raise ValueError(f"an ASGI scope of an unknown type: {other}")

    # -- its life ------------------------------------------------------------------------------

    @asynccontextmanager
    async def lifespan(self, host: object = None) -> AsyncIterator[None]:
        """Runs while the host does: ``FastAPI(lifespan=bokeh.lifespan)``, or within a lifespan of its own."""
        try:
            await self.start()
            yield
        finally:
            await self.stop()

    async def start(self) -> None:
        """Begin to serve; return when it does, or when the store has not answered in time.

        Raises what keeps it from serving.
        """
        if self._stopping is not None:  # as tests do, with one lifespan after another
            await self.stop()
            self._server = self._starting = self._stopping = None
        starting = self._begin()
        self._of_lifespan = True
        await asyncio.wait([starting], timeout=START_SECONDS)
        if starting.done():
            starting.result()
        else:
            log.warning("still starting: pages are answered 503 until that is done")

    async def stop(self) -> None:
        """Move the sessions to other replicas, run the hooks, and give everything back."""
        if self._starting is not None and self._stopping is None:
            self._stopping = spawn(self._stop())
        if self._stopping is not None:
            await asyncio.shield(self._stopping)

    @property
    def server(self) -> Server:
        """The replica. Raises RuntimeError before it has been started."""
        if self._server is None:
            raise RuntimeError("the replica has not begun: that is for the host's lifespan")
        return self._server

    def _apps_here(self) -> Mapping[str, App]:
        return self.server.apps

    def _begin(self) -> asyncio.Task[None]:
        if self._starting is None:
            # Not before: a process that is forked later would share its sockets and threads.
            origins = None if self.settings.allow_websocket_origin else SameHost()
            listener = Hosted(self.settings, self._relay_port)
            self._server = Server(
                self.settings, self._apps, auth=self._auth, listener=listener, origins=origins
            )
            self._starting = asyncio.get_running_loop().create_task(self._start(self._server))
            self._starting.add_done_callback(_report)
        return self._starting

    async def _start(self, server: Server) -> None:
        await server.start()
        self._watching = spawn(self._stop_when_asked(server))
        log.info("replica %s serves %s inside another ASGI program", server.replica, ", ".join(server.apps))

    async def _stop_when_asked(self, server: Server) -> None:
        """Stop the process, as ``svc serve``: whoever runs it starts it anew, if there shall be one."""
        await server.asked_to_stop.wait()
        log.warning("asked to drain: ending this process as SIGTERM does")
        if not self._of_lifespan:
            self._watching = None  # it is this task, which has to see the end of that
            await self.stop()
        signal.raise_signal(signal.SIGTERM)

    async def _stop(self) -> None:
        begun = [task for task in (self._starting, self._watching) if task is not None]
        for task in begun:
            task.cancel()
        await asyncio.wait(begun)
        await self.server.stop()

    async def _lifespan_events(self, receive: Receive, send: Send) -> None:
        while True:
            event = await receive()
            if event["type"] == "lifespan.startup":
                try:
                    await self.start()
                except Exception as error:  # noqa: BLE001 - whatever it is, the host is told and ends
                    await self.stop()
                    await send({"type": "lifespan.startup.failed", "message": str(error)})
                    return
                await send({"type": "lifespan.startup.complete"})
            elif event["type"] == "lifespan.shutdown":
                await self.stop()
                await send({"type": "lifespan.shutdown.complete"})
                return

    # -- requests ------------------------------------------------------------------------------

    def _ready(self) -> Server:
        """The replica, which begins with its first request where nobody has begun it before."""
        if self._server is None:
            log.warning(
                "no ASGI lifespan reached this application, so it starts with its first request, and its "
                "sessions are not moved at shutdown: pass its lifespan to the host (docs/asgi.md)"
            )
            self._begin()
        return self.server

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        server = self._ready()
        prefix = self.settings.prefix
        if not routed(scope, prefix):
            # What is relative in our pages begins at a slash, which some hosts leave out.
            await _redirect(quote(scope["root_path"]) + "/", scope, send)
            return
        answer = Answer(scope)
        body = await _body(receive)
        if body is None:
            await _refuse(413, "Payload Too Large", "The request is too large.", send)
            return
        try:
            request = request_of(scope, body, answer, prefix)
        except HTTPInputError as error:
            await _refuse(400, "Bad Request", str(error), send)
            return
        server.application.find_handler(request).execute()
        try:
            await answer.send(send)
        except OSError as error:
            log.debug("a client disconnected before its answer: %s", error)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        server = self._ready()
        if (await receive())["type"] != "websocket.connect":
            return
        handshake = EventHandshake(scope, receive, send)
        try:
            request = request_of({**scope, "method": "GET"}, b"", handshake, self.settings.prefix)
        except HTTPInputError as error:
            log.warning("refusing a WebSocket: %s", error)
            await send({"type": "websocket.close", "code": BAD_REQUEST.code})
            return
        server.application.find_handler(request).execute()
        await handshake.run()


async def _body(receive: Receive) -> bytes | None:
    """A request's body; None if it is too large."""
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        event = await receive()
        if event["type"] != "http.request":  # the client has left
            break
        parts.append(event.get("body", b""))
        size += len(parts[-1])
        if size > MAX_BODY_BYTES:
            return None
        more = event.get("more_body", False)
    return b"".join(parts)


async def _redirect(path: str, scope: Scope, send: Send) -> None:
    query: bytes = scope.get("query_string", b"")
    location = path.encode() + (b"?" + query if query else b"")
    await _answer(307, [(b"location", location)], b"", send)


async def _refuse(status: int, title: str, text: str, send: Send) -> None:
    headers = [(b"content-type", b"text/html; charset=utf-8")]
    await _answer(status, headers, plain_page(title, text).encode(), send)


async def _answer(status: int, headers: list[tuple[bytes, bytes]], body: bytes, send: Send) -> None:
    sized = [*headers, (b"content-length", str(len(body)).encode())]
    start: Event = {"type": "http.response.start", "status": status, "headers": sized}
    await send(start)
    await send({"type": "http.response.body", "body": body})


def _apps(applications: Mapping[str, Any] | Any, settings: Settings) -> dict[str, App]:
    """Raises ConfigError, and AppLoadError for files."""
    by_path = applications if isinstance(applications, Mapping) else {"/": applications}
    panels = {path: each for path, each in by_path.items() if not _fills_document(each)}
    found = {path: Path(each) if isinstance(each, str) else each for path, each in by_path.items()}
    try:
        found |= applications_of_panel(panels, None, True) if panels else {}
    except ImportError as error:
        raise ConfigError(f"what is served at {next(iter(panels))} needs Panel: {error}") from error
    return apps_of(found, settings)


def _fills_document(served: Any) -> bool:
    """Or else Panel knows how to show it, or what it returns."""
    if isinstance(served, BokehApplication | str | os.PathLike):
        return True
    if isinstance(served, type) or not callable(served):
        return False
    try:
        inspect.signature(served).bind(None)
    except TypeError:
        return False
    except ValueError:  # it is not written in Python
        return True
    return True


def _auth(
    settings: Settings,
    user: UserOf | None,
    login_url: str | None,
    policy: object | None,
    provider: object | None,
) -> Auth | None:
    if settings.basic_auth or settings.oauth_provider:
        raise ConfigError(
            "Panel's logins (basic_auth, oauth_provider) are for svc serve: here the host logs users in, "
            "and user=... says who they are"
        )
    module = settings.auth_module
    ways = {"user": user, "auth_policy": policy, "auth_provider": provider, "auth_module": module}
    given = [name for name, way in ways.items() if way is not None]
    if len(given) > 1:
        raise ConfigError(f"give {' or '.join(given)}, not both")
    if login_url is not None and user is None:
        raise ConfigError("login_url is for those whom user does not know: give that, too")
    if module is not None:
        return None
    return auth_of(provider, policy) or HostAuth(user_of=user, login_at=login_url)


def _report(starting: asyncio.Task[None]) -> None:
    if not starting.cancelled() and starting.exception() is not None:
        log.error("the replica cannot start: %s", starting.exception())
