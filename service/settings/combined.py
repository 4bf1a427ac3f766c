"""All options together: :class:`Settings`, what contradicts what, and in which groups they are shown."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from service.errors import ConfigError
from service.options import Option
from service.settings.app_code import AppCodeSettings
from service.settings.connections import ConnectionSettings, MessageSettings
from service.settings.development import DevelopmentSettings
from service.settings.fleet import FleetSettings
from service.settings.limits import LimitSettings
from service.settings.listening import ListeningSettings
from service.settings.login import LoginSettings
from service.settings.operation import OperationSettings
from service.settings.pages import PageSettings
from service.settings.security import SecuritySettings
from service.settings.sessions import SessionSettings

__all__ = ("GROUPS", "OPTIONS", "NetworkSettings", "Settings", "WebSettings")


@dataclass(frozen=True, kw_only=True)
class WebSettings(
    ConnectionSettings,
    LimitSettings,
    LoginSettings,
    MessageSettings,
    OperationSettings,
    PageSettings,
    SecuritySettings,
):
    """What the handlers of HTTP and WebSockets may know."""


@dataclass(frozen=True, kw_only=True)
class NetworkSettings(FleetSettings, ListeningSettings, SecuritySettings):
    """Where this process is reached, by whom, and who else it talks to."""


@dataclass(frozen=True, kw_only=True)
class Settings(AppCodeSettings, DevelopmentSettings, NetworkSettings, SessionSettings, WebSettings):
    """What the server was told, checked. Times are in seconds, whatever unit the flag has.

    It is each of its groups: a part that takes one of them is handed these settings, and can use no others.
    """

    def __post_init__(self) -> None:
        """Refuse contradictions, whoever made the object. Raises ConfigError."""
        for one, other in _EXCLUSIVE:
            if getattr(self, one) and getattr(self, other):
                raise ConfigError(f"{_flag(one)} and {_flag(other)} contradict each other: give one of them")
        self._check_secrets()
        self._check_needs()
        self._check_processes()
        self._check_login()
        self._check_dev()

    def _check_secrets(self) -> None:
        if self.session_ids.must_sign and not self.secret_key:
            raise ConfigError(
                f"--session-ids {self.session_ids} needs --secret-key (svc secret prints a strong one)"
            )
        if self.previous_secret_key and not self.secret_key:
            raise ConfigError("--previous-secret-key is of no use without --secret-key")
        if self.encrypt_store != "off" and self.redis and not self.secret_key:
            raise ConfigError(
                "--encrypt-store needs --secret-key: one that replicas agree on lies in Redis, too"
            )

    def _check_needs(self) -> None:
        for one, other in _NEEDS:
            if getattr(self, one) is not None and getattr(self, other) is None:
                raise ConfigError(f"{_flag(one)} is of no use without {_flag(other)}")
        for name in ("admin_user", "admin_password", "profiler"):
            if getattr(self, name) and not self.admin:
                raise ConfigError(f"{_flag(name)} is of no use without --admin")

    def _check_processes(self) -> None:
        if self.unix_socket and self.port != ListeningSettings.port:
            raise ConfigError("--unix-socket and --port contradict each other: give one of them")
        if self.num_procs > 1 and self.advertise:
            raise ConfigError("--num-procs and --advertise contradict each other: each process has its own")
        if self.num_procs > 1 and self.metrics_port:
            raise ConfigError("--num-procs and --metrics-port contradict each other: each needs its own")
        if self.num_procs > 1 and self.dev is not None:
            raise ConfigError("--dev and --num-procs contradict each other: reloading takes one process")

    def _check_login(self) -> None:
        provider = self.oauth_provider
        if provider and provider != "pam" and not self.oauth_key:
            raise ConfigError(f"--oauth-provider {provider} needs --oauth-key, the provider's client id")
        if self.has_user_tokens and self.redis and not (self.secret_key or self.cookie_secret):
            raise ConfigError(
                "--oauth-provider needs --secret-key or --cookie-secret: it encrypts tokens in Redis"
            )

    def _check_dev(self) -> None:
        if self.dev and not self.apps:
            *files, app = self.dev
            say = " ".join(["--dev", *files])
            raise ConfigError(
                f"--dev took {app} for a file to watch, so there is no app: "
                f"give the app first, as in `svc serve {app} {say}`"
            )
        if self.dev is not None and not self.apps:
            raise ConfigError("--dev needs an app to watch")


def _options_of(group: type) -> dict[str, Option]:
    return {field.name: field.metadata["option"] for field in dataclasses.fields(group)}


GROUPS: Mapping[str, Mapping[str, Option]] = {
    "configuration and listening": _options_of(ListeningSettings),
    "app code": _options_of(AppCodeSettings),
    "the fleet": _options_of(FleetSettings),
    "limits": _options_of(LimitSettings),
    "metrics, health and the admin page": _options_of(OperationSettings),
    "tokens, origins and TLS": _options_of(SecuritySettings),
    "users and logins": _options_of(LoginSettings),
    "connections": _options_of(ConnectionSettings),
    "how long sessions last, and what is kept of them": _options_of(SessionSettings),
    "WebSocket messages, headers and cookies": _options_of(MessageSettings),
    "pages": _options_of(PageSettings),
    "logs and development": _options_of(DevelopmentSettings),
}
"""By what each group is about, its options by the names of their fields. In the documentation's order."""

OPTIONS: Mapping[str, Option] = {name: made for group in GROUPS.values() for name, made in group.items()}
"""All options by the name of their field, in the order of the documentation."""

_EXCLUSIVE = (
    ("include_headers", "exclude_headers"),
    ("include_cookies", "exclude_cookies"),
    ("index", "disable_index"),
    ("basic_auth", "oauth_provider"),
    ("auth_module", "basic_auth"),
    ("auth_module", "oauth_provider"),
    ("unix_socket", "address"),
    ("unix_socket", "ssl_certfile"),
    ("unix_socket", "advertise"),
)

_NEEDS = (
    ("ssl_keyfile", "ssl_certfile"),
    ("ssl_password", "ssl_certfile"),
    ("websocket_compression_mem_level", "websocket_compression_level"),
)


def _flag(name: str) -> str:
    return OPTIONS[name].flag
