"""The small pages: index, metadata, static files."""

from __future__ import annotations

import json
from pathlib import Path

import bokeh
from tornado.web import HTTPError, RequestHandler

from service.apps.panel_pages import index_items, index_template, index_variables, without_fonts
from service.web.base import UserHandler
from service.web.files import ThreadedStaticHandler
from service.web.opening import AppHandler
from service.web.services import Services
from service.web.urls import quoted

__all__ = (
    "FAVICON",
    "DirectoryHandler",
    "FaviconHandler",
    "IndexHandler",
    "MetadataHandler",
)

FAVICON = Path(bokeh.__file__).parent / "server" / "views" / "bokeh.ico"
APP_INDEX = Path(__file__).parent / "templates" / "index.html"


class IndexHandler(UserHandler):
    """``GET /``: the list of apps, or a redirect if there is just one."""

    def get(self) -> None:
        settings = self.services.settings
        apps = {path: app for path, app in sorted(self.services.apps.items()) if not app.for_operators}
        # Where a pattern leads, nobody knows.
        links = [path for path, app in apps.items() if app.pattern is None]
        root = self.relative_root.rstrip("/")
        titles = {path: path.lstrip("/") for path in apps} | dict(settings.index_titles)
        of_panel = settings.page_config is not None or any(app.panel for app in apps.values())
        if settings.disable_index:
            raise HTTPError(404)
        if len(apps) == len(links) == 1 and not settings.disable_index_redirect:
            self.redirect(root + quoted(links[0]))
        elif settings.index or of_panel:
            template = Path(settings.index).resolve() if settings.index else index_template()
            items, more = index_items(links, titles, root), index_variables(root)
            page = self.render_string(str(template), prefix=root, items=items, titles=titles, **more)
            self.finish(page if settings.index else without_fonts(page.decode()))
        else:
            shown = sorted(apps, key=titles.__getitem__)
            self.render(str(APP_INDEX), prefix=root, items=shown, links=links, titles=titles, quoted=quoted)


class MetadataHandler(AppHandler):
    """``GET /app/metadata``: the app's URL path and what its author says about it."""

    below_app = "/metadata"

    def get(self, /, *args: str, **kwargs: str) -> None:
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps({"url": self.app.path, "data": self.app.metadata()}))


class DirectoryHandler(UserHandler, ThreadedStaticHandler):
    """Files of ``--static-dirs``, for those who are logged in."""

    def initialize(self, services: Services, path: str) -> None:  # type: ignore[override]
        UserHandler.initialize(self, services)
        ThreadedStaticHandler.initialize(self, path=path, default_filename="index.html")


class FaviconHandler(RequestHandler):
    """``/favicon.ico``. Browsers ask for it with every page, so it is kept in memory."""

    def initialize(self, icon: bytes) -> None:
        self._icon = icon

    def get(self) -> None:
        self.set_header("Content-Type", "image/vnd.microsoft.icon")
        self.finish(self._icon)

    head = get
