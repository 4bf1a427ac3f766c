"""What a replica says of itself: to the fleet with each heartbeat, and to whoever reads its metrics."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict

from service.apps.app import App
from service.apps.slow import SlowCalls
from service.apps.worker_pool import WorkerPool
from service.fleet.maintenance_mode import MaintenanceMode
from service.lag import LagMeter, LoadMeter
from service.memory import resident
from service.metrics import Metrics, Reading
from service.sessions.registry import Registry
from service.version import VERSION
from store.contract import Heartbeat

__all__ = ("ReplicaStatus", "thread_readings")

MAX_SLOW_CALLS_IN_HEARTBEAT = 5
MAX_BUILDS_IN_HEARTBEAT = 50
"""Of each replica, in its heartbeat."""


class ReplicaStatus:
    """Describes the replica, whenever it is asked to; on the heartbeat's thread.

    ``address`` and ``draining`` are asked each time: the one is found out, the other begins, after the start.
    """

    def __init__(
        self,
        replica: str,
        *,
        versions: Mapping[str, str],
        build: str,
        registry: Registry,
        lag: LagMeter,
        slow: SlowCalls,
        pool: WorkerPool | None,
        metrics: Metrics,
        apps: Mapping[str, App],
        maintenance: MaintenanceMode,
        address: Callable[[], str],
        draining: Callable[[], bool],
    ) -> None:
        self._replica = replica
        self._started = time.time()
        self._versions = versions
        self._build = build
        self._registry = registry
        self._lag = lag
        self._load = LoadMeter()
        self._slow = slow
        self._pool = pool
        self._metrics = metrics
        self._apps = apps
        self._maintenance = maintenance
        self._address = address
        self._draining = draining

    def describe(self) -> Heartbeat:
        tally = self._registry.tally()
        return Heartbeat(
            replica=self._replica,
            address=self._address(),
            version=VERSION,
            started=self._started,
            sessions=tally.sessions,
            asleep=tally.asleep,
            errors=self._errors(),
            memory=resident(),
            connections=tally.connections,
            lag=self._lag.worst(),
            load=self._load.share(),
            queued=0 if self._pool is None else self._pool.queued,
            draining=self._draining(),
            maintenance=self._maintenance.since,
            versions=self._versions,
            build=self._build,
            building=self._building(),
            slow=[asdict(each) for each in self._slow.latest()[:MAX_SLOW_CALLS_IN_HEARTBEAT]],
        )

    def _errors(self) -> dict[str, int]:
        return {
            path: self._metrics.app(path).errors for path, app in self._apps.items() if not app.for_operators
        }

    def _building(self) -> dict[str, float]:
        """The longest of them, which somebody may want to end."""
        longest = self._registry.being_built()[:MAX_BUILDS_IN_HEARTBEAT]
        return {slot.key.tag: attempt.since for slot, attempt in longest}


def thread_readings(pool: WorkerPool | None) -> Iterator[Reading]:
    """The gauges of threads for app code, at each scrape."""
    shares = () if pool is None else pool.shares
    busy: dict[tuple[str, ...], float] = {}
    queued: dict[tuple[str, ...], float] = {}
    given_up: dict[tuple[str, ...], float] = {}
    for share in shares:
        busy[(share.app,)], queued[(share.app,)] = share.busy, share.queued
        given_up[(share.app,)] = share.given_up
    yield Reading("app_threads_busy", "Threads that run the app's code", busy, ("app",))
    yield Reading("app_threads_given_up", "Threads with code of the app that is not waited for any more",
                  given_up, ("app",))  # fmt: skip
    yield Reading("app_queue", "Calls of the app's code that wait for a thread", queued, ("app",))
