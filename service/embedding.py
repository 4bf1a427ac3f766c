"""The server inside another program: a Tornado app, a script, a notebook, a thread beside Flask.

Takes what ``bokeh.server.server.Server`` takes, so that programs which embed that one need to
change an import only; ``redis=...`` makes it one replica of many.
"""

from __future__ import annotations

import asyncio
import logging
import os
import webbrowser
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from inspect import signature
from typing import Any

from bokeh.application import Application
from bokeh.application.handlers import FunctionHandler
from bokeh.document import Document
from bokeh.settings import settings as bokeh_settings
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop

from service import stop_signals
from service.apps.app import App, known_sources
from service.apps.loading import apps_from_applications, with_app_at_root
from service.apps.panel import application_of_function
from service.errors import ConfigError
from service.lines import check_bokeh
from service.server import Server as Replica
from service.settings import OPTIONS, Settings, from_arguments
from service.tokens import SessionIds
from service.web.auth import Auth
from service.web.policies import PolicyAuth, is_policy

__all__ = ("LiveSessions", "ModifyDoc", "Server", "apps_of", "auth_of", "settings_of")

log = logging.getLogger(__name__)

ModifyDoc = Callable[[Document], None]
Applied = Application | ModifyDoc | os.PathLike[str]
Applications = Mapping[str, Applied] | Applied

_SAME_BUT_NAMED = {
    "extra_websocket_origins": "allow_websocket_origin",
    "login_template": "basic_login_template",
    "xsrf_cookies": "enable_xsrf_cookies",
    "websocket_max_message_size_bytes": "websocket_max_message_size",
}
_OF_BOKEHS_SETTINGS = (
    "auth_module", "cookie_secret", "ico_path", "secret_key", "ssl_certfile", "ssl_keyfile", "ssl_password",
    "xsrf_cookies",
)  # fmt: skip
"""What ``from_settings`` takes from there (bokeh 3.10), by Bokeh's names; and ``sign_sessions``."""
_OPPOSITES = {"use_index": "disable_index", "redirect_root": "disable_index_redirect"}


class LiveSessions:
    """The sessions that live in this program, for its own code."""

    def _apps_here(self) -> Mapping[str, App]:
        raise NotImplementedError

    def get_sessions(self, app_path: str | None = None) -> list[Any]:
        """The sessions that live here, of the app at ``app_path`` or of all. Raises ValueError."""
        paths = self._apps_here() if app_path is None else (app_path,)
        return [session for path in paths for session in self._app(path).live_sessions()]

    def get_session(self, app_path: str, session_id: str) -> Any:
        """The one with that id, if it lives here. Raises ValueError."""
        for session in self._app(app_path).live_sessions():
            if session.id == session_id:
                return session
        raise ValueError(f"no such session lives here at {app_path}")

    async def update_sessions(self, app_path: str, update_document: Callable[[Document], Any]) -> None:
        """Call ``update_document``, plain or async, on the Document of each session that now lives here.

        Each call has its session's Document to itself. Raises ValueError for an unknown path, and, when all
        are done, the first of what the calls raised.
        """
        sessions = self.get_sessions(app_path)
        for session in sessions:
            session.changed_from_outside()
        updates = [session.with_document_locked(update_document, session.document) for session in sessions]
        for result in await asyncio.gather(*updates, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result

    def _app(self, path: str) -> App:
        if path not in self._apps_here():
            raise ValueError(f"there is no app at {path}")
        return self._apps_here()[path]


class Server(LiveSessions):
    """One replica on a Tornado loop that somebody else runs, or that :meth:`run_until_shutdown` does.

    ``applications``: a function that fills a Document, an ``Application``, the ``Path`` of a script,
    notebook or directory, or several of these by URL path. ``options`` are those of ``svc serve`` by the
    names of :class:`service.settings.Settings` (seconds), or by Bokeh's names
    (``keep_alive_milliseconds``, ...); what is not given comes from the environment as usual. Listens from
    here on; answers once :meth:`start` got it going.

    Raises ConfigError.
    """

    def __init__(
        self,
        applications: Applications,
        io_loop: IOLoop | None = None,
        http_server_kwargs: Mapping[str, Any] | None = None,
        *,
        redis: str | None = None,
        auth_provider: object | None = None,
        auth_policy: object | None = None,
        extra_patterns: Iterable[Any] = (),
        **options: Any,
    ) -> None:
        if redis is not None:
            options["redis"] = redis
        if options.pop("dev", None) not in (None, False):
            raise ConfigError("dev is for svc serve: a program is started anew to have new code")
        settings = settings_of(options)
        if settings.num_procs != 1:
            raise ConfigError("num_procs is for svc serve: a program cannot be in several processes")
        check_bokeh()
        self._io_loop = io_loop or IOLoop.current()
        self._replica = Replica(
            settings,
            apps_of(applications, settings),
            auth=auth_of(auth_provider, auth_policy),
            extra_routes=list(extra_patterns),
            http_options=_http_options(http_server_kwargs or {}),
        )
        self._starting: asyncio.Task[None] | None = None
        self._stopping: asyncio.Task[None] | None = None

    @classmethod
    def from_settings(
        cls,
        applications: Applications,
        io_loop: IOLoop | None = None,
        http_server_kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Server:
        """As the constructor; what is given nowhere else comes from ``bokeh.settings.settings``.

        That is the auth module, secret keys and signing, TLS, XSRF and the icon, as programs and Bokeh's own
        configuration set them. (Bokeh's environment variables are honoured in any case.) Raises ConfigError.
        """
        return cls(applications, io_loop, http_server_kwargs, **{**_bokehs_settings(options), **options})

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
    def unix_socket(self) -> str | None:
        """The path of the socket it listens on in the place of a port."""
        return self._replica.settings.unix_socket

    @property
    def index(self) -> str | None:
        """The template of the list of apps, if it is not the usual one."""
        return self._replica.settings.index

    @property
    def prefix(self) -> str:
        return self._replica.settings.prefix

    @property
    def url(self) -> str:
        """Of all apps, with a slash at the end."""
        return self._replica.base_url + "/"

    def _apps_here(self) -> Mapping[str, App]:
        return self._replica.apps

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
        """Stop, and wait for that, unless this is the loop's own thread: there it stops soon.

        The port is free when this returns. :meth:`wait_until_stopped` waits for the rest there;
        :meth:`stop_async` gives balancers time to notice first.
        """
        loop = _asyncio_loop(self._io_loop)
        if not loop.is_running():
            loop.run_until_complete(self.stop_async())
        elif _is_current(loop):
            self._replica.unlisten()
            self._begin_to_stop()
        else:
            stopping = asyncio.run_coroutine_threadsafe(self.stop_async(), loop)
            if wait:
                stopping.result()

    async def stop_async(self) -> None:
        """Stop; return when all hooks have run and all is given back, whoever asked first."""
        await asyncio.shield(self._begin_to_stop())

    stopped = stop_async

    async def wait_until_stopped(self) -> None:
        """Return when the stop that was asked for is complete; at once if none was."""
        if self._stopping is not None:
            await asyncio.shield(self._stopping)

    def unlisten(self) -> None:
        """Give back the port; it is free when this returns. Who is connected stays until :meth:`stop`."""
        loop = _asyncio_loop(self._io_loop)
        if loop.is_running() and not _is_current(loop):
            asyncio.run_coroutine_threadsafe(self._unlisten(), loop).result()
        else:
            self._replica.unlisten()

    async def _unlisten(self) -> None:
        self._replica.unlisten()

    def run_until_shutdown(self) -> None:
        """Start, run the loop until SIGTERM or SIGINT, and stop. For a program's main thread."""
        loop = _asyncio_loop(self._io_loop)
        stop_signals.take(loop, self._io_loop.stop)
        self.start()
        try:
            self._io_loop.start()
        finally:
            stop_signals.remove(loop)
            loop.run_until_complete(self.stop_async())

    def show(self, app_path: str = "/", browser: str | None = None, new: str = "tab") -> None:
        """Open the app at ``app_path`` in a browser. Raises ValueError."""
        if not app_path.startswith("/"):
            raise ValueError("app_path must start with a /")
        url = self.url.rstrip("/") + app_path
        webbrowser.get(browser).open(url, new={"same": 0, "window": 1, "tab": 2}.get(new, 2))

    def _begin(self) -> None:
        if self._starting is None:
            self._starting = asyncio.ensure_future(self._replica.start())
            self._starting.add_done_callback(_report)

    def _begin_to_stop(self) -> asyncio.Task[None]:
        if self._stopping is None:
            self._stopping = asyncio.ensure_future(self._stop())
        return self._stopping

    async def _stop(self) -> None:
        if self._starting is not None and not self._starting.done():
            self._starting.cancel()
            await asyncio.wait([self._starting])
        await self._replica.stop()


def _report(starting: asyncio.Task[None]) -> None:
    if not starting.cancelled() and starting.exception() is not None:
        log.error("the server cannot start: %s", starting.exception())


def apps_of(applications: Applications, settings: Settings) -> dict[str, App]:
    """By URL path. Raises ConfigError, and AppLoadError for files."""
    apps = apps_from_applications(_by_path(applications))
    return apps if settings.root_app is None else with_app_at_root(apps, settings.root_app)


def _by_path(applications: Applications) -> dict[str, Application | os.PathLike[str]]:
    if isinstance(applications, Mapping):
        return {path: _application(found) for path, found in applications.items()}
    return {"/": _application(applications)}


def _application(found: Applied) -> Application | os.PathLike[str]:
    """An application that runs a function, or what was given."""
    if isinstance(found, Application | os.PathLike):
        return found
    handler = FunctionHandler(found)
    return application_of_function(handler, known_sources([handler]))


def settings_of(options: Mapping[str, Any]) -> Settings:
    """Settings from keyword arguments by our names or Bokeh's; the environment fills in the rest."""
    given = dict(option for name, value in options.items() for option in _translated(name, value))
    known = {field.name for field in fields(Settings)}
    unknown = sorted(given.keys() - known)
    if unknown:
        raise ConfigError(f"there is no option {unknown[0]}")
    others = from_arguments({}, {k: v for k, v in os.environ.items() if k != "SVC_DEV"})
    values = {field.name: getattr(others, field.name) for field in fields(Settings)}
    given |= _session_ids(options, others.session_ids)
    return Settings(**{**values, **given})


def _translated(name: str, value: Any) -> list[tuple[str, Any]]:
    if value is None or name in ("sign_sessions", "generate_session_ids", "io_loop", "absolute_url"):
        return []
    if name.endswith("_milliseconds"):
        return [(name.removesuffix("_milliseconds"), value / 1000)]
    if name in _OPPOSITES:
        return [(_OPPOSITES[name], not value)]
    if name in ("secret_key", "oauth_encryption_key") and isinstance(value, bytes):
        value = value.decode()
    if name in ("login_endpoint", "logout_endpoint"):
        value = "/" + value.strip("/")
    if name == "oauth_provider":
        value = value.lower()
    if name == "prefix":
        path = value.strip("/")
        value = f"/{path}" if path else ""
    if isinstance(value, list | set):
        value = tuple(value)
    return [(_SAME_BUT_NAMED.get(name, name), value)]


def _session_ids(options: Mapping[str, Any], otherwise: SessionIds) -> dict[str, SessionIds]:
    """Bokeh has two switches for the modes."""
    switches = [options.get(name) for name in ("sign_sessions", "generate_session_ids")]
    if switches == [None, None]:
        return {}
    sign, generate = switches
    if sign is None:
        sign = otherwise.must_sign
    if generate is None:
        generate = True
    if sign:
        return {"session_ids": SessionIds.SIGNED if generate else SessionIds.EXTERNAL_SIGNED}
    return {"session_ids": SessionIds.UNSIGNED if generate else SessionIds.EXTERNAL_UNSIGNED}


def _bokehs_settings(options: Mapping[str, Any]) -> dict[str, Any]:
    """What ``bokeh.settings.settings`` says of options that neither ``options`` nor our environment have."""
    found: dict[str, Any] = {}
    for name in _OF_BOKEHS_SETTINGS:
        option = OPTIONS[_SAME_BUT_NAMED.get(name, name)]
        value = getattr(bokeh_settings, name)()
        if options.get(name) is None and value and not any(each in os.environ for each in option.env):
            found[name] = value
    if options.get("auth_provider") is not None or options.get("auth_policy") is not None:
        found.pop("auth_module", None)
    if options.get("sign_sessions") is None and not any(n in os.environ for n in OPTIONS["session_ids"].env):
        found["sign_sessions"] = bokeh_settings.sign_sessions() or None
    return found


def _http_options(given: Mapping[str, Any]) -> Mapping[str, Any]:
    if "ssl_options" in given:
        raise ConfigError("http_server_kwargs: give ssl_certfile and ssl_keyfile, not ssl_options")
    unknown = sorted(given.keys() - signature(HTTPServer.initialize).parameters.keys())
    if unknown:
        raise ConfigError(f"http_server_kwargs: Tornado's HTTPServer has no option {unknown[0]}")
    return given


def auth_of(provider: object | None, policy: object | None) -> Auth | None:
    """From a policy, or a provider: one of ours, or an ``AuthProvider`` of Bokeh's."""
    if provider is not None and policy is not None:
        raise ConfigError("give auth_provider or auth_policy, not both")
    try:
        if policy is not None or (provider is not None and is_policy(provider)):
            return PolicyAuth(policy=policy or provider)
        return None if provider is None else _auth_of_provider(provider)
    except ValueError as error:
        raise ConfigError(f"auth_{'provider' if policy is None else 'policy'}: {error}") from error


def _auth_of_provider(provider: object) -> Auth:
    if isinstance(provider, Auth):
        return provider
    names = {field.name: field.name for field in fields(Auth)}
    names |= {"LoginHandler": "login_handler", "LogoutHandler": "logout_handler"}
    return Auth(**{ours: getattr(provider, theirs, None) for ours, theirs in names.items()})


def _asyncio_loop(io_loop: IOLoop) -> asyncio.AbstractEventLoop:
    loop: asyncio.AbstractEventLoop = io_loop.asyncio_loop  # type: ignore[attr-defined]
    return loop


def _is_current(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False
