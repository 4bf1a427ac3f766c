"""What a replica needs of its process before it is composed: all that patches, opens, reads or imports.

It is undone by :class:`service.server.Server` as far as it can be: sockets are closed, while patches of Bokeh
and what Panel was told stay, for this process.
"""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from service import logs
from service.apps import panel_cache
from service.apps.app import App
from service.apps.panel_login import PanelLogin, with_panels_config
from service.apps.panel_settings import PanelSettings, check_page_config, tell_panel
from service.composition import Inputs
from service.documents.extensions import installed_versions
from service.errors import ConfigError
from service.fleet.store_clock import StoreClock
from service.listening import Inherited, Listener, open_metrics_sockets
from service.memory import container_limit
from service.patches import install_patches
from service.plugins import plugin_routes
from service.settings import Settings
from service.tracing import tracing_for
from service.web.auth import Auth, load_auth
from service.web.origins import OriginPolicy
from service.web.resources import build_of

__all__ = ("prepare",)

DEV_TOKEN_EXPIRATION_SECONDS = 30 * 24 * 3600.0
"""With ``--dev``: the page stays open over reloads, however long its author thinks."""


def prepare(
    settings: Settings,
    apps: Mapping[str, App],
    *,
    auth: Auth | None,
    extra_routes: Sequence[Any],
    http_options: Mapping[str, Any] | None,
    listener: Listener | None,
    inherited: Inherited | None,
    origins: OriginPolicy | None,
) -> Inputs:
    """Patch, open, read and import what ``settings`` ask for. Raises ConfigError."""
    install_patches()
    settings = _with_defaults_of_process(settings, auth)
    replica = secrets.token_hex(4)
    logs.this_replica(replica)
    clock = StoreClock()
    auth = auth or load_auth(settings.auth_module)
    login = _panel_login(settings, auth, clock)
    if settings.admin:
        password = settings.admin_password is not None
        auth.check_admin(settings.admin_user, password=password, logins=login is not None)
    _tell_panel(settings)
    listener = listener or Listener(settings, inherited)
    versions = installed_versions()
    return Inputs(
        settings=settings,
        replica=replica,
        apps=apps,
        listener=listener,
        metrics_sockets=open_metrics_sockets(settings.metrics_port, settings.address),
        clock=clock,
        tracing=tracing_for(settings.traces, replica),
        auth=auth,
        login=login,
        origins=origins or OriginPolicy(settings.allow_websocket_origin, listener.port or 80),
        versions=versions,
        digest=build_of(versions, apps),
        routes=[*extra_routes, *plugin_routes(settings.plugins)],
        http_options=http_options,
    )


def _with_defaults_of_process(settings: Settings, auth: Auth | None) -> Settings:
    if settings.memory_limit is None:
        settings = dataclasses.replace(settings, memory_limit=container_limit() // settings.num_procs)
    if settings.dev is not None:
        settings = dataclasses.replace(settings, session_token_expiration=DEV_TOKEN_EXPIRATION_SECONDS)
    return with_panels_config(settings) if auth is None else settings


def _panel_login(settings: Settings, auth: Auth, clock: StoreClock) -> PanelLogin | None:
    if not (settings.basic_auth or settings.oauth_provider):
        return None
    if auth.asks:
        flag = "--basic-auth" if settings.basic_auth else "--oauth-provider"
        raise ConfigError(f"{flag}: the program knows its users already (auth_provider or auth_policy)")
    return PanelLogin(settings, clock.time)


def _tell_panel(settings: Settings) -> None:
    """Raises ConfigError."""
    if settings.panel_cache == "fleet":
        panel_cache.install()
    if settings.page_config is not None:
        check_page_config(settings.page_config)
    tell_panel(
        PanelSettings(
            global_loading_spinner=settings.global_loading_spinner,
            session_history=settings.session_history,
            page_config=settings.page_config,
            profiler=settings.profiler,
            root_path=settings.root_path,
        )
    )
