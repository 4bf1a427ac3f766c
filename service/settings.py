"""Every option of the server, once: flag, environment variable, default, check and meaning.

The command line, the environment, the configuration file and the table in the documentation are
made from the fields below. This is the only module that is handed the environment; everything
else gets the frozen :class:`Settings`.
"""

from __future__ import annotations

import argparse
import ast
import base64
import dataclasses
import json
import logging
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv6Address
from pathlib import Path
from typing import Any

from service.errors import ConfigError
from service.limits import DEFAULT_MAX_MESSAGE_BYTES, MIB
from service.logs import LEVELS
from service.options import (
    Checked,
    Option,
    add_options,
    boolean,
    choice,
    from_yaml,
    integer,
    lookup,
    number,
    option,
    read_toml,
    read_yaml,
    text,
)
from service.timings import MIN_HEARTBEAT_TTL_SECONDS
from service.tokens import SessionIds

__all__ = ("OPTIONS", "Settings", "add_arguments", "from_arguments", "options_table")

_milliseconds = number(0, unit=0.001)
_some_milliseconds = number(1, unit=0.001)


def _mode(raw: str) -> SessionIds:
    return SessionIds(choice(*SessionIds)(raw))


def _sign_sessions(raw: str) -> SessionIds:
    return SessionIds.SIGNED if boolean(raw) else SessionIds.UNSIGNED


def _traces_exporter(raw: str) -> str:
    """OpenTelemetry's own variable. We have no other exporters than these."""
    known = {"otlp": "otlp", "console": "console"}
    return known.get(raw.lower(), "off")


def _otlp(raw: str) -> str:
    """Somebody has named an endpoint; OpenTelemetry reads which."""
    return "otlp"


def _log_level(raw: str) -> str:
    """Bokeh also takes ``none``, and means its default by it."""
    return "info" if raw.lower() == "none" else str(choice(*LEVELS)(raw))


def _url_prefix(raw: str) -> str:
    """As Bokeh: slashes at either end do not matter."""
    path = raw.strip("/")
    if re.search(r"[\s?#]", path):
        raise ValueError("is not a URL path")
    return f"/{path}" if path else ""


def _key_prefix(raw: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._:-]+", raw):
        raise ValueError("may hold letters, digits and . _ : - only")
    return raw


def _ipv6_address(raw: str) -> IPv6Address:
    try:
        return IPv6Address(raw)
    except AddressValueError:
        raise ValueError("is neither HOST:PORT nor an http:// or https:// URL") from None


def _base_url(raw: str) -> str:
    """``HOST:PORT``, or a URL with nothing behind its path.

    An IPv6 address may go without brackets where a port follows it: Kubernetes composes ``$(POD_IP):5006``.
    """
    if bare := re.fullmatch(r"([0-9A-Fa-f]*:[0-9A-Fa-f:.]*):([0-9]{1,5})", raw, re.ASCII):
        raw = f"[{_ipv6_address(bare[1])}]:{bare[2]}"
    found = re.fullmatch(r"(https?://)?(\[[0-9A-Fa-f:.]+\]|[\w.-]+)(:[0-9]{1,5})?(/[^\s?#]*)?", raw, re.ASCII)
    if found is None:
        raise ValueError("is neither HOST:PORT nor an http:// or https:// URL")
    scheme, _, port, _ = found.groups()
    if not scheme and not port:
        raise ValueError("names no port")
    if port:
        integer(1, 65535)(port[1:])
    return (raw if scheme else f"http://{raw}").rstrip("/")


def _existing_file(raw: str) -> str:
    if not Path(raw).is_file():
        raise ValueError("there is no such file")
    return raw


TEMPLATE_SUFFIXES = (".html", ".htm", ".xhtml", ".jinja", ".jinja2", ".j2", ".tmpl", ".tpl")
APP_SUFFIXES = (".py", ".ipynb", ".md", "")


def _index(raw: str) -> str:
    """A file named as a template (anything else would be shown to visitors as it is), or an app."""
    suffix = Path(raw).suffix.lower()
    if suffix in APP_SUFFIXES:
        return raw  # whether it is one of the apps is known when they are loaded
    if suffix not in TEMPLATE_SUFFIXES:
        raise ValueError(f"is neither an app nor a template by its name ({', '.join(TEMPLATE_SUFFIXES)})")
    return _existing_file(raw)


def _cookie_path(raw: str) -> str:
    if not raw.startswith("/") or re.search(r"[\s;]", raw):
        raise ValueError("is not a URL path that begins with a slash")
    return raw


def _lower(raw: str) -> str:
    return text(raw).lower()


def _literal(raw: str) -> Any:
    try:
        return ast.literal_eval(raw)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None


def _literal_dict(raw: str) -> dict[str, Any]:
    found = _literal(raw)
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise ValueError("is not a Python dictionary such as \"{'scope': ['openid']}\"")
    return found


def _literal_list(raw: str) -> tuple[str, ...]:
    found = _literal(raw)
    if not isinstance(found, list | tuple) or not all(isinstance(each, str) for each in found):
        raise ValueError("is not a Python list such as ['/app']")
    return tuple(found)


def _fernet_key(raw: str) -> str:
    try:
        right = len(base64.urlsafe_b64decode(raw.encode("ascii"))) == 32
    except ValueError:
        right = False
    if not right:
        raise ValueError("is not 32 bytes in url-safe base64: panel oauth-secret prints one")
    return raw


def _slashed(raw: str) -> str:
    """A path of its own, with one slash before it and none behind; given with or without, as for Panel."""
    path = raw.strip("/")
    if not path or re.search(r"[\s?#]", path):
        raise ValueError("is not a URL path below the root")
    return f"/{path}"


def _page_config(raw: str) -> str:
    """JSON, or a file that holds some; its keys are Panel's business."""
    try:
        text = raw if raw.lstrip().startswith("{") else Path(raw).read_text("utf-8")
        if not isinstance(json.loads(text), dict):
            raise ValueError("is no JSON object")
    except (OSError, UnicodeDecodeError):
        raise ValueError("is neither a JSON object nor a file that holds one") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"is no JSON: {error}") from None
    return raw


def _reuse(raw: str) -> str:
    """Panel's ``True``, ``False`` and ``warm``."""
    return "warm" if raw.lower() == "warm" else ("on" if boolean(raw) else "off")


def _pair(raw: str) -> tuple[str, str]:
    key, mark, value = raw.partition("=")
    if not (key and mark and value):
        raise ValueError("is not PATH=VALUE")
    return f"/{key.strip('/')}", value


def _static_dir(raw: str) -> tuple[str, str]:
    path, directory = _pair(raw)
    if path in ("/", "/static"):
        raise ValueError("would hide pages or BokehJS: give it a path of its own")
    if not Path(directory).is_dir():
        raise ValueError("leads to no directory")
    return path, str(Path(directory).resolve())


def _app_limit(raw: str) -> tuple[str, int]:
    """``50`` for every app, ``/sliders=50`` for one."""
    app, limit = _pair(raw) if "=" in raw else ("", raw)
    return app, integer(0)(limit)


def _icon(raw: str) -> str:
    """``none``, ``default`` (Bokeh's, also by its development name), or a file."""
    if raw.lower() in ("none", "default", "default-dev"):
        return raw.lower().removesuffix("-dev")
    return _existing_file(raw)


def _log_format(raw: str) -> str:
    """``text``, ``json`` or a format string of Python's logging."""
    if raw in ("text", "json"):
        return raw
    if "%(" not in raw:
        raise ValueError("is neither text nor json nor a format string such as '%(asctime)s %(message)s'")
    try:
        logging.Formatter(raw).format(logging.makeLogRecord({"msg": ""}))
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"is not a format string of Python's logging: {error}") from None
    return raw


def _processes(raw: str) -> int:
    """0 means one per core, as in Bokeh."""
    return integer(0, 1024)(raw) or os.cpu_count() or 1


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the server was told, checked. Times are in seconds, whatever unit the flag has."""

    apps: tuple[str, ...] = option(
        "apps",
        text,
        "The app directories or scripts to serve (an empty document if there are none)",
        "",
        arity="any",
        metavar="DIRECTORY-OR-SCRIPT",
    )
    config: str | None = option(
        "--config",
        text,
        "A TOML file with options, each named like its flag",
        metavar="FILE",
        env=("SVC_CONFIG",),
        in_file=False,
    )
    use_config: str | None = option(
        "--use-config",
        _existing_file,
        "A YAML file with Bokeh's own settings; those that are options here count before the environment",
        metavar="FILE",
        env=("SVC_USE_CONFIG",),
    )
    port: int = option(
        "--port",
        integer(0, 65535),
        "Port to listen on; 0 picks a free one",
        "5006",
        metavar="PORT",
        env=("SVC_PORT", "BOKEH_DEFAULT_SERVER_PORT"),
        yaml="default_server_port",
    )
    address: str | None = option(
        "--address", text, "Address to listen on, instead of all", metavar="ADDRESS", env=("SVC_ADDRESS",)
    )
    unix_socket: str | None = option(
        "--unix-socket",
        text,
        "Unix socket to listen on instead of a port",
        metavar="PATH",
        env=("SVC_UNIX_SOCKET",),
    )
    num_procs: int = option(
        "--num-procs",
        _processes,
        "Processes on the one port, each a replica; 0 for as many as there are cores",
        "1",
        metavar="N",
        env=("SVC_NUM_PROCS",),
    )
    app_threads: int = option(
        "--app-threads",
        integer(0, 1024),
        "Threads of each process that app code runs on, so that slow code keeps no other session waiting; "
        "0 runs all of it on the event loop",
        "16",
        metavar="N",
        env=("SVC_APP_THREADS",),
    )
    jobs: int = option(
        "--jobs",
        integer(0, 1024),
        "Jobs of apps (fleet.submit) that this process runs at once; 0 leaves all of them to svc worker",
        "1",
        metavar="N",
        env=("SVC_JOBS",),
    )
    num_threads: int | None = option(
        "--num-threads",
        integer(0, 1024),
        "As of panel serve: Panel runs callbacks of one session side by side, on the threads of "
        "--app-threads, of which there are so many then (0 leaves it at those)",
        metavar="N",
        env=("SVC_NUM_THREADS", "PANEL_NUM_THREADS"),
    )
    redis: str | None = option(
        "--redis",
        text,
        "Redis that all replicas share; without it there can be one process only",
        metavar="URL",
        env=("SVC_REDIS_URL",),
        secret=True,
    )
    redis_prefix: str = option(
        "--redis-prefix",
        _key_prefix,
        "What all our keys in Redis begin with",
        "svc",
        metavar="PREFIX",
        env=("SVC_REDIS_PREFIX",),
    )
    encrypt_store: str = option(
        "--encrypt-store",
        choice("off", "on", "required"),
        "Whether what users leave in Redis is encrypted, with keys derived from --secret-key: off; on, so "
        "that plain text is still read; or required, so that it is not. Needs the extra svc-bokeh[encrypt]",
        "off",
        metavar="MODE",
        env=("SVC_ENCRYPT_STORE",),
    )
    advertise: str | None = option(
        "--advertise",
        _base_url,
        "Where other replicas reach this one (guessed if not given)",
        metavar="HOST:PORT|URL",
        env=("SVC_ADVERTISE",),
    )
    """A base URL without a slash at the end."""
    max_sessions: int = option(
        "--max-sessions",
        integer(0),
        "Live sessions from which on this replica turns new page views away (503); 0 for no limit",
        "0",
        metavar="COUNT",
        env=("SVC_MAX_SESSIONS",),
    )
    max_sessions_per_user: int = option(
        "--max-sessions-per-user",
        integer(0),
        "Sessions with an open page from which on this replica turns new page views of the same user away "
        "(429); guests are not counted; 0 for no limit",
        "0",
        metavar="COUNT",
        env=("SVC_MAX_SESSIONS_PER_USER",),
    )
    max_sessions_per_app: tuple[tuple[str, int], ...] = option(
        "--max-sessions-per-app",
        _app_limit,
        "Live sessions of one app from which on this replica turns new page views of it away (503): a number "
        "for every app, or PATH=COUNT for one; can be repeated; 0 for no limit",
        "",
        metavar="COUNT|PATH=COUNT",
        arity="repeat",
        env=("SVC_MAX_SESSIONS_PER_APP",),
    )
    """App path, or "" for every app without a limit of its own, and the limit."""
    build_timeout: float = option(
        "--build-timeout",
        number(0),
        "Seconds that a page waits for its app to build a session, or to bring it back; then it says so, and "
        "the app's code is given up; 0 for as long as it takes",
        "300",
        metavar="SECONDS",
        env=("SVC_BUILD_TIMEOUT",),
    )
    slow_callback: float = option(
        "--slow-callback",
        number(0),
        "Seconds after which a callback, hook or opening of an app is named in the log while it still runs; "
        "0 for never",
        "1",
        metavar="SECONDS",
        env=("SVC_SLOW_CALLBACK",),
    )
    metrics_port: int | None = option(
        "--metrics-port",
        integer(0, 65535),
        "Serve /metrics on a port of its own, and nowhere else; 0 picks a free one",
        metavar="PORT",
        env=("SVC_METRICS_PORT",),
    )
    admin: bool = option(
        "--admin",
        boolean,
        "Serve a page at /admin that shows the fleet, and can drain replicas and end sessions. "
        "Needs --admin-password, or --admin-user and --auth-module",
        "false",
        arity="switch",
        env=("SVC_ADMIN",),
    )
    admin_user: tuple[str, ...] = option(
        "--admin-user",
        text,
        "Who may see the admin page, by the name the auth module gives; can be repeated. "
        "'*' lets in everybody, also without an auth module",
        "",
        metavar="NAME",
        arity="repeat",
        env=("SVC_ADMIN_USER", "PANEL_ADMIN_USERS"),
    )
    admin_password: str | None = option(
        "--admin-password",
        text,
        "Password that the admin page asks for, whoever is logged in elsewhere (Panel's). "
        "Better given in the environment",
        metavar="PASSWORD",
        env=("SVC_ADMIN_PASSWORD", "PANEL_ADMIN_PASSWORD"),
        secret=True,
    )
    admin_endpoint: str = option(
        "--admin-endpoint",
        _slashed,
        "Where the admin page is (Panel's)",
        "/admin",
        metavar="PATH",
        env=("SVC_ADMIN_ENDPOINT", "PANEL_ADMIN_ENDPOINT"),
    )
    """With one slash before it and none behind."""
    traces: str = option(
        "--traces",
        choice("off", "otlp", "console"),
        "Where OpenTelemetry traces of page views go; otlp and how it is reached are also read from the "
        "OTEL_ variables. Needs the extra svc-bokeh[otel]",
        "off",
        metavar="WHERE",
        env=("SVC_TRACES",),
        env_aliases={
            "OTEL_TRACES_EXPORTER": _traces_exporter,
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": _otlp,
            "OTEL_EXPORTER_OTLP_ENDPOINT": _otlp,
        },
    )
    readiness_grace: float = option(
        "--readiness-grace",
        number(0),
        "Seconds the store may be away before this replica says that it is not ready",
        "10",
        metavar="SECONDS",
        env=("SVC_READINESS_GRACE",),
    )
    heartbeat_ttl: float = option(
        "--heartbeat-ttl",
        number(MIN_HEARTBEAT_TTL_SECONDS),
        "Seconds after which a silent replica counts as gone",
        "5",
        metavar="SECONDS",
        env=("SVC_HEARTBEAT_TTL",),
    )
    secret_key: str | None = option(
        "--secret-key",
        text,
        "Signs tokens and session ids; replicas agree on a random one if not given. "
        "Better given in the environment: everyone on a machine can read command lines",
        metavar="KEY",
        env=("SVC_SECRET_KEY", "BOKEH_SECRET_KEY"),
        yaml="secret_key",
        secret=True,
    )
    previous_secret_key: str | None = option(
        "--previous-secret-key",
        text,
        "The secret key before the last change: still accepted, no longer used to sign",
        metavar="KEY",
        env=("SVC_PREVIOUS_SECRET_KEY",),
        secret=True,
    )
    session_ids: SessionIds = option(  # noqa: RUF009 - like every other field here
        "--session-ids",
        _mode,
        "One of: unsigned, signed, external-signed or external-unsigned",
        "unsigned",
        metavar="MODE",
        env=("SVC_SESSION_IDS",),
        env_aliases={"BOKEH_SIGN_SESSIONS": _sign_sessions},
        yaml="sign_sessions",
        yaml_parse=_sign_sessions,
    )
    session_token_expiration: float = option(
        "--session-token-expiration",
        number(1),
        "Seconds in which a new token may begin its session",
        "300",
        metavar="SECONDS",
        env=("SVC_SESSION_TOKEN_EXPIRATION",),
    )
    allow_websocket_origin: tuple[str, ...] = option(
        "--allow-websocket-origin",
        text,
        "Public host name that pages which connect to the WebSocket may come from; can be repeated "
        "(localhost:PORT if not given)",
        "",
        metavar="HOST[:PORT]",
        arity="repeat",
        env=("SVC_ALLOW_WS_ORIGIN", "BOKEH_ALLOW_WS_ORIGIN"),
        yaml="allowed_ws_origin",
    )
    prefix: str = option(
        "--prefix",
        _url_prefix,
        "URL path before all of the server's",
        "",
        metavar="PREFIX",
        env=("SVC_PREFIX",),
    )
    """Empty, or ``/path`` without a slash at the end."""
    ssl_certfile: str | None = option(
        "--ssl-certfile",
        _existing_file,
        "Serve https with this certificate (PEM, with its chain)",
        metavar="FILE",
        env=("SVC_SSL_CERTFILE", "BOKEH_SSL_CERTFILE"),
        yaml="ssl_certfile",
    )
    ssl_keyfile: str | None = option(
        "--ssl-keyfile",
        _existing_file,
        "The certificate's private key, if it is in a file of its own",
        metavar="FILE",
        env=("SVC_SSL_KEYFILE", "BOKEH_SSL_KEYFILE"),
        yaml="ssl_keyfile",
    )
    ssl_password: str | None = option(
        "--ssl-password",
        text,
        "What the private key is encrypted with. Better given in the environment",
        metavar="PASSWORD",
        env=("SVC_SSL_PASSWORD", "BOKEH_SSL_PASSWORD"),
        yaml="ssl_password",
        secret=True,
    )
    auth_module: str | None = option(
        "--auth-module",
        _existing_file,
        "A Python module that knows who the user is (get_user, login_url, ...)",
        metavar="FILE",
        env=("SVC_AUTH_MODULE", "BOKEH_AUTH_MODULE"),
        yaml="auth_module",
    )
    cookie_secret: str | None = option(
        "--cookie-secret",
        text,
        "Signs the cookies of the auth module; replicas agree on a random one if not given",
        metavar="SECRET",
        env=("SVC_COOKIE_SECRET", "PANEL_COOKIE_SECRET", "BOKEH_COOKIE_SECRET"),
        yaml="cookie_secret",
        secret=True,
    )
    cookie_path: str = option(
        "--cookie-path",
        _cookie_path,
        "URL path that the cookies of Panel's logins are for",
        "/",
        metavar="PATH",
        env=("SVC_COOKIE_PATH", "PANEL_COOKIE_PATH"),
    )
    basic_auth: str | Mapping[str, str] | None = option(
        "--basic-auth",
        text,
        "A login form (Panel's): one password for everybody, or a JSON file of names and passwords. "
        "Better given in the environment",
        metavar="PASSWORD|FILE",
        env=("SVC_BASIC_AUTH", "PANEL_BASIC_AUTH"),
        secret=True,
    )
    basic_login_template: str | None = option(
        "--basic-login-template",
        _existing_file,
        "A template for the login form of Panel's logins",
        metavar="FILE",
        env=("SVC_BASIC_LOGIN_TEMPLATE",),
    )
    login_endpoint: str = option(
        "--login-endpoint",
        _slashed,
        "Where the login page of Panel's logins is",
        "/login",
        metavar="PATH",
        env=("SVC_LOGIN_ENDPOINT",),
    )
    logout_endpoint: str = option(
        "--logout-endpoint",
        _slashed,
        "Where the logout page of Panel's logins is",
        "/logout",
        metavar="PATH",
        env=("SVC_LOGOUT_ENDPOINT",),
    )
    logout_template: str | None = option(
        "--logout-template",
        _existing_file,
        "A template for the logout page of Panel's logins",
        metavar="FILE",
        env=("SVC_LOGOUT_TEMPLATE",),
    )
    auth_template: str | None = option(
        "--auth-template",
        _existing_file,
        "A template for the page that says that a user is not let in (Panel's)",
        metavar="FILE",
        env=("SVC_AUTH_TEMPLATE",),
    )
    oauth_provider: str | None = option(
        "--oauth-provider",
        _lower,
        "Log in with one of Panel's providers: generic, auth_code, password, github, gitlab, google, azure, "
        "azurev2, okta, auth0, bitbucket, pam, or one that an installed package adds",
        metavar="NAME",
        env=("SVC_OAUTH_PROVIDER", "PANEL_OAUTH_PROVIDER"),
    )
    oauth_key: str | None = option(
        "--oauth-key",
        text,
        "The client id that the provider gave",
        metavar="KEY",
        env=("SVC_OAUTH_KEY", "PANEL_OAUTH_KEY"),
    )
    oauth_secret: str | None = option(
        "--oauth-secret",
        text,
        "The client secret that the provider gave. Better given in the environment",
        metavar="SECRET",
        env=("SVC_OAUTH_SECRET", "PANEL_OAUTH_SECRET"),
        secret=True,
    )
    oauth_redirect_uri: str | None = option(
        "--oauth-redirect-uri",
        text,
        "Where the provider sends browsers back to (the server's address if not given)",
        metavar="URL",
        env=("SVC_OAUTH_REDIRECT_URI", "PANEL_OAUTH_REDIRECT_URI"),
    )
    oauth_extra_params: Mapping[str, Any] | None = option(
        "--oauth-extra-params",
        _literal_dict,
        "Further parameters of the provider, as a Python dictionary",
        metavar="DICT",
        env=("SVC_OAUTH_EXTRA_PARAMS", "PANEL_OAUTH_EXTRA_PARAMS"),
    )
    oauth_jwt_user: str | None = option(
        "--oauth-jwt-user",
        text,
        "Which claim names the user (the provider's usual one if not given)",
        metavar="CLAIM",
        env=("SVC_OAUTH_JWT_USER", "PANEL_OAUTH_JWT_USER"),
    )
    oauth_encryption_key: str | None = option(
        "--oauth-encryption-key",
        _fernet_key,
        "Encrypts the tokens in cookies (panel oauth-secret prints one). Better given in the environment",
        metavar="KEY",
        env=("SVC_OAUTH_ENCRYPTION_KEY", "PANEL_OAUTH_ENCRYPTION"),
        secret=True,
    )
    oauth_error_template: str | None = option(
        "--oauth-error-template",
        _existing_file,
        "A template for the page of a login that failed (--auth-template if not given)",
        metavar="FILE",
        env=("SVC_OAUTH_ERROR_TEMPLATE",),
    )
    oauth_expiry_days: float = option(
        "--oauth-expiry-days",
        number(0),
        "Days after which users have to log in again",
        "1",
        metavar="DAYS",
        env=("SVC_OAUTH_EXPIRY_DAYS", "PANEL_OAUTH_EXPIRY"),
    )
    oauth_refresh_tokens: bool = option(
        "--oauth-refresh-tokens",
        boolean,
        "Refresh users' tokens before they expire, once for all replicas and sessions; users without valid "
        "tokens log in again",
        "false",
        arity="switch",
        env=("SVC_OAUTH_REFRESH_TOKENS", "PANEL_OAUTH_REFRESH_TOKENS"),
    )
    oauth_guest_endpoints: tuple[str, ...] = option(
        "--oauth-guest-endpoints",
        text,
        "URL paths of apps that can be seen without a login",
        "",
        metavar="PATH",
        arity="any",
        env=("SVC_OAUTH_GUEST_ENDPOINTS",),
        env_aliases={"PANEL_OAUTH_GUEST_ENDPOINTS": _literal_list},
    )
    oauth_optional: bool = option(
        "--oauth-optional",
        boolean,
        "Let in everybody as a guest who has not logged in",
        "false",
        arity="switch",
        env=("SVC_OAUTH_OPTIONAL", "PANEL_OAUTH_OPTIONAL"),
    )
    enable_xsrf_cookies: bool = option(
        "--enable-xsrf-cookies",
        boolean,
        "Refuse forms without the XSRF cookie's value (their pages have to include xsrf_form_html)",
        "false",
        arity="switch",
        env=("SVC_XSRF_COOKIES", "BOKEH_XSRF_COOKIES"),
        yaml="xsrf_cookies",
    )
    use_xheaders: bool = option(
        "--use-xheaders",
        boolean,
        "Take address and scheme of a client from the X- headers of a proxy",
        "false",
        arity="switch",
        env=("SVC_USE_XHEADERS",),
    )
    keep_alive: float = option(
        "--keep-alive",
        _milliseconds,
        "How often to ping clients, 0 for never",
        "37000",
        metavar="MILLISECONDS",
        env=("SVC_KEEP_ALIVE",),
    )
    """Seconds; 0 for never."""
    unused_session_lifetime: float = option(
        "--unused-session-lifetime",
        _some_milliseconds,
        "How long a session lasts without a connection",
        "15000",
        metavar="MILLISECONDS",
        env=("SVC_UNUSED_SESSION_LIFETIME",),
    )
    """Seconds."""
    check_unused_sessions: float = option(
        "--check-unused-sessions",
        _some_milliseconds,
        "How often to look for unused sessions",
        "17000",
        metavar="MILLISECONDS",
        env=("SVC_CHECK_UNUSED_SESSIONS",),
    )
    """Seconds."""
    durability: str = option(
        "--durability",
        choice("interval", "sync", "off"),
        "How sessions are kept in the store: written every interval, before a client's change is "
        "acknowledged, or not at all",
        "interval",
        metavar="MODE",
        env=("SVC_DURABILITY",),
    )
    journal_interval: float = option(
        "--journal-interval",
        _some_milliseconds,
        "Milliseconds between writes of what changed in sessions",
        "100",
        metavar="MILLISECONDS",
        env=("SVC_JOURNAL_INTERVAL",),
    )
    journal_max_bytes: int = option(
        "--journal-max-bytes",
        integer(1024),
        "A session that would take more bytes in the store is no longer kept there",
        str(16 * MIB),
        metavar="BYTES",
        env=("SVC_JOURNAL_MAX_BYTES",),
    )
    session_retention: float = option(
        "--session-retention",
        number(0),
        "Seconds in which a session that was left can be picked up again on any replica; 0 for not at all",
        "3600",
        metavar="SECONDS",
        env=("SVC_SESSION_RETENTION",),
    )
    hibernate_after: float | None = option(
        "--hibernate-after",
        number(0),
        "Seconds after which the Document of an idle session with an open page leaves the memory until "
        "its next message; 0 for never. Needs --redis. If not given: 600, but only of sessions that lose "
        "nothing by it",
        metavar="SECONDS",
        env=("SVC_HIBERNATE_AFTER",),
    )
    memory_high: int | None = option(
        "--memory-high",
        integer(0),
        "Bytes of memory above which sessions that are idle for longest leave it; 0 for never. Needs "
        "--redis. If not given: 80 percent of --memory-limit",
        metavar="BYTES",
        env=("SVC_MEMORY_HIGH",),
    )
    restore_inputs: str = option(
        "--restore-inputs",
        choice("replay", "silent"),
        "Whether restoring a session runs the app's callbacks for what users had set",
        "replay",
        metavar="MODE",
        env=("SVC_RESTORE_INPUTS",),
    )
    memory_limit: int | None = option(
        "--memory-limit",
        integer(0),
        "Bytes of memory that this process can have (its container's limit if not given); 0 for no limit",
        metavar="BYTES",
        env=("SVC_MEMORY_LIMIT",),
    )
    restore_memory_share: int = option(
        "--restore-memory-share",
        integer(0, 100),
        "Percentage of that which restoring one session may take; it is parked if it takes more. 0 for any",
        "50",
        metavar="PERCENT",
        env=("SVC_RESTORE_MEMORY_SHARE",),
    )
    drain_delay: float = option(
        "--drain-delay",
        number(0),
        "Seconds to go on serving after SIGTERM, until the balancer has noticed",
        "5",
        metavar="SECONDS",
        env=("SVC_DRAIN_DELAY",),
    )
    drain_timeout: float = option(
        "--drain-timeout",
        number(1),
        "Seconds in which all sessions are moved to other replicas after that, and jobs may end",
        "25",
        metavar="SECONDS",
        env=("SVC_DRAIN_TIMEOUT",),
    )
    websocket_max_message_size: int = option(
        "--websocket-max-message-size",
        integer(1),
        "Largest message a client may send",
        str(DEFAULT_MAX_MESSAGE_BYTES),
        metavar="BYTES",
        env=("SVC_WEBSOCKET_MAX_MESSAGE_SIZE",),
    )
    websocket_compression_level: int | None = option(
        "--websocket-compression-level",
        integer(0, 9),
        "Compress WebSocket messages (not at all if not given); 9 is the smallest and slowest",
        metavar="LEVEL",
        env=("SVC_WEBSOCKET_COMPRESSION_LEVEL",),
    )
    websocket_compression_mem_level: int | None = option(
        "--websocket-compression-mem-level",
        integer(1, 9),
        "Memory for compressing WebSocket messages; 9 is the most",
        metavar="LEVEL",
        env=("SVC_WEBSOCKET_COMPRESSION_MEM_LEVEL",),
    )
    include_headers: tuple[str, ...] = option(
        "--include-headers",
        text,
        "Request headers that apps may see (all if not given)",
        "",
        metavar="HEADER",
        arity="some",
        env=("SVC_INCLUDE_HEADERS",),
    )
    exclude_headers: tuple[str, ...] = option(
        "--exclude-headers",
        text,
        "Request headers that apps may not see",
        "",
        metavar="HEADER",
        arity="some",
        env=("SVC_EXCLUDE_HEADERS",),
    )
    include_cookies: tuple[str, ...] = option(
        "--include-cookies",
        text,
        "Request cookies that apps may see (all if not given)",
        "",
        metavar="COOKIE",
        arity="some",
        env=("SVC_INCLUDE_COOKIES",),
    )
    exclude_cookies: tuple[str, ...] = option(
        "--exclude-cookies",
        text,
        "Request cookies that apps may not see",
        "",
        metavar="COOKIE",
        arity="some",
        env=("SVC_EXCLUDE_COOKIES",),
    )
    index: str | None = option(
        "--index",
        _index,
        "A template for the page at the root, or the app that is served there, too",
        metavar="FILE|APP",
        env=("SVC_INDEX",),
    )
    index_titles: tuple[tuple[str, str], ...] = option(
        "--index-titles",
        _pair,
        "What the page at the root calls the apps, as /path=title (Panel's)",
        "",
        metavar="PATH=TITLE",
        arity="some",
        env=("SVC_INDEX_TITLES",),
    )
    disable_index: bool = option(
        "--disable-index",
        boolean,
        "No page at the root that lists the apps",
        "false",
        arity="switch",
        env=("SVC_DISABLE_INDEX",),
    )
    disable_index_redirect: bool = option(
        "--disable-index-redirect",
        boolean,
        "Do not redirect from the root to the app when there is just one",
        "false",
        arity="switch",
        env=("SVC_DISABLE_INDEX_REDIRECT",),
    )
    ico_path: str = option(
        "--ico-path",
        _icon,
        "The favicon: an .ico file, 'default' for Bokeh's, or 'none'",
        "default",
        metavar="FILE",
        env=("SVC_ICO_PATH", "BOKEH_ICO_PATH"),
        yaml="ico_path",
    )
    static_dirs: tuple[tuple[str, str], ...] = option(
        "--static-dirs",
        _static_dir,
        "Directories whose files are served, as path=directory; users have to be logged in (Panel's)",
        "",
        metavar="PATH=DIRECTORY",
        arity="some",
        env=("SVC_STATIC_DIRS",),
    )
    plugins: tuple[str, ...] = option(
        "--plugins",
        text,
        "A module whose ROUTES are added to the server's own, as Tornado has them (Panel's)",
        "",
        metavar="MODULE",
        arity="repeat",
        env=("SVC_PLUGINS",),
    )
    setup: str | None = option(
        "--setup",
        _existing_file,
        "A script that each process runs before it loads its apps (Panel's)",
        metavar="FILE",
        env=("SVC_SETUP",),
    )
    warm: bool = option(
        "--warm",
        boolean,
        "Run each app once before the server is ready (Panel's)",
        "false",
        arity="switch",
        env=("SVC_WARM",),
    )
    liveness: bool = option(
        "--liveness",
        boolean,
        "Answer at /liveness, too, that the process is alive (Panel's); /healthz always does",
        "false",
        arity="switch",
        env=("SVC_LIVENESS",),
    )
    liveness_endpoint: str = option(
        "--liveness-endpoint",
        text,
        "Where --liveness answers",
        "liveness",
        metavar="PATH",
        env=("SVC_LIVENESS_ENDPOINT",),
    )
    rest_session_info: bool = option(
        "--rest-session-info",
        boolean,
        "Answer at /session_info with the sessions of all replicas as JSON (Panel's)",
        "false",
        arity="switch",
        env=("SVC_REST_SESSION_INFO",),
    )
    session_history: int = option(
        "--session-history",
        integer(-1),
        "How many sessions each replica remembers for /session_info and pn.state.session_info (Panel's); "
        "-1 for all, 0 for none",
        "0",
        metavar="COUNT",
        env=("SVC_SESSION_HISTORY",),
    )
    global_loading_spinner: bool = option(
        "--global-loading-spinner",
        boolean,
        "Panel's pages show its spinner until they are drawn",
        "false",
        arity="switch",
        env=("SVC_GLOBAL_LOADING_SPINNER",),
    )
    page_config: str | None = option(
        "--page-config",
        _page_config,
        "Theme, logo and title of Panel's own pages, as JSON or a file of JSON (Panel 1.10)",
        metavar="JSON|FILE",
        env=("SVC_PAGE_CONFIG", "PANEL_PAGE_CONFIG"),
    )
    root_path: str | None = option(
        "--root-path",
        _slashed,
        "The path that a proxy takes away before it passes requests on, for pn.state.base_url outside of "
        "sessions (Panel's); links are relative and need none",
        metavar="PATH",
        env=("SVC_ROOT_PATH",),
    )
    reuse_sessions: str = option(
        "--reuse-sessions",
        _reuse,
        "Send the page that Panel has drawn of an app once to its next visitors, too (Panel's): the app runs "
        "when their WebSockets come, or with warm as soon as the page is sent",
        "off",
        metavar="warm",
        arity="maybe",
        env=("SVC_REUSE_SESSIONS",),
    )
    profiler: str | None = option(
        "--profiler",
        choice("pyinstrument", "snakeviz", "memray"),
        "How Panel apps are profiled (Panel's); its own admin page, at panel below the admin page, shows it",
        metavar="NAME",
        env=("SVC_PROFILER",),
    )
    panel_tasks: str = option(
        "--panel-tasks",
        choice("fleet", "replica"),
        "Who runs what pn.state.schedule_task has: one replica of the fleet at a time, or each",
        "fleet",
        metavar="WHO",
        env=("SVC_PANEL_TASKS",),
    )
    panel_cache: str = option(
        "--panel-cache",
        choice("replica", "fleet"),
        "Where pn.cache and pn.state.as_cached keep data: in each replica, or once for the fleet",
        "replica",
        metavar="WHERE",
        env=("SVC_PANEL_CACHE",),
    )
    log_level: str = option(
        "--log-level",
        _log_level,
        "One of: trace, debug, info, warning, error or critical",
        "info",
        metavar="LEVEL",
        env=("SVC_LOG_LEVEL", "BOKEH_PY_LOG_LEVEL"),
        yaml="py_log_level",
    )
    log_format: str = option(
        "--log-format",
        _log_format,
        "text for people, json for machines, or a format string of Python's logging",
        "text",
        metavar="FORMAT",
        env=("SVC_LOG_FORMAT",),
    )
    log_file: str | None = option(
        "--log-file",
        text,
        "Write the log to this file instead of stderr",
        metavar="FILE",
        env=("SVC_LOG_FILE",),
    )
    stats_log_frequency: float = option(
        "--stats-log-frequency",
        _some_milliseconds,
        "How often to log how many sessions and connections there are",
        "15000",
        metavar="MILLISECONDS",
        env=("SVC_STATS_LOG_FREQUENCY",),
    )
    """Seconds."""
    mem_log_frequency: float = option(
        "--mem-log-frequency",
        _milliseconds,
        "How often to log how much memory is used, 0 for never",
        "0",
        metavar="MILLISECONDS",
        env=("SVC_MEM_LOG_FREQUENCY",),
    )
    """Seconds; 0 for never."""
    show: bool = option(
        "--show", boolean, "Open the apps in a browser", "false", arity="switch", env=("SVC_SHOW",)
    )
    glob: bool = option(
        "--glob",
        boolean,
        "Take names of directories and scripts as patterns",
        "false",
        arity="switch",
        env=("SVC_GLOB",),
    )
    dev: tuple[str, ...] | None = option(
        "--dev",
        text,
        "Reload apps when their files (or those given here) change, and show tracebacks in the page; "
        "the apps are given before this option",
        metavar="FILES-TO-WATCH",
        arity="any",
        in_file=False,
    )
    """None: off. Otherwise the further files to watch, perhaps none."""
    args: tuple[str, ...] = option(
        "--args",
        str,
        "Everything after this is for the apps' sys.argv",
        "",
        metavar="ARGUMENTS",
        arity="rest",
        in_file=False,
    )

    @property
    def root_app(self) -> str | None:
        """The app that ``index`` names, where it names no template."""
        return self.index if self.index and Path(self.index).suffix.lower() in APP_SUFFIXES else None

    def __post_init__(self) -> None:
        """Refuse contradictions, whoever made the object. Raises ConfigError."""
        for one, other in _EXCLUSIVE:
            if getattr(self, one) and getattr(self, other):
                raise ConfigError(f"{_flag(one)} and {_flag(other)} contradict each other: give one of them")
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
        self._check_needs()
        self._check_login()
        if self.dev and not self.apps:
            *files, app = self.dev
            say = " ".join(["--dev", *files])
            raise ConfigError(
                f"--dev took {app} for a file to watch, so there is no app: "
                f"give the app first, as in `svc serve {app} {say}`"
            )
        if self.dev is not None and not self.apps:
            raise ConfigError("--dev needs an app to watch")

    def _check_needs(self) -> None:
        for one, other in _NEEDS:
            if getattr(self, one) is not None and getattr(self, other) is None:
                raise ConfigError(f"{_flag(one)} is of no use without {_flag(other)}")
        for name in ("admin_user", "admin_password", "profiler"):
            if getattr(self, name) and not self.admin:
                raise ConfigError(f"{_flag(name)} is of no use without --admin")
        if self.unix_socket and self.port != Settings.port:
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

    def max_sessions_of(self, app: str) -> int:
        """The app's own limit, or the one for every app; 0 for none."""
        limits = dict(self.max_sessions_per_app)
        return limits.get(app, limits.get("", 0))

    @property
    def has_user_tokens(self) -> bool:
        """Whether users log in with a provider that gives them tokens."""
        return self.oauth_provider not in (None, "pam")


OPTIONS: Mapping[str, Option] = {f.name: f.metadata["option"] for f in dataclasses.fields(Settings)}
"""All options by the name of their field, in the order of the documentation."""

_MOST_USED = (
    "apps", "port", "address", "redis", "num_procs", "allow_websocket_origin", "prefix", "secret_key", "dev",
    "show", "log_level",
)  # fmt: skip

_GROUPS = {
    "config": "configuration and listening",
    "app_threads": "app code",
    "redis": "the fleet",
    "max_sessions": "limits",
    "metrics_port": "metrics, health and the admin page",
    "secret_key": "tokens, origins and TLS",
    "auth_module": "users and logins",
    "use_xheaders": "connections",
    "unused_session_lifetime": "how long sessions last, and what is kept of them",
    "websocket_max_message_size": "WebSocket messages, headers and cookies",
    "index": "pages",
    "log_level": "logs and development",
}
"""What each group is about, by its first option: they are in the order of the documentation."""

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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give ``parser`` a flag per option, in groups: those that most people need come first."""
    parser.usage = "%(prog)s [OPTION ...] [DIRECTORY-OR-SCRIPT ...]"
    for title, options in _in_groups():
        add_options(parser.add_argument_group(title), options)


def _in_groups() -> Iterator[tuple[str, Mapping[str, Option]]]:
    yield "most used", {name: OPTIONS[name] for name in _MOST_USED}
    title, group = "", dict[str, Option]()
    for name, opt in OPTIONS.items():
        if name in _GROUPS:
            if group:
                yield title, group
            title, group = _GROUPS[name], {}
        if name not in _MOST_USED:
            group[name] = opt
    yield title, group


def from_arguments(given: Mapping[str, Any], environ: Mapping[str, str]) -> Settings:
    """The settings by precedence: flag, environment, configuration file, default.

    ``given`` is what a parser with :func:`add_arguments` found (``vars(namespace)``). Raises
    ConfigError with one line that names the option and where its value came from.
    """
    path = lookup(OPTIONS["config"], given.get("config"), environ, {}, "") or ""
    file = read_toml(path, OPTIONS.values()) if path else {}
    bokehs = lookup(OPTIONS["use_config"], given.get("use_config"), environ, file, path) or ""
    yaml = read_yaml(bokehs) if bokehs else {}
    given = {**_from_yaml(yaml, bokehs), **given}
    return Settings(
        **{name: lookup(opt, given.get(name), environ, file, path) for name, opt in OPTIONS.items()}
    )


def _from_yaml(yaml: Mapping[str, Any], path: str) -> dict[str, Any]:
    """The options that Bokeh's settings file has, as if they were given as flags."""
    return {
        name: Checked(from_yaml(opt, yaml[opt.yaml], path))
        for name, opt in OPTIONS.items()
        if opt.yaml is not None and yaml.get(opt.yaml) is not None
    }


def options_table() -> str:
    """All options as a Markdown table, for the documentation."""
    rows = ["| option | environment | default | meaning |", "|---|---|---|---|"]
    for opt in OPTIONS.values():
        value = "" if opt.arity == "switch" or not opt.metavar else f" {opt.metavar}"
        variables = ", ".join(f"`{name}`" for name in (*opt.env, *opt.env_aliases))
        cells = (f"`{opt.flag}{value}`", variables, opt.default or "", opt.help)
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) + "\n"
