"""The small pages: index, metadata, health, static files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bokeh
from tornado.web import HTTPError, RequestHandler, StaticFileHandler

from service.web.base import UserHandler
from service.web.opening import AppHandler
from service.web.resources import extension_directories
from service.web.services import Services

__all__ = (
    "FAVICON",
    "ExtensionHandler",
    "FaviconHandler",
    "HealthHandler",
    "IndexHandler",
    "MetadataHandler",
    "ReadyHandler",
)

FAVICON = Path(bokeh.__file__).parent / "server" / "views" / "bokeh.ico"
APP_INDEX = Path(__file__).parent / "templates" / "index.html"


class IndexHandler(UserHandler):
    """``GET /``: the list of apps, or a redirect if there is just one."""

    def get(self) -> None:
        settings = self.services.settings
        paths = sorted(self.services.apps)
        if settings.disable_index:
            raise HTTPError(404)
        if len(paths) == 1 and not settings.disable_index_redirect:
            self.redirect(settings.prefix + paths[0])
        else:
            index = Path(settings.index).resolve() if settings.index else APP_INDEX
            self.render(str(index), prefix=settings.prefix, items=paths)


class MetadataHandler(AppHandler):
    """``GET /app/metadata``: the app's URL path and what its author says about it."""

    def get(self) -> None:
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps({"url": self.app.path, "data": self.app.metadata()}))


class HealthHandler(RequestHandler):
    """``GET /healthz``: the process lives. Touches neither store nor apps."""

    def get(self) -> None:
        self.finish("ok\n")


class ReadyHandler(RequestHandler):
    """``GET /readyz``: this replica may get traffic."""

    def initialize(self, services: Services, beating: Callable[[], bool]) -> None:
        self._services = services
        self._beating = beating

    def get(self) -> None:
        reasons = {
            "starting": not self._services.ready,
            "draining": self._services.draining,
            "the store is away": not self._beating(),
        }
        wrong = [reason for reason, applies in reasons.items() if applies]
        if wrong:
            self.set_status(503)
        self.finish((", ".join(wrong) or "ready") + "\n")


class FaviconHandler(StaticFileHandler):
    """``/favicon.ico``."""

    def initialize(self, icon: Path) -> None:  # type: ignore[override]
        super().initialize(path=str(icon.parent))
        self._name = icon.name

    async def get(self, path: str = "", include_body: bool = True) -> None:
        await super().get(self._name, include_body)


class ExtensionHandler(StaticFileHandler):
    """``/static/extensions/NAME/…``: files of Bokeh extensions, which may be imported later."""

    def initialize(self) -> None:  # type: ignore[override]
        self.root = "/"
        self.default_filename = None

    async def get(self, path: str, include_body: bool = True) -> None:
        name, _, rest = path.partition("/")
        directory = extension_directories().get(name)
        if directory is None or not rest:
            raise HTTPError(404)
        self.root = str(directory)
        await super().get(rest, include_body)

    def data_received(self, chunk: Any) -> None:
        raise HTTPError(405)
