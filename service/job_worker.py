"""``svc worker``: a process that runs jobs and serves nobody."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from service import exit_codes, logs, stop_signals
from service.apps.app import App
from service.apps.loading import load_apps
from service.errors import ConfigError
from service.fleet.caching import AppResults
from service.fleet.job_queue import Jobs
from service.fleet.local_copies import SharedValues
from service.fleet.results import ReplicaResults
from service.fleet.store_thread import StoreThread
from service.fleet.topics import Topics
from service.listening import open_metrics_sockets
from service.metrics import Metrics
from service.patches import install_patches
from service.settings import Settings
from service.store_opening import open_store_of
from service.timings import SHARED_INTERVAL_SECONDS
from service.version import VERSION
from service.web.accepting import PausingHTTPServer
from service.web.health import make_metrics_application
from store.contract import Store
from store.errors import StoreConfigError, StoreUnavailable
from store.redis_store import RedisStore

__all__ = ("run",)

log = logging.getLogger(__name__)

RETRY_SECONDS = 2.0

NEVER_SECONDS = 60.0
"""After which a store that has not answered yet is taken for a mistake. One that was there is waited for."""


def run(settings: Settings) -> int:
    """Run jobs until SIGTERM or SIGINT; the exit status. Raises ConfigError and AppLoadError."""
    if settings.redis is None:
        raise ConfigError("svc worker runs the jobs of a fleet: give its --redis (or set SVC_REDIS_URL)")
    if not settings.apps:
        raise ConfigError("svc worker needs the apps whose jobs it runs")
    if not settings.jobs:
        raise ConfigError("svc worker with --jobs 0 has nothing to do")
    return asyncio.run(_run(settings))


async def _run(settings: Settings) -> int:
    install_patches()
    worker = secrets.token_hex(4)
    logs.this_replica(worker)
    stopping, stuck = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    stop_signals.take(loop, stopping.set)

    def is_stuck() -> None:
        loop.call_soon_threadsafe(stuck.set)
        loop.call_soon_threadsafe(stopping.set)

    metrics = Metrics(version=VERSION)
    apps = load_apps(settings.apps, settings.args, patterns=settings.glob)
    async with _store(settings, metrics) as store, _measuring(settings, metrics):
        if not await _answers(store, stopping):
            return exit_codes.SUCCESS
        thread = StoreThread(store.twin)
        jobs = Jobs(thread, worker, slots=settings.jobs, counts=metrics, stuck=is_stuck)
        _share(apps, jobs, thread, metrics)
        try:
            jobs.needed()
            log.info("worker %s runs %d jobs at once of: %s", worker, settings.jobs, ", ".join(apps))
            await stopping.wait()
            jobs.stop()
            await jobs.ended(settings.drain_timeout)
        finally:
            await asyncio.to_thread(thread.close)
    log.info("stopped")
    return exit_codes.STUCK if stuck.is_set() else exit_codes.SUCCESS


def _share(apps: Mapping[str, App], jobs: Jobs, thread: StoreThread, metrics: Metrics) -> None:
    values = SharedValues(thread, interval=SHARED_INTERVAL_SECONDS, meter=metrics.fleet)
    results, topics = ReplicaResults(thread, metrics.fleet), Topics(thread, metrics)
    for app in apps.values():
        app.server_context.on_this_loop()
        app.server_context.shares(values, None, AppResults.of(results, app), jobs.of(app, values))
        app.server_context.publishes(topics)


@asynccontextmanager
async def _store(settings: Settings, metrics: Metrics) -> AsyncIterator[RedisStore]:
    store = open_store_of(settings, metrics)
    try:
        yield store
    except StoreConfigError as error:
        raise ConfigError(f"--redis: {error}") from error
    finally:
        await store.close()


@asynccontextmanager
async def _measuring(settings: Settings, metrics: Metrics) -> AsyncIterator[None]:
    """Who asks for /healthz or /metrics is answered from here on."""
    http = PausingHTTPServer(make_metrics_application(metrics), paused=metrics.accept_pauses.inc)
    http.add_sockets(open_metrics_sockets(settings.metrics_port, settings.address))
    try:
        yield
    finally:
        http.stop()
        await http.close_all_connections()


async def _answers(store: Store, stopping: asyncio.Event) -> bool:
    """Wait for the store; False if it is time to stop before that. Raises ConfigError if it never answers."""
    began, said = time.monotonic(), False
    while not stopping.is_set():
        try:
            await store.ping()
            if said:
                log.info("the store is there")
            return True
        except StoreUnavailable as error:
            if time.monotonic() - began >= NEVER_SECONDS:
                raise ConfigError(f"--redis: no answer within {NEVER_SECONDS:g} s: {error}") from error
            if not said:
                said = True
                log.warning("waiting for the store: %s", error)
        try:
            async with asyncio.timeout(RETRY_SECONDS):
                await stopping.wait()
        except TimeoutError:
            pass
    return False
