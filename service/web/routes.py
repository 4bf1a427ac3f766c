"""The route table: every URL this server answers.

::

    /                         index or redirect          /healthz /readyz /startupz  probes
    /metrics                  for Prometheus, unless it has a port of its own
    /static/…                 BokehJS                    /static/extensions/…   extensions
    /components/…             files of Panel's components
    /favicon.ico              the icon                   login, logout          the auth module's
    /_svc/relay /_svc/page /_svc/autoload /_svc/file/…                   other replicas

    APP                       page                       APP/ws                 WebSocket
    APP/autoload.js           embedding                  APP/metadata           metadata
    APP/static/…              the app's own files

All but the probes and /metrics come after the prefix, if there is one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tornado.web import Application, RequestHandler

from service.apps.app import App
from service.apps.panel_pages import panel_icon
from service.errors import ConfigError
from service.fleet.relay import AUTOLOAD_PATH, FILE_PATH, PAGE_PATH, RELAY_PATH
from service.metrics import Metrics
from service.web.admin_login import AdminLoginHandler, AdminLogoutHandler
from service.web.autoload import AutoloadHandler
from service.web.base import plain_page
from service.web.health import Health, HealthHandler, MetricsHandler, ReadyHandler, StartupHandler
from service.web.internal import OwnerAutoloadHandler, OwnerPageHandler, RelayHandler
from service.web.page import PageHandler
from service.web.panel_endpoints import SESSION_INFO_PATH, LivenessHandler, SessionInfoHandler
from service.web.plain import (
    FAVICON,
    DirectoryHandler,
    FaviconHandler,
    IndexHandler,
    MetadataHandler,
)
from service.web.resources import bokehjs_directory
from service.web.services import Services
from service.web.socket import SocketHandler
from service.web.static import (
    AppFileHandler,
    BokehFileHandler,
    ComponentFileHandler,
    ExtensionFileHandler,
)
from service.web.urls import files_of, route_of

__all__ = ("make_application", "make_internal_application")

Route = tuple[str, type[RequestHandler], dict[str, Any]]


def _icon(path: str, apps: Iterable[App]) -> bytes:
    if path == "default" and any(app.panel for app in apps):
        return panel_icon().read_bytes()
    try:
        return (FAVICON if path == "default" else Path(path)).read_bytes()
    except OSError as error:
        raise ConfigError(f"--ico-path {path}: {error.strerror}") from error


def make_application(services: Services, health: Health, extra: Sequence[Any] = ()) -> Application:
    """The Tornado application with all routes; ``extra`` ones come below the prefix, too."""
    prefix = re.escape(services.settings.prefix)
    routes: list[Route] = [
        (r"/healthz", HealthHandler, {}),
        (r"/readyz", ReadyHandler, {"health": health}),
        (r"/startupz", StartupHandler, {"services": services}),
        *_routes_for_replicas(prefix, services),
        *_static_routes(prefix, services),
    ]
    if services.settings.liveness:
        endpoint = services.settings.liveness_endpoint.strip("/")
        routes.append((f"{prefix}/{re.escape(endpoint)}/?", LivenessHandler, {"services": services}))
    if services.settings.rest_session_info:
        info = {"services": services}
        routes.append((f"{prefix}{SESSION_INFO_PATH}/?", SessionInfoHandler, info))
        routes.append((f"{prefix}/rest{SESSION_INFO_PATH}/?", SessionInfoHandler, {**info, "legacy": True}))
    if services.settings.admin_password is not None:
        admin = prefix + re.escape(services.settings.admin_endpoint)
        routes.append((f"{admin}/login", AdminLoginHandler, {"services": services}))
        routes.append((f"{admin}/logout", AdminLogoutHandler, {"services": services}))
    icon_path = services.settings.ico_path
    if icon_path != "none":
        routes.append(
            (prefix + r"/favicon\.ico", FaviconHandler, {"icon": _icon(icon_path, services.apps.values())})
        )
    routes += [(prefix + re.escape(path) + "/?", page, {}) for path, page in services.auth.endpoints()]
    if services.settings.metrics_port is None:
        routes.append((r"/metrics", MetricsHandler, {"metrics": services.metrics}))
    # The first that fits answers, as in Bokeh; but no app's pattern takes the operators' page away.
    for app in sorted(services.apps.values(), key=lambda each: not each.for_operators):
        routes += _app_routes(prefix, services, app)
    for path, directory in services.settings.static_dirs:
        place = {"services": services, "path": directory}
        routes.append((f"{prefix}{re.escape(path)}/(.*)", DirectoryHandler, place))
    routes += [(prefix + path, *rest) for path, *rest in extra]
    # An app, or a directory, may have this name, too.
    routes.append((prefix + r"/components/(.*)", ComponentFileHandler, {"services": services}))
    if "/" not in services.apps:
        routes.append((prefix + r"/?", IndexHandler, {"services": services}))
    return Application(
        routes,
        default_handler_class=NotFoundHandler,
        **_application_settings(services),
    )


def make_internal_application(services: Services) -> Application:
    """What a port for other replicas alone answers."""
    prefix = re.escape(services.settings.prefix)
    routes: list[Route] = [
        (r"/healthz", HealthHandler, {}),
        *_routes_for_replicas(prefix, services),
    ]
    return Application(routes, default_handler_class=NotFoundHandler, **_application_settings(services))


def _routes_for_replicas(prefix: str, services: Services) -> list[Route]:
    routes: list[Route] = [
        (prefix + re.escape(RELAY_PATH), RelayHandler, {"services": services}),
        (prefix + re.escape(PAGE_PATH), OwnerPageHandler, {"services": services}),
        (prefix + re.escape(AUTOLOAD_PATH), OwnerAutoloadHandler, {"services": services}),
    ]
    below = prefix + re.escape(FILE_PATH)
    files = _static_routes(below, services)
    for app in services.apps.values():
        files += _app_static_routes(below, services, app)
    if services.settings.rest_session_info:
        files.append((below + SESSION_INFO_PATH, SessionInfoHandler, {"services": services}))
    return routes + [(path, handler, {**context, "for_replicas": True}) for path, handler, context in files]


def _static_routes(prefix: str, services: Services) -> list[Route]:
    bokehjs = {"services": services, "path": str(bokehjs_directory())}
    return [
        (prefix + r"/static/extensions/(.*)", ExtensionFileHandler, {"services": services}),
        (prefix + r"/static/(.*)", BokehFileHandler, bokehjs),
    ]


def _app_static_routes(prefix: str, services: Services, app: App) -> list[Route]:
    base = prefix + files_of(app)
    context = {"services": services, "path": app.static_path}
    return [(base + r"/static/(.*)", AppFileHandler, context)] if app.static_path else []


def _application_settings(services: Services) -> dict[str, Any]:
    return {
        "websocket_max_message_size": services.settings.websocket_max_message_size,
        "xsrf_cookies": services.settings.enable_xsrf_cookies,
        "log_function": partial(_observe, services.metrics),
    }


def _app_routes(prefix: str, services: Services, app: App) -> list[Route]:
    base = prefix + route_of(app)
    context = {"services": services, "app": app}
    routes: list[Route] = [
        (base + r"/ws", SocketHandler, context),
        (base + r"/metadata", MetadataHandler, context),
    ]
    if not app.for_operators:
        routes.append((base + r"/autoload\.js", AutoloadHandler, context))
    # The page last: there are patterns that all of these fit.
    return [*routes, *_app_static_routes(prefix, services, app), (base + r"/?", PageHandler, context)]


def _observe(metrics: Metrics, handler: RequestHandler) -> None:
    """Count an answered request. The route is the handler's name, so that strangers cannot add any."""
    if handler.get_status() != 101:
        route = type(handler).__name__.removesuffix("Handler").lower()
        seconds = handler.request.request_time()
        metrics.http_seconds.labels(route, str(handler.get_status())).observe(seconds)


class NotFoundHandler(RequestHandler):
    def prepare(self) -> None:
        self.set_status(404)
        self.finish(plain_page("Not Found", f"There is nothing at {self.request.path}."))
