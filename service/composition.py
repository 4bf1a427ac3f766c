"""Of which parts a replica is composed: :func:`build` makes each from those above it.

Nothing happens here: no socket is opened, no thread begun, nothing of the process changed, and no file read
but the favicon. What does that comes before (:mod:`service.preparation`, whose results are the
:class:`Inputs`) or after (:class:`service.server.Server`, which starts and stops the parts).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from socket import socket
from typing import Any

from tornado.web import Application

from service.admin.watch import FleetWatch
from service.apps.app import App
from service.apps.panel_login import PanelLogin
from service.apps.slow import SlowCalls
from service.apps.worker_pool import WorkerPool
from service.audit import acted, claimed
from service.background import spawn
from service.documents import shortcuts
from service.documents.extensions import made_with
from service.errors import ConfigError
from service.fleet.agreement import Agreement
from service.fleet.files import PeerFiles
from service.fleet.heartbeat import Heartbeater
from service.fleet.job_queue import Jobs
from service.fleet.maintenance_mode import MaintenanceMode
from service.fleet.ownership_check import OwnershipCheck
from service.fleet.peers import Peers
from service.fleet.relay import ReplicaClient
from service.fleet.routing import Router
from service.fleet.store_clock import StoreClock
from service.fleet.store_thread import StoreThread
from service.fleet.tasks import Tasks
from service.fleet.user_tokens import UserTokenKeeper
from service.lag import LagMeter
from service.listening import Listener, peer_tls
from service.metrics import Metrics
from service.replica_status import ReplicaStatus, thread_readings
from service.session_runtime import SessionRuntime
from service.sessions.registry import SessionSlot
from service.sessions.user_tokens import SessionTokens
from service.settings import Settings
from service.store_memory import StoreMemory
from service.store_opening import open_store_of
from service.tracing import Tracing
from service.version import VERSION
from service.web.accepting import PausingHTTPServer
from service.web.auth import Auth
from service.web.direct import DirectHandshakes
from service.web.health import Health
from service.web.keep_alive import KeepAlive
from service.web.origins import OriginPolicy
from service.web.panel_auth import panel_auth
from service.web.resources import PageResources
from service.web.reused_pages import ReusedPages
from service.web.routes import make_application, make_internal_application
from service.web.services import Services
from store.contract import Store
from store.journal_thread import JournalThread
from store.redis_store import RedisStore

__all__ = ("Inputs", "Parts", "build")

DAY_SECONDS = 24 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What a replica is composed of, and what was opened, read or imported for it in this process."""

    settings: Settings
    replica: str
    apps: Mapping[str, App]
    """By their URL paths; without the admin page."""
    listener: Listener
    clock: StoreClock
    tracing: Tracing
    auth: Auth
    """The program's, or the auth module's."""
    login: PanelLogin | None
    """Panel's, where the settings ask for it."""
    origins: OriginPolicy
    versions: Mapping[str, str]
    """Of Bokeh and of all installed Bokeh extensions."""
    digest: str
    """Of all that decides which files this replica has."""
    routes: Sequence[Any] = ()
    """Besides our own, as Tornado has them."""
    metrics_sockets: Sequence[socket] = ()
    """That ``--metrics-port`` listens on."""
    http_options: Mapping[str, Any] | None = None
    """Of Tornado's HTTPServer, where the program gives some."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What :func:`build` has made. They know each other; nothing of them runs yet."""

    metrics: Metrics
    store: RedisStore
    journals: JournalThread | None
    """Writes journals on a thread of its own; None where the store is in this process."""
    store_thread: StoreThread
    store_memory: StoreMemory
    watch: FleetWatch
    apps: Mapping[str, App]
    pool: WorkerPool | None
    """Threads for app code; None where it runs on the event loop."""
    tasks: Tasks
    jobs: Jobs
    runtime: SessionRuntime
    agreement: Agreement
    lag: LagMeter
    slow: SlowCalls
    heartbeater: Heartbeater
    asked_to_stop: asyncio.Event
    """Set when somebody asked this replica to drain."""
    services: Services
    health: Health
    application: Application
    http: PausingHTTPServer
    """For browsers."""
    internal: PausingHTTPServer
    """For other replicas."""


def build(inputs: Inputs) -> Parts:
    """Make the parts. Raises ConfigError where the settings contradict the apps or each other."""
    settings, replica, clock = inputs.settings, inputs.replica, inputs.clock
    shared = settings.redis is not None
    metrics = _metrics()

    # The store, and the threads that use it.
    store = open_store_of(settings, metrics)
    # A round trip to Redis takes many turns of an event loop, one to the store in this process none.
    journals = JournalThread(store.twin()) if shared else None
    store_thread = StoreThread(store.twin)
    agreement = Agreement(store)
    watch = FleetWatch(store)
    store_memory = StoreMemory(store.servers)
    if shared:
        metrics.watch(store_memory.readings)

    # Apps, and what runs their code.
    apps = {**inputs.apps, **_admin_apps(settings, inputs.apps, store, watch)}
    _check_limits(settings, apps)
    pool = _worker_pool(settings, apps, metrics)
    in_fleet = shared and settings.panel_tasks == "fleet"
    tasks = Tasks(store_thread, replica, in_fleet=in_fleet, meter=metrics.fleet)
    jobs = Jobs(store_thread, replica, slots=settings.jobs, counts=metrics, in_fleet=shared)
    lag = LagMeter(metrics.lag_seconds.observe)
    slow = SlowCalls(settings.slow_callback, _count_slow(apps, metrics), _owner_of_files(apps))

    # Users.
    keeper = _token_keeper(inputs, store)
    auth = inputs.auth if inputs.login is None else panel_auth(settings, inputs.login, keeper)
    for app in apps.values():
        app.logs_out_at(auth.logout_path(settings.prefix))

    # Sessions, and whose they are.
    runtime = SessionRuntime(
        store, journals or store, apps, settings, replica, metrics, inputs.tracing,
        _session_tokens(inputs.login, keeper),
    )  # fmt: skip
    asked_to_stop = asyncio.Event()
    maintenance = MaintenanceMode()
    status = ReplicaStatus(
        replica,
        versions=inputs.versions,
        build=inputs.digest,
        registry=runtime.registry,
        lag=lag,
        slow=slow,
        pool=pool,
        metrics=metrics,
        apps=apps,
        maintenance=maintenance,
        address=lambda: inputs.listener.advertised,
        draining=lambda: services.draining,
    )
    heartbeater = Heartbeater(
        store.twin,
        status.describe,
        runtime.registry.changes,
        clock,
        ttl=settings.heartbeat_ttl,
        on_doubt=lambda: _resolve_doubt(heartbeater, agreement, runtime.ownership_check),
        on_drain=lambda by: _begin_to_stop(replica, asked_to_stop, by),
        on_end=runtime.asked_to_end,
        on_maintenance=maintenance.follow,
    )

    # What answers requests, of browsers and of other replicas.
    client = ReplicaClient(
        lambda: services.tokens,
        clock.time,
        settings.prefix,
        settings.websocket_max_message_size,
        peer_tls(settings),
        inputs.tracing,
    )
    services = _services(inputs, auth, store, apps, runtime, client, heartbeater, metrics, maintenance)
    health = Health(services, heartbeater.silent_for, runtime.writer.lag)
    metrics.watch(health.readings)
    metrics.watch(lambda: thread_readings(pool))
    application = make_application(services, health, inputs.routes)
    http, internal = _http_servers(inputs, services, application, metrics)
    return Parts(
        metrics=metrics,
        store=store,
        journals=journals,
        store_thread=store_thread,
        store_memory=store_memory,
        watch=watch,
        apps=apps,
        pool=pool,
        tasks=tasks,
        jobs=jobs,
        runtime=runtime,
        agreement=agreement,
        lag=lag,
        slow=slow,
        heartbeater=heartbeater,
        asked_to_stop=asked_to_stop,
        services=services,
        health=health,
        application=application,
        http=http,
        internal=internal,
    )


def _metrics() -> Metrics:
    metrics = Metrics(version=VERSION)
    for group, is_in in shortcuts.installed():
        metrics.shortcuts.labels(group).set(is_in)
    return metrics


def _admin_apps(
    settings: Settings, apps: Mapping[str, App], store: RedisStore, watch: FleetWatch
) -> dict[str, App]:
    if not settings.admin:
        return {}
    from service.admin.app import admin_app  # late: plots and layouts take a while to import
    from service.admin.panels import panels_admin_app

    path = settings.admin_endpoint
    made = {path: admin_app(store, watch, can_drain=settings.redis is not None, path=path)}
    if settings.profiler is not None:
        made[f"{path}/panel"] = panels_admin_app(f"{path}/panel", settings.profiler)
    for taken in made.keys() & apps.keys():
        raise ConfigError(
            f"--admin and an app want the URL path {taken}: rename the app, or say --admin-endpoint"
        )
    return made


def _check_limits(settings: Settings, apps: Mapping[str, App]) -> None:
    """Raises ConfigError: a limit for a path with a typo would limit nothing."""
    for path, _ in settings.max_sessions_per_app:
        if path and path not in apps:
            raise ConfigError(f"--max-sessions-per-app: no app is at {path}; there are: {', '.join(apps)}")


def _worker_pool(settings: Settings, apps: Mapping[str, App], metrics: Metrics) -> WorkerPool | None:
    if not settings.app_threads:
        return None
    pool = WorkerPool(max(settings.app_threads, settings.num_threads or 0))
    for app in apps.values():
        if not app.for_operators:
            app.run_on(pool.workers(app.path, metrics.app(app.path).queue_seconds.observe))
    return pool


def _count_slow(apps: Mapping[str, App], metrics: Metrics) -> Callable[[str], None]:
    def count(app: str) -> None:
        if app in apps:
            metrics.app(app).slow_callbacks.inc()

    return count


def _owner_of_files(apps: Mapping[str, App]) -> Callable[[str], str]:
    def app_of_file(file: str) -> str:
        """The URL path of the app in whose directory it is."""
        found = ((app.imports.directory, path) for path, app in apps.items())
        return next((path for directory, path in found if directory and directory.owns(file)), "")

    return app_of_file


def _token_keeper(inputs: Inputs, store: Store) -> UserTokenKeeper | None:
    settings, login = inputs.settings, inputs.login
    if login is None or not settings.has_user_tokens:
        return None
    return UserTokenKeeper(
        store,
        login.refresh,
        lifetime=settings.oauth_expiry_days * DAY_SECONDS,
        refreshes=settings.oauth_refresh_tokens,
        clock=inputs.clock.time,
    )


def _session_tokens(login: PanelLogin | None, keeper: UserTokenKeeper | None) -> SessionTokens | None:
    return None if login is None or keeper is None else SessionTokens(keeper, login.cookies)


def _resolve_doubt(heartbeater: Heartbeater, agreement: Agreement, check: OwnershipCheck) -> None:
    """The fleet may have taken this replica for gone, or the store has lost what it held."""
    spawn(agreement.again())
    spawn(check.resolve(heartbeater.doubts))


def _begin_to_stop(replica: str, asked_to_stop: asyncio.Event, by: str) -> None:
    """The heartbeat says so until this replica has left the fleet."""
    if not asked_to_stop.is_set():
        says = "this replica was asked to drain, and begins to"
        acted("drain", replica, says, operator=claimed(by))
        asked_to_stop.set()


def _services(
    inputs: Inputs,
    auth: Auth,
    store: Store,
    apps: Mapping[str, App],
    runtime: SessionRuntime,
    client: ReplicaClient,
    heartbeater: Heartbeater,
    metrics: Metrics,
    maintenance: MaintenanceMode,
) -> Services:
    settings, replica, versions = inputs.settings, inputs.replica, made_with()
    developing = settings.dev is not None
    peers = Peers(store, replica)
    check = runtime.ownership_check

    async def is_ours(slot: SessionSlot) -> bool:
        return check.sure(heartbeater) or await check.is_ours(slot)

    router = Router(
        store,
        runtime.registry,
        replica,
        client,
        metrics,
        failed=runtime.departures.failed,
        is_ours=is_ours,
        crash_guard=runtime.crash_guard,
        # Who develops an app wants to see what its code does now.
        waking=None if developing else runtime.waking,
        tracing=inputs.tracing,
        versions=versions,
        peers=peers,
    )
    return Services(
        settings=settings,
        replica=replica,
        apps=apps,
        store=store,
        registry=runtime.registry,
        history=runtime.history,
        timeouts=runtime.timeouts,
        router=router,
        replica_client=client,
        files=PeerFiles(peers, client, inputs.digest),
        versions=versions,
        installed=inputs.versions,
        origins=inputs.origins,
        auth=auth,
        keep_alive=KeepAlive(settings.keep_alive),
        resources=PageResources(),
        reused=None if settings.reuse_sessions == "off" else ReusedPages(),
        developing=developing,
        metrics=metrics,
        tracing=inputs.tracing,
        clock=inputs.clock.time,
        maintenance=maintenance,
    )


def _http_servers(
    inputs: Inputs, services: Services, application: Application, metrics: Metrics
) -> tuple[PausingHTTPServer, PausingHTTPServer]:
    """For browsers, and for other replicas."""
    tls, paused = inputs.listener.tls, metrics.accept_pauses.inc
    internal = make_internal_application(services)
    # With TLS, or other rules about HTTP, all connections are Tornado's.
    pages, relays = (
        DirectHandshakes(services, each).take if tls is None and not inputs.http_options else None
        for each in (application, internal)
    )
    options = {"xheaders": inputs.settings.use_xheaders, **(inputs.http_options or {})}
    return (
        PausingHTTPServer(application, ssl_options=tls, paused=paused, takes=pages, **options),
        PausingHTTPServer(internal, ssl_options=tls, paused=paused, takes=relays),
    )
