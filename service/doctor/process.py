"""What a replica needs of its own machine: versions, apps, files that may be open, secrets, origins."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from service.apps.loading import load_apps
from service.doctor.findings import Finding, fine, problem, warning
from service.errors import AppLoadError, ConfigError
from service.lines.choice import is_proven, refuse_unsupported
from service.settings import LimitSettings, NetworkSettings, Settings
from service.web.accepting import raise_file_limit
from service.web.origins import OriginPolicy

__all__ = ("check_process",)

FILES_ASIDE = 200
"""Connections to Redis and to other replicas, logs, listeners, libraries."""

FEW_PAGES = 4000

MIN_SECRET = 32
"""Characters."""

_NAME_HOSTS = "name the hosts of your pages: --allow-websocket-origin www.example.org"


def check_process(settings: Settings) -> Iterator[Finding]:
    """Looks at this process as ``svc serve`` with these settings would find it."""
    yield _versions()
    yield _apps(settings)
    yield _open_files(settings)
    yield _secret(settings)
    yield _origins(settings)


def _versions() -> Finding:
    try:
        bokeh = refuse_unsupported()
    except ConfigError as error:
        return problem("versions", str(error), "install a version that is supported")
    found = f"Python {platform.python_version()}, bokeh {bokeh}, panel {_version('panel')}"
    if not is_proven(bokeh):
        return warning(
            "versions", f"{found}: this bokeh is newer than those tested", "upgrade svc, or pin bokeh"
        )
    return fine("versions", found)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _apps(settings: Settings) -> Finding:
    if not settings.apps:
        return warning("apps", "none are named", "name the apps as for svc serve, so that they are looked at")
    try:
        apps = load_apps(settings.apps, settings.args, patterns=settings.glob)
    except (AppLoadError, ConfigError) as error:
        return problem("apps", str(error), "mend it, or leave that app out")
    return fine("apps", f"can be read: {', '.join(sorted(apps))}")


def _open_files(settings: LimitSettings) -> Finding:
    files = raise_file_limit()
    pages = max(0, files - FILES_ASIDE)  # each is a socket
    says = f"{files} may be open, enough for about {pages} open pages in each process"
    advice = "raise the limit of the container or the service (ulimit -n, LimitNOFILE=)"
    if settings.max_sessions and pages < settings.max_sessions:
        return problem(
            "open files",
            f"{says}, and --max-sessions is {settings.max_sessions}",
            f"{advice}, or lower --max-sessions",
        )
    return warning("open files", says, advice) if pages < FEW_PAGES else fine("open files", says)


def _secret(settings: NetworkSettings) -> Finding:
    if settings.secret_key:
        if len(settings.secret_key) < MIN_SECRET:
            return warning(
                "secret key", f"it has fewer than {MIN_SECRET} characters", "make one with: svc secret"
            )
        return fine("secret key", "one is given")
    if settings.redis is None:
        return fine(
            "secret key", "none is given: each start makes a new one, and open pages are refused then"
        )
    return warning(
        "secret key",
        "none is given: the replicas agree on one in Redis, and who can read Redis can forge session tokens",
        "make one with svc secret, and give it to all replicas as SVC_SECRET_KEY",
    )


def _origins(settings: NetworkSettings) -> Finding:
    allowed = settings.allow_websocket_origin
    if not allowed:
        says = "only pages of this machine (localhost) may connect"
        if settings.redis is None:
            return fine("origins", says)
        return warning(
            "origins", says, "name the hosts of your pages: --allow-websocket-origin www.example.org"
        )
    try:
        everyone = OriginPolicy(allowed, settings.port).admits_everyone
    except ConfigError as error:
        return problem("origins", str(error), _NAME_HOSTS)
    if everyone:
        return warning(
            "origins",
            "pages of any site may connect, in the name of whoever looks at them",
            _NAME_HOSTS,
        )
    return fine("origins", f"pages of {', '.join(allowed)} may connect")
