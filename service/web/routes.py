"""The route table: every URL this server answers.

::

    /                         index or redirect          /healthz /readyz       probes
    /static/…                 BokehJS                    /static/extensions/…   extensions
    /_svc/relay /_svc/page    other replicas

    APP                       page                       APP/ws                 WebSocket
    APP/autoload.js           embedding                  APP/metadata           metadata
    APP/static/…              the app's own files

All but the probes come after the prefix, if there is one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from tornado.web import Application, RequestHandler, StaticFileHandler

from service.apps.app import App
from service.fleet.relay import PAGE_PATH, RELAY_PATH
from service.web.autoload import AutoloadHandler
from service.web.base import plain_page
from service.web.internal import OwnerPageHandler, RelayHandler
from service.web.page import PageHandler
from service.web.plain import (
    FAVICON_DIRECTORY,
    ExtensionHandler,
    FaviconHandler,
    HealthHandler,
    IndexHandler,
    MetadataHandler,
    ReadyHandler,
)
from service.web.resources import bokehjs_directory
from service.web.services import Services
from service.web.socket import SocketHandler

__all__ = ("make_application",)

Route = tuple[str, type[RequestHandler], dict[str, Any]]


def make_application(services: Services, beating: Callable[[], bool]) -> Application:
    """The Tornado application with all routes."""
    prefix = re.escape(services.settings.prefix)
    routes: list[Route] = [
        (r"/healthz", HealthHandler, {}),
        (r"/readyz", ReadyHandler, {"services": services, "beating": beating}),
        (prefix + re.escape(RELAY_PATH), RelayHandler, {"services": services}),
        (prefix + re.escape(PAGE_PATH), OwnerPageHandler, {"services": services}),
        (prefix + r"/static/extensions/(.*)", ExtensionHandler, {}),
        (prefix + r"/favicon\.ico", FaviconHandler, {"path": str(FAVICON_DIRECTORY)}),
        (prefix + r"/static/(.*)", StaticFileHandler, {"path": str(bokehjs_directory())}),
    ]
    for app in services.apps.values():
        routes += _app_routes(prefix, services, app)
    if "/" not in services.apps:
        routes.append((prefix + r"/?", IndexHandler, {"services": services}))
    return Application(
        routes,
        default_handler_class=NotFoundHandler,
        websocket_max_message_size=services.settings.websocket_max_message_size,
        log_function=lambda handler: None,
    )


def _app_routes(prefix: str, services: Services, app: App) -> list[Route]:
    base = prefix + re.escape(app.path.rstrip("/"))
    context = {"services": services, "app": app}
    routes: list[Route] = [
        (base + r"/?", PageHandler, context),
        (base + r"/ws", SocketHandler, context),
        (base + r"/metadata", MetadataHandler, context),
        (base + r"/autoload\.js", AutoloadHandler, context),
    ]
    if app.static_path:
        routes.append((base + r"/static/(.*)", StaticFileHandler, {"path": app.static_path}))
    return routes


class NotFoundHandler(RequestHandler):
    def prepare(self) -> None:
        self.set_status(404)
        self.finish(plain_page("Not Found", f"There is nothing at {self.request.path}."))
