"""``service.serve``: what ``pn.serve`` takes (Panel 1.9 and 1.10), served by :class:`service.Server`.

Panel is imported by whoever has something of its kind to serve, and else not at all.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from tornado.ioloop import IOLoop
from tornado.web import RequestHandler
from tornado.wsgi import WSGIContainer

from service.apps.panel import applications_of_panel
from service.embedding import Server
from service.errors import ConfigError

__all__ = ("ServerThread", "serve")

SUFFIXES = (".py", ".ipynb", ".md")


def serve(
    panels: Any,
    port: int = 0,
    address: str | None = None,
    websocket_origin: str | list[str] | None = None,
    loop: IOLoop | None = None,
    show: bool = True,
    start: bool = True,
    title: str | Mapping[str, str] | None = None,
    verbose: bool = True,
    location: Any = True,
    threaded: bool = False,
    admin: bool = False,
    **kwargs: Any,
) -> Server | ServerThread:
    """Serve one thing at ``/``, or several by URL path.

    ``panels``: a function that returns what is to be shown (called for each session), a viewable, template
    or class of Panel's, anything that ``pn.panel`` understands, an ``Application``, the path of a script,
    notebook or document, a Flask app below a path of its own; or a mapping from URL paths to such.
    ``title`` is that of all pages, or a mapping with the same keys.

    Returns once the loop has ended; at once where the loop runs already, as in a notebook, or with ``start``
    off. With ``threaded`` it returns a thread that serves until :meth:`ServerThread.stop`. ``kwargs`` are as
    for :class:`service.Server`, by our names, Bokeh's or Panel's.

    Raises ConfigError, and AppLoadError for files.
    """
    apps, routes = _split(panels, title, location)
    options = _options(kwargs)
    options["extra_patterns"] = [*options.get("extra_patterns", ()), *routes]
    options |= {"port": port, "address": address, "admin": admin}
    if websocket_origin:
        options["allow_websocket_origin"] = _listed(websocket_origin)

    def make(io_loop: IOLoop | None) -> Server:
        server = Server(apps, io_loop, **options)
        if verbose:
            sys.stdout.write(f"Launching server at {server.url}\n")
            sys.stdout.flush()
        if show:
            server.io_loop.add_callback(server.show, "/")
        return server

    if threaded:
        return ServerThread(make, loop)
    server = make(loop)
    if not start:
        return server
    if server.io_loop.asyncio_loop.is_running():  # type: ignore[attr-defined]
        server.start()
    else:
        server.run_until_shutdown()
    return server


class ServerThread(threading.Thread):
    """Serves until :meth:`stop`. Raises in its constructor what keeps it from that."""

    def __init__(self, make: Callable[[IOLoop], Server], loop: IOLoop | None) -> None:
        super().__init__(name="svc server")
        self._make = make
        self._given = loop
        self._begun: Future[Server] = Future()
        self.start()
        self.server = self._begun.result()

    def run(self) -> None:
        io_loop = self._given or IOLoop(make_current=False)
        loop: asyncio.AbstractEventLoop = io_loop.asyncio_loop  # type: ignore[union-attr]
        asyncio.set_event_loop(loop)
        beginning = self._begin(io_loop)
        try:
            self._begun.set_result(loop.run_until_complete(beginning))
            loop.run_forever()
        except BaseException as error:
            beginning.close()
            if self._begun.done():
                raise
            self._begun.set_exception(error)  # such as that the given loop runs already
        finally:
            if self._given is None:
                io_loop.close()

    async def _begin(self, io_loop: IOLoop) -> Server:
        server = self._make(io_loop)
        try:
            await server.started()
        except BaseException:
            await server.stop_async()
            raise
        return server

    def stop(self) -> None:
        """Returns when all hooks have run and the port is free. Callable more than once."""
        if not self.is_alive():
            return
        self.server.stop()
        self.server.io_loop.add_callback(self.server.io_loop.stop)
        self.join()


def _split(panels: Any, title: Any, location: Any) -> tuple[dict[str, Any], list[Any]]:
    """The apps for :class:`Server`, and the routes of Flask apps."""
    given = panels if isinstance(panels, Mapping) else {"/": panels}
    by_url = {_url(slug): found for slug, found in given.items()}
    titles = {_url(slug): text for slug, text in title.items()} if isinstance(title, Mapping) else title
    flask = {url: found for url, found in by_url.items() if _is_flask(found)}
    files = {url: Path(found) for url, found in by_url.items() if url not in flask and _is_file(found)}
    others = {url: found for url, found in by_url.items() if url not in flask and url not in files}
    if isinstance(titles, Mapping) and (missing := sorted(others.keys() - titles.keys())):
        raise ConfigError(f"title has none for {missing[0]}")
    made = applications_of_panel(others, titles, location) if others else {}
    return {**files, **made}, [_flask_route(url, app) for url, app in flask.items()]


def _url(slug: str) -> str:
    if slug.endswith("/") and slug != "/":
        raise ConfigError(f"the URL path {slug} must not end with a slash")
    return slug if slug.startswith("/") else f"/{slug}"


def _is_file(found: Any) -> bool:
    """A string may also be Markdown, to be shown."""
    if isinstance(found, os.PathLike):
        return True
    return isinstance(found, str) and found.endswith(SUFFIXES) and Path(found).is_file()


def _is_flask(found: Any) -> bool:
    flask = sys.modules.get("flask")
    return flask is not None and isinstance(found, flask.Flask)


def _flask_route(url: str, app: Any) -> tuple[str, type[RequestHandler], dict[str, Any]]:
    if url == "/":
        raise ConfigError("a Flask app needs a path of its own, not /")
    return f"{url}/.*", FlaskHandler, {"container": WSGIContainer(app), "below": url}


class FlaskHandler(RequestHandler):
    """Passes requests on, without the path that is Flask's here."""

    def initialize(self, container: WSGIContainer, below: str) -> None:
        self._container = container
        self._below = below

    def prepare(self) -> None:
        self.request.path = "/" + self.request.path.partition(f"{self._below}/")[2]
        self._container(self.request)
        self._finished = True
        self.on_finish()


def _options(given: Mapping[str, Any]) -> dict[str, Any]:
    """By the names of :class:`Server`."""
    options = dict(given)
    options.pop("server_id", None)  # by which Panel finds its own servers
    if directories := options.pop("static_dirs", None):
        options["static_dirs"] = _directories(directories)
    liveness = options.pop("liveness", None)
    if liveness:
        options["liveness"] = True
        if isinstance(liveness, str):
            options["liveness_endpoint"] = liveness
    if options.get("session_history"):
        options.setdefault("rest_session_info", True)
    if (reuse := options.pop("reuse_sessions", None)) is not None:
        options["reuse_sessions"] = {True: "on", False: "off"}.get(reuse, reuse)
    return options


def _directories(directories: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    from service.settings import OPTIONS

    given = [f"{url}={os.fspath(path)}" for url, path in directories.items()]
    pairs: tuple[tuple[str, str], ...] = OPTIONS["static_dirs"].value(given, "static_dirs")
    return pairs


def _listed(origins: str | Iterable[str]) -> tuple[str, ...]:
    return (origins,) if isinstance(origins, str) else tuple(origins)
