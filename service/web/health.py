"""Probes and ``/metrics``: what the platform asks about this replica, and the numbers behind it.

Nothing here touches the store or app code: a probe must answer at once whatever else is wrong.
A replica that is full stays ready: Kubernetes would delete a pod that is not ready before any
other when it scales down, which is the fullest one. It turns page views away instead.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator

from tornado.web import Application, RequestHandler

from service.metrics import CONTENT_TYPE, Metrics, Reading
from service.web.services import Services

__all__ = (
    "Health",
    "HealthHandler",
    "MetricsHandler",
    "ReadyHandler",
    "StartupHandler",
    "make_metrics_application",
)


class Health:
    """How this replica is.

    ``silent_for`` says how many seconds the store has not been reached, ``journal_lag`` how old
    (seconds) the oldest change is that it does not have yet.
    """

    def __init__(
        self, services: Services, silent_for: Callable[[], float], journal_lag: Callable[[], float]
    ) -> None:
        self._services = services
        self._silent_for = silent_for
        self._journal_lag = journal_lag

    def unready(self) -> list[str]:
        """Why this replica should get no traffic; empty when it should.

        The store may be away for a while first: what is open goes on without it, and all replicas
        turning unready at once would leave a balancer with nobody.
        """
        reasons = {
            "starting": not self._services.ready,
            "draining": self._services.draining,
            "the store is away": self._silent_for() > self._services.settings.readiness_grace,
        }
        unfit = self._services.unfit
        return [*([unfit] if unfit else []), *(reason for reason, applies in reasons.items() if applies)]

    def readings(self) -> Iterator[Reading]:
        """The gauges that are looked up at each scrape."""
        services = self._services
        yield Reading("ready", "Whether this replica takes traffic", {(): float(not self.unready())})
        yield Reading("draining", "Whether it is on its way out", {(): float(services.draining)})
        silent = min(self._silent_for(), 1e9)
        yield Reading("store_silence_seconds", "Time since the store took a heartbeat", {(): silent})
        yield Reading("journal_lag_seconds", "Age of the oldest unwritten change", {(): self._journal_lag()})
        yield Reading("max_sessions", "The limit, 0 for none", {(): services.settings.max_sessions})
        limits: dict[tuple[str, ...], float] = {
            (path,): services.settings.max_sessions_of(path)
            for path, app in services.apps.items()
            if not app.for_operators
        }
        yield Reading("max_sessions_per_app", "The limit for one app, 0 for none", limits, ("app",))
        tasks = len(asyncio.all_tasks())
        yield Reading("event_loop_tasks", "Tasks of the event loop, those of apps included", {(): tasks})
        yield from self._session_readings()

    def _session_readings(self) -> Iterator[Reading]:
        sessions: Counter[tuple[str, ...]] = Counter()
        connections: Counter[tuple[str, ...]] = Counter()
        visited = [path for path, app in self._services.apps.items() if not app.for_operators]
        for app in visited:
            sessions[app, "connected"] = sessions[app, "unused"] = connections[(app,)] = 0
        closed: dict[tuple[str, ...], float] = {
            (app,): self._services.maintenance.notice_for(app) is not None for app in visited
        }
        yield Reading("maintenance", "Whether an operator lets no new sessions begin", closed, ("app",))
        operators = 0
        for session in self._services.registry:
            if session.app.for_operators:
                operators += 1
                continue
            sessions[session.key.app, "connected" if session.connection_count else "unused"] += 1
            connections[(session.key.app,)] += session.connection_count
        asleep = [slot for slot in self._services.registry.held() if slot.session is None]
        for slot in asleep:
            connections[(slot.key.app,)] += len(slot.connections)
        yield Reading("sessions", "Sessions that live here", sessions, ("app", "state"))
        yield Reading("hibernated_sessions", "Sessions that sleep in the store", {(): len(asleep)})
        yield Reading("admin_sessions", "Admin pages that live here, no load to scale by", {(): operators})
        yield Reading("connections", "Clients of the sessions that live here", connections, ("app",))


class HealthHandler(RequestHandler):
    """``GET /healthz``: the process lives."""

    def get(self) -> None:
        self.finish("ok\n")


class StartupHandler(RequestHandler):
    """``GET /startupz``: the apps are loaded, the store has answered once, and sessions can be made."""

    def initialize(self, services: Services) -> None:
        self._services = services

    def get(self) -> None:
        reason = self._services.unfit or ("" if self._services.ready else "starting")
        self.set_status(503 if reason else 200)
        self.finish((reason or "started") + "\n")


class ReadyHandler(RequestHandler):
    """``GET /readyz``: this replica may get traffic."""

    def initialize(self, health: Health) -> None:
        self._health = health

    def get(self) -> None:
        reasons = self._health.unready()
        self.set_status(503 if reasons else 200)
        self.finish((", ".join(reasons) or "ready") + "\n")


class MetricsHandler(RequestHandler):
    """``GET /metrics`` for Prometheus."""

    def initialize(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def get(self) -> None:
        self.set_header("Content-Type", CONTENT_TYPE)
        self.set_header("Cache-Control", "no-store")
        self.finish(self._metrics.render())


def make_metrics_application(metrics: Metrics) -> Application:
    """What ``--metrics-port`` serves."""
    routes = [(r"/metrics", MetricsHandler, {"metrics": metrics}), (r"/healthz", HealthHandler, {})]
    return Application(routes, log_function=lambda handler: None)
