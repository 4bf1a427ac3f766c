"""The server inside another program: a Tornado app, a script, a notebook, a thread beside Flask.

Takes what ``bokeh.server.server.Server`` takes, so that programs which embed that one need to
change an import only; ``redis=...`` makes it one replica of many.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import webbrowser
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from typing import Any

from bokeh.application import Application
from bokeh.application.handlers import FunctionHandler
from bokeh.document import Document
from tornado.ioloop import IOLoop

from service.apps.loading import apps_from_applications
from service.apps.panel import application_for
from service.errors import ConfigError
from service.lines import check_bokeh
from service.server import Server as Replica
from service.settings import Settings, from_arguments
from service.tokens import SessionIds
from service.web.auth import Auth

__all__ = ("Server",)

log = logging.getLogger(__name__)

ModifyDoc = Callable[[Document], None]
Applications = Mapping[str, Application | ModifyDoc] | Application | ModifyDoc

_SAME_BUT_NAMED = {
    "extra_websocket_origins": "allow_websocket_origin",
    "xsrf_cookies": "enable_xsrf_cookies",
    "websocket_max_message_size_bytes": "websocket_max_message_size",
}
_OPPOSITES = {"use_index": "disable_index", "redirect_root": "disable_index_redirect"}


class Server:
    """One replica on a Tornado loop that somebody else runs, or that :meth:`run_until_shutdown` does.

    ``applications``: a function that fills a Document, an ``Application``, or several of either by
    URL path. ``options`` are those of ``svc serve`` by the names of :class:`service.settings.Settings`
    (seconds), or by Bokeh's names (``keep_alive_milliseconds``, ...); what is not given comes from
    the environment as usual. Listens from here on; answers once :meth:`start` got it going.

    Raises ConfigError.
    """

    def __init__(
        self,
        applications: Applications,
        io_loop: IOLoop | None = None,
        *,
        redis: str | None = None,
        auth_provider: object | None = None,
        extra_patterns: Iterable[Any] = (),
        **options: Any,
    ) -> None:
        if redis is not None:
            options["redis"] = redis
        settings = settings_of(options)
        if settings.num_procs > 1:
            raise ConfigError("num_procs is for svc serve: a program cannot be in several processes")
        check_bokeh()
        self._io_loop = io_loop or IOLoop.current()
        self._replica = Replica(
            settings,
            apps_from_applications(_by_path(applications)),
            auth=None if auth_provider is None else _auth_of(auth_provider),
            extra_routes=list(extra_patterns),
        )
        self._starting: asyncio.Task[None] | None = None

    # -- what it is ----------------------------------------------------------------------------

    @property
    def io_loop(self) -> IOLoop:
        return self._io_loop

    @property
    def port(self) -> int:
        """Where it listens, also when 0 was asked for."""
        return self._replica.port

    @property
    def address(self) -> str | None:
        return self._replica.settings.address

    @property
    def prefix(self) -> str:
        return self._replica.settings.prefix

    @property
    def url(self) -> str:
        """Of all apps, with a slash at the end."""
        return self._replica.base_url + "/"

    def get_sessions(self, path: str | None = None) -> list[Any]:
        """The live sessions of the app at ``path``, or of the only one. Raises ValueError."""
        apps = self._replica.apps
        if path is None:
            if len(apps) != 1:
                raise ValueError("there are several apps: name one's path")
            (path,) = apps
        if path not in apps:
            raise ValueError(f"there is no app at {path}")
        return list(apps[path].live_sessions())

    # -- its life ------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to serve as soon as the loop runs. Callable from any thread, once."""
        self._io_loop.add_callback(self._begin)

    async def started(self) -> None:
        """Return when it serves. Raises what kept it from it."""
        if self._starting is None:
            await asyncio.sleep(0)
            self._begin()
        assert self._starting is not None
        await asyncio.shield(self._starting)

    def stop(self, wait: bool = True) -> None:
        """Stop, and wait for that, unless this is the loop's own thread: there it stops soon."""
        loop = _asyncio_loop(self._io_loop)
        if not loop.is_running():
            loop.run_until_complete(self.stopped())
            return
        stopping = asyncio.run_coroutine_threadsafe(self.stopped(), loop)
        if wait and not _is_current(loop):
            stopping.result()

    async def stopped(self) -> None:
        """Stop; return when all hooks have run and all is given back."""
        if self._starting is not None and not self._starting.done():
            self._starting.cancel()
            await asyncio.wait([self._starting])
        await self._replica.stop()

    unlisten = stop

    def run_until_shutdown(self) -> None:
        """Start, run the loop until SIGTERM or SIGINT, and stop. For a program's main thread."""
        loop = _asyncio_loop(self._io_loop)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._io_loop.stop)
        self.start()
        try:
            self._io_loop.start()
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)
            loop.run_until_complete(self.stopped())

    def show(self, path: str = "/", browser: str | None = None, new: str = "tab") -> None:
        """Open the app at ``path`` in a browser."""
        url = self.url.rstrip("/") + path
        webbrowser.get(browser).open(url, new={"same": 0, "window": 1, "tab": 2}.get(new, 2))

    def _begin(self) -> None:
        if self._starting is None:
            self._starting = asyncio.ensure_future(self._replica.start())
            self._starting.add_done_callback(_report)


def _report(starting: asyncio.Task[None]) -> None:
    if not starting.cancelled() and starting.exception() is not None:
        log.error("the server cannot start: %s", starting.exception())


def _by_path(applications: Applications) -> dict[str, Application]:
    if isinstance(applications, Mapping):
        return {path: _application(found) for path, found in applications.items()}
    return {"/": _application(applications)}


def _application(found: Application | ModifyDoc) -> Application:
    return found if isinstance(found, Application) else application_for(FunctionHandler(found))


def settings_of(options: Mapping[str, Any]) -> Settings:
    """Settings from keyword arguments by our names or Bokeh's; the environment fills in the rest."""
    given = dict(option for name, value in options.items() for option in _translated(name, value))
    given |= _session_ids(options)
    known = {field.name for field in fields(Settings)}
    unknown = sorted(given.keys() - known)
    if unknown:
        raise ConfigError(f"there is no option {unknown[0]}")
    others = from_arguments({}, {k: v for k, v in os.environ.items() if k != "SVC_DEV"})
    values = {field.name: getattr(others, field.name) for field in fields(Settings)}
    return Settings(**{**values, **given})


def _translated(name: str, value: Any) -> list[tuple[str, Any]]:
    if value is None or name in ("sign_sessions", "generate_session_ids", "io_loop", "absolute_url"):
        return []
    if name.endswith("_milliseconds"):
        return [(name.removesuffix("_milliseconds"), value / 1000)]
    if name in _OPPOSITES:
        return [(_OPPOSITES[name], not value)]
    if name == "secret_key" and isinstance(value, bytes):
        value = value.decode()
    if name == "prefix":
        path = value.strip("/")
        value = f"/{path}" if path else ""
    if isinstance(value, list | set):
        value = tuple(value)
    return [(_SAME_BUT_NAMED.get(name, name), value)]


def _session_ids(options: Mapping[str, Any]) -> dict[str, SessionIds]:
    """Bokeh has two switches for the three modes."""
    if options.get("sign_sessions") is None:
        return {}
    if not options["sign_sessions"]:
        return {"session_ids": SessionIds.UNSIGNED}
    generated = options.get("generate_session_ids", True)
    return {"session_ids": SessionIds.SIGNED if generated else SessionIds.EXTERNAL_SIGNED}


def _auth_of(provider: object) -> Auth:
    """From one of ours, or from an ``AuthProvider`` of Bokeh's."""
    if isinstance(provider, Auth):
        return provider
    names = {field.name: field.name for field in fields(Auth)}
    names |= {"LoginHandler": "login_handler", "LogoutHandler": "logout_handler"}
    try:
        return Auth(**{ours: getattr(provider, theirs, None) for ours, theirs in names.items()})
    except ValueError as error:
        raise ConfigError(f"auth_provider: {error}") from error


def _asyncio_loop(io_loop: IOLoop) -> asyncio.AbstractEventLoop:
    loop: asyncio.AbstractEventLoop = io_loop.asyncio_loop  # type: ignore[attr-defined]
    return loop


def _is_current(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False
