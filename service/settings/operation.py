"""Options: what operators see and are asked for: metrics, traces, health and the admin page."""

from __future__ import annotations

from dataclasses import dataclass

from service.options import boolean, choice, integer, number, option, text
from service.settings import values
from service.timings import MIN_HEARTBEAT_TTL_SECONDS

__all__ = ("OperationSettings",)


@dataclass(frozen=True, kw_only=True)
class OperationSettings:
    """What operators see and are asked for: metrics, traces, health and the admin page."""

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
        values.slashed_path,
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
            "OTEL_TRACES_EXPORTER": values.traces_exporter,
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": values.otlp,
            "OTEL_EXPORTER_OTLP_ENDPOINT": values.otlp,
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
