"""Every option of the server, once: flag, environment variable, default, check and meaning.

The command line, the environment, the configuration file and the table in the documentation are made from
the fields of the groups here. A part of the server takes the group that it needs; only what composes parts
takes the frozen :class:`Settings`, which is all of them.
"""

from __future__ import annotations

from service.settings.app_code import AppCodeSettings
from service.settings.combined import OPTIONS, NetworkSettings, Settings, WebSettings
from service.settings.connections import ConnectionSettings, MessageSettings
from service.settings.development import DevelopmentSettings
from service.settings.fleet import FleetSettings
from service.settings.limits import LimitSettings
from service.settings.listening import ListeningSettings
from service.settings.login import LoginSettings
from service.settings.operation import OperationSettings
from service.settings.pages import PageSettings
from service.settings.reading import add_arguments, from_arguments, options_table
from service.settings.security import SecuritySettings
from service.settings.sessions import SessionSettings

__all__ = (
    "OPTIONS",
    "AppCodeSettings",
    "ConnectionSettings",
    "DevelopmentSettings",
    "FleetSettings",
    "LimitSettings",
    "ListeningSettings",
    "LoginSettings",
    "MessageSettings",
    "NetworkSettings",
    "OperationSettings",
    "PageSettings",
    "SecuritySettings",
    "SessionSettings",
    "Settings",
    "WebSettings",
    "add_arguments",
    "from_arguments",
    "options_table",
)
