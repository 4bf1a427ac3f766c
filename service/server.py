"""The composition root: makes the parts, starts them in one order and stops them in its reverse."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

from service import logs
from service.admin.watch import FleetWatch
from service.apps import panel_cache
from service.apps.app import App
from service.apps.panel import (
    runs_on_this_thread,
    share_cookie_secret,
    share_threads,
    start_timers_on_loop,
)
from service.apps.panel_login import PanelLogin, with_panels_config
from service.apps.panel_settings import PanelSettings, check_page_config, tell_panel
from service.apps.raised import Exited
from service.apps.slow import SlowCalls
from service.apps.worker_pool import WorkerPool
from service.audit import acted, claimed
from service.background import beside, ends_within, spawn
from service.close_codes import REPLICA_STOPS
from service.documents import shortcuts
from service.documents.extensions import installed_versions, made_with
from service.errors import ConfigError
from service.fleet.agreement import Agreement
from service.fleet.caching import AppResults
from service.fleet.files import PeerFiles
from service.fleet.heartbeat import Heartbeater
from service.fleet.job_queue import Jobs
from service.fleet.local_copies import SharedValues
from service.fleet.maintenance_mode import MaintenanceMode
from service.fleet.panel_caching import PanelCache
from service.fleet.peers import Peers
from service.fleet.relay import ReplicaClient
from service.fleet.results import ReplicaResults
from service.fleet.routing import Router
from service.fleet.store_thread import StoreThread
from service.fleet.tasks import Tasks
from service.fleet.topics import Topics
from service.fleet.user_tokens import UserTokenKeeper
from service.lag import LagMeter, LoadMeter
from service.listening import Inherited, Listener, open_metrics_sockets, peer_tls
from service.memory import Collector, keep_large_blocks, resident
from service.metrics import Metrics, Reading
from service.patches import install_patches
from service.plugins import plugin_routes
from service.probe import try_session, warm
from service.reloading import Reloader
from service.session_runtime import SessionRuntime
from service.sessions.registry import SessionSlot
from service.sessions.user_tokens import SessionTokens
from service.settings import Settings
from service.stats import log_memory, log_stats, repeat
from service.store_memory import StoreMemory
from service.timings import BEAT_INTERVAL_SECONDS
from service.tokens import TokenAuthority
from service.tracing import tracing_for
from service.version import VERSION
from service.web.accepting import PausingHTTPServer
from service.web.auth import Auth, load_auth
from service.web.direct import DirectHandshakes
from service.web.health import Health, make_metrics_application
from service.web.keep_alive import KeepAlive
from service.web.origins import OriginPolicy
from service.web.panel_auth import panel_auth
from service.web.resources import PageResources, build_of
from service.web.reused_pages import ReusedPages
from service.web.routes import make_application, make_internal_application
from service.web.services import Services
from service.web.urls import quoted
from store.connect import open_store
from store.contract import Heartbeat
from store.encryption import PLAIN, Encryption
from store.errors import StoreConfigError, StoreUnavailable
from store.journal_thread import JournalThread
from store.redis_store import RedisStore

__all__ = ("Server", "open_store_of")

log = logging.getLogger(__name__)

DEV_TOKEN_EXPIRATION = 30 * 24 * 3600.0
"""Seconds, with ``--dev``."""

DAY_SECONDS = 24 * 3600.0

SHARED_INTERVAL = 0.1
"""Seconds between looks at what other replicas have changed, where apps share something."""

SHARED_ALONE_INTERVAL = 1.0

LOGGED_STOP_SECONDS = 0.01
"""That a part takes to end."""

MAX_SLOW_CALLS_IN_HEARTBEAT = 5
MAX_BUILDS_IN_HEARTBEAT = 50
"""Of each replica, in its heartbeat."""


class Server:
    """One replica. :meth:`start` returns when it serves, :meth:`stop` when all is given back.

    ``application`` answers requests: those that come to the sockets of ``listener``, and those that a program
    with sockets of its own gives to it.
    """

    def __init__(
        self,
        settings: Settings,
        apps: Mapping[str, App],
        inherited: Inherited | None = None,
        *,
        auth: Auth | None = None,
        extra_routes: Sequence[Any] = (),
        http_options: Mapping[str, Any] | None = None,
        listener: Listener | None = None,
        origins: OriginPolicy | None = None,
    ) -> None:
        install_patches()
        if settings.dev is not None:
            # The page stays open over reloads, however long its author thinks.
            settings = dataclasses.replace(settings, session_token_expiration=DEV_TOKEN_EXPIRATION)
        if auth is None:
            settings = with_panels_config(settings)
        self.settings = settings
        self.replica = secrets.token_hex(4)
        logs.this_replica(self.replica)
        auth = auth or load_auth(settings.auth_module)
        login = self._panel_login(auth)
        if settings.admin:
            password = settings.admin_password is not None
            auth.check_admin(settings.admin_user, password=password, logins=login is not None)
        _tell_panel(settings)
        self._listener = listener or Listener(settings, inherited)
        self.port = self._listener.port
        self._metrics_sockets = open_metrics_sockets(settings.metrics_port, settings.address)
        self.metrics = Metrics(version=VERSION)
        for group, is_in in shortcuts.installed():
            self.metrics.shortcuts.labels(group).set(is_in)
        self._tracing = tracing_for(settings.traces, self.replica)
        self._started = time.time()
        self._versions = installed_versions()
        self._store = open_store_of(settings, self.metrics)
        self._user_tokens = self._make_keeper(login)
        self._auth = auth if login is None else panel_auth(settings, login, self._user_tokens)
        # A round trip to Redis takes many turns of an event loop, one to the store in this process none.
        self._journals = JournalThread(self._store.twin()) if settings.redis is not None else None
        self._store_thread = StoreThread(self._store.twin)
        self._tasks = Tasks(
            self._store_thread, self.replica, in_fleet=_is_in_fleet(settings), meter=self.metrics.fleet
        )
        self._jobs = Jobs(
            self._store_thread,
            self.replica,
            slots=settings.jobs,
            counts=self.metrics,
            in_fleet=settings.redis is not None,
        )
        self._watch = FleetWatch(self._store)
        self.apps = {**apps, **self._admin(apps)}
        _check_limits(settings, self.apps)
        self._pool = self._make_pool()
        self._build = build_of(self._versions, apps)
        tokens = self._session_tokens(login)
        self._runtime = SessionRuntime(
            self._store,
            self._journals or self._store,
            self.apps,
            settings,
            self.replica,
            self.metrics,
            self._tracing,
            tokens,
        )
        self._maintenance = MaintenanceMode()
        self._store_memory = StoreMemory(self._store.servers)
        self._agreement = Agreement(self._store)
        self._lag = LagMeter(self.metrics.lag_seconds.observe)
        self._load = LoadMeter()
        self._slow = SlowCalls(settings.slow_callback, self._count_slow, self._app_of_file)
        self.asked_to_stop = asyncio.Event()
        """Set when somebody asked this replica to drain; who runs the server then stops it."""
        self._heartbeater = Heartbeater(
            self._store.twin,
            self._describe,
            self._runtime.registry.changes,
            ttl=settings.heartbeat_ttl,
            on_doubt=self._in_doubt,
            on_drain=self._asked_to_drain,
            on_end=self._runtime.asked_to_end,
            on_maintenance=self._maintenance.follow,
        )
        self.services = self._make_services(
            origins or OriginPolicy(settings.allow_websocket_origin, self.port or 80)
        )
        self.health = Health(self.services, self._heartbeater.silent_for, self._runtime.writer.lag)
        self.metrics.watch(self.health.readings)
        self.metrics.watch(self._thread_readings)
        if settings.redis is not None:
            self.metrics.watch(self._store_memory.readings)
        extra = [*extra_routes, *plugin_routes(settings.plugins)]
        self.application = make_application(self.services, self.health, extra)
        tls = self._listener.tls
        paused = self.metrics.accept_pauses.inc
        options = {"xheaders": settings.use_xheaders, **(http_options or {})}
        internal = make_internal_application(self.services)
        # With TLS, or other rules about HTTP, all connections are Tornado's.
        pages, relays = (
            DirectHandshakes(self.services, each).take if tls is None and not http_options else None
            for each in (self.application, internal)
        )
        self._http = PausingHTTPServer(
            self.application, ssl_options=tls, paused=paused, takes=pages, **options
        )
        self._internal = PausingHTTPServer(internal, ssl_options=tls, paused=paused, takes=relays)
        self._running = AsyncExitStack()

    @property
    def urls(self) -> list[str]:
        """Where a browser on this machine finds the apps."""
        paths = ((each.path if each.pattern else quoted(each.path)) for each in self.apps.values())
        return [self.base_url + path for path in paths]

    @property
    def base_url(self) -> str:
        """What all the apps' URLs on this machine begin with."""
        return self._listener.base_url + self.settings.prefix

    async def start(self) -> None:
        """Start the parts in order. The health check answers at once, the apps when all is done."""
        parts: list[Callable[[], AbstractAsyncContextManager[None]]] = [
            self._tracing_on,
            self._threads_open,
            self._store_open,
            self._listening,
            self._measuring,
            self._slow_code_named,
            self._store_answering,
            self._store_measured,
            self._sharing,
            self._apps_loaded,
            self._probed,
            self._warmed,
            self._heart_beating,
            self._runtime.journaling,
            self._expiring,
            self._logging_stats,
            self._watching,
            self._reloading,
            self._collecting,
            self._serving,
        ]
        for part in parts:
            await self._running.enter_async_context(_end_timed(part))

    async def stop(self) -> None:
        """Stop what was started, last first. The sockets are there from the beginning, started or not."""
        await self._running.aclose()
        self._listener.close()
        for each in self._metrics_sockets:
            each.close()

    def unlisten(self) -> None:
        """Give back the ports at once; who is connected stays until :meth:`stop`. On the loop's thread."""
        for server in (self._http, self._internal):
            server.stop()
        self._listener.close()

    # -- the parts, in order -------------------------------------------------------------------

    @asynccontextmanager
    async def _tracing_on(self) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await asyncio.to_thread(self._tracing.stop)

    @asynccontextmanager
    async def _threads_open(self) -> AsyncIterator[None]:
        runs_on_this_thread()
        start_timers_on_loop(asyncio.get_running_loop())
        if self._pool is not None:
            self._pool.open()
        try:
            yield
        finally:
            if self._pool is not None:
                self._pool.close()

    @asynccontextmanager
    async def _store_open(self) -> AsyncIterator[None]:
        if self._journals is not None:
            self._journals.start()
        try:
            yield
        finally:
            self.services.replica_client.close()
            if self._journals is not None:
                await self._journals.close()
            await self._store.close()

    @asynccontextmanager
    async def _listening(self) -> AsyncIterator[None]:
        self._http.add_sockets(self._listener.public)
        self._internal.add_sockets(self._listener.internal)
        try:
            yield
        finally:
            for server in (self._http, self._internal):
                server.stop()
                await server.close_all_connections()
            for websocket in list(self.services.websockets):
                websocket.cut()
            self._listener.close()

    @asynccontextmanager
    async def _measuring(self) -> AsyncIterator[None]:
        http = PausingHTTPServer(
            make_metrics_application(self.metrics), paused=self.metrics.accept_pauses.inc
        )
        http.add_sockets(self._metrics_sockets)
        for app in self.apps:
            self.metrics.app(app)
        try:
            yield
        finally:
            http.stop()
            await http.close_all_connections()

    @asynccontextmanager
    async def _slow_code_named(self) -> AsyncIterator[None]:
        async with beside(self._slow.run()):
            yield

    @asynccontextmanager
    async def _store_answering(self) -> AsyncIterator[None]:
        await self._wait_for_store()
        settings = self.settings
        if settings.secret_key:
            self._sign_tokens(settings.secret_key, settings.previous_secret_key)
        else:
            await self._agreement.on("tokens", self._sign_tokens)
        if settings.cookie_secret:
            self._sign_cookies(settings.cookie_secret)
        else:
            await self._agreement.on("cookies", self._sign_cookies)
        yield

    @asynccontextmanager
    async def _store_measured(self) -> AsyncIterator[None]:
        if self.settings.redis is None:
            yield
            return
        async with beside(self._store_memory.run()):
            yield

    @asynccontextmanager
    async def _sharing(self) -> AsyncIterator[None]:
        """What apps share with other replicas; nothing begins before one does."""
        thread = self._store_thread
        alone = self.settings.redis is None  # then only time changes anything from outside
        interval = SHARED_ALONE_INTERVAL if alone else SHARED_INTERVAL
        values = SharedValues(thread, interval=interval, meter=self.metrics.fleet)
        self.metrics.watch(values.readings)
        topics = Topics(thread, self.metrics)
        results = ReplicaResults(thread, self.metrics.fleet)
        for app in self.apps.values():
            of_app = AppResults.of(results, app)
            of_app.panel = PanelCache(of_app) if self.settings.panel_cache == "fleet" else None
            app.server_context.shares(values, self._tasks.of(app), of_app, self._jobs.of(app, values))
            app.server_context.publishes(topics)
        try:
            async with self._jobs.looking(self._store):
                yield
        finally:
            await asyncio.to_thread(thread.close)

    @asynccontextmanager
    async def _apps_loaded(self) -> AsyncIterator[None]:
        for app in self.apps.values():
            try:
                await app.load()
            except Exited as error:
                raise ConfigError(f"{app.path}: on_server_loaded has ended with {error.exit!r}") from None
        try:
            yield
        finally:
            if not await ends_within(self.settings.drain_timeout, self._unload_apps()):
                log.error("server hooks take too long at shutdown: continuing without them%s", self._doing())

    async def _unload_apps(self) -> None:
        for app in self.apps.values():
            await app.unload()

    @asynccontextmanager
    async def _probed(self) -> AsyncIterator[None]:
        """A server that can make no sessions lives on, for whoever looks into it, but is never ready."""
        try:
            await try_session(self.services.resources)
        except Exception as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            self.services.is_unfit(f"no session can be made: {reason}")
            log.critical("this replica stays unready, %s", self.services.unfit, exc_info=error)
        yield

    @asynccontextmanager
    async def _warmed(self) -> AsyncIterator[None]:
        if self.settings.warm:
            for app in self.apps.values():
                await warm(app)
        yield

    @asynccontextmanager
    async def _heart_beating(self) -> AsyncIterator[None]:
        await asyncio.to_thread(self._listener.find_address)  # DNS may take its time
        await self._heartbeater.start(own_thread=self.settings.redis is not None)
        try:
            yield
        finally:
            await self._heartbeater.stop()

    @asynccontextmanager
    async def _expiring(self) -> AsyncIterator[None]:
        async with beside(self._runtime.expire(), self._runtime.refresh_tokens(), self._lag.run()):
            yield

    @asynccontextmanager
    async def _logging_stats(self) -> AsyncIterator[None]:
        settings = self.settings
        jobs = (
            repeat(partial(log_stats, self._runtime.registry), settings.stats_log_frequency),
            repeat(log_memory, settings.mem_log_frequency),
        )
        async with beside(*jobs):
            yield

    @asynccontextmanager
    async def _watching(self) -> AsyncIterator[None]:
        async with beside(self._watch.run()):
            yield

    @asynccontextmanager
    async def _reloading(self) -> AsyncIterator[None]:
        settings = self.settings
        if settings.dev is None:
            yield
            return
        reloaders = [
            Reloader(
                app,
                settings.args,
                settings.dev,
                self._runtime.registry,
                self._runtime.departures,
                self.services.resources,
                self.services.websockets,
            )
            for app in self.apps.values()
            if not app.for_operators
        ]
        async with beside(*(each.run() for each in reloaders)):
            yield

    @asynccontextmanager
    async def _collecting(self) -> AsyncIterator[None]:
        keep_large_blocks()
        registry = self._runtime.registry
        collector = Collector(lambda: registry.ended, lambda: len(list(registry)))
        collector.settle()
        try:
            async with beside(collector.run()):
                yield
        finally:
            collector.stop()

    @asynccontextmanager
    async def _serving(self) -> AsyncIterator[None]:
        self.services.started.set()
        try:
            yield
        finally:
            self.services.begin_to_drain()
            self._tasks.stop()
            self._jobs.stop()
            await self._drain()

    # -- details -------------------------------------------------------------------------------

    def _panel_login(self, auth: Auth) -> PanelLogin | None:
        settings = self.settings
        if not (settings.basic_auth or settings.oauth_provider):
            return None
        if auth.asks:
            flag = "--basic-auth" if settings.basic_auth else "--oauth-provider"
            raise ConfigError(f"{flag}: the program knows its users already (auth_provider or auth_policy)")
        return PanelLogin(settings, lambda: self._heartbeater.store_time())

    def _make_keeper(self, login: PanelLogin | None) -> UserTokenKeeper | None:
        settings = self.settings
        if login is None or not settings.has_user_tokens:
            return None
        return UserTokenKeeper(
            self._store,
            login.refresh,
            lifetime=settings.oauth_expiry_days * DAY_SECONDS,
            refreshes=settings.oauth_refresh_tokens,
            clock=lambda: self._heartbeater.store_time(),
        )

    def _session_tokens(self, login: PanelLogin | None) -> SessionTokens | None:
        keeper = self._user_tokens
        return None if login is None or keeper is None else SessionTokens(keeper, login.cookies)

    def _make_pool(self) -> WorkerPool | None:
        settings = self.settings
        if not settings.app_threads:
            share_threads(None, settings.num_threads)
            return None
        pool = WorkerPool(max(settings.app_threads, settings.num_threads or 0))
        for app in self.apps.values():
            if not app.for_operators:
                app.run_on(pool.workers(app.path, self.metrics.app(app.path).queue_seconds.observe))
        share_threads(pool, settings.num_threads)
        return pool

    def _thread_readings(self) -> Iterator[Reading]:
        shares = () if self._pool is None else self._pool.shares
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

    def _doing(self) -> str:
        jobs = [] if self._pool is None else self._pool.running()
        return "".join(f"; still in {job.what}" for job in jobs)

    def _give_up_builds(self) -> None:
        """And whatever else of the apps still runs on threads: no session waits for it any more."""
        if self._pool is not None:
            for job in self._pool.running():
                log.error("not waiting for app code that is still in %s", job.what)
            self._pool.give_up_all()

    def _admin(self, apps: Mapping[str, App]) -> dict[str, App]:
        settings = self.settings
        if not settings.admin:
            return {}
        from service.admin.app import admin_app  # late: plots and layouts take a while to import
        from service.admin.panels import panels_admin_app

        path = settings.admin_endpoint
        made = {path: admin_app(self._store, self._watch, can_drain=settings.redis is not None, path=path)}
        if settings.profiler is not None:
            made[f"{path}/panel"] = panels_admin_app(f"{path}/panel", settings.profiler)
        for taken in made.keys() & apps.keys():
            raise ConfigError(
                f"--admin and an app want the URL path {taken}: rename the app, or say --admin-endpoint"
            )
        return made

    def _make_services(self, origins: OriginPolicy) -> Services:
        settings = self.settings
        replica_client = ReplicaClient(
            lambda: self.services.tokens,
            self._heartbeater.store_time,
            settings.prefix,
            settings.websocket_max_message_size,
            peer_tls(settings),
            self._tracing,
        )
        peers = Peers(self._store, self.replica)
        versions = made_with()
        for app in self.apps.values():
            app.logs_out_at(self._auth.logout_path(settings.prefix))
        return Services(
            settings=settings,
            replica=self.replica,
            apps=self.apps,
            store=self._store,
            registry=self._runtime.registry,
            history=self._runtime.history,
            timeouts=self._runtime.timeouts,
            router=Router(
                self._store,
                self._runtime.registry,
                self.replica,
                replica_client,
                self.metrics,
                failed=self._runtime.departures.failed,
                is_ours=self._is_ours,
                crash_guard=self._runtime.crash_guard,
                # Who develops an app wants to see what its code does now.
                waking=None if self.settings.dev is not None else self._runtime.waking,
                tracing=self._tracing,
                versions=versions,
                peers=peers,
            ),
            replica_client=replica_client,
            files=PeerFiles(peers, replica_client, self._build),
            versions=versions,
            installed=self._versions,
            origins=origins,
            auth=self._auth,
            keep_alive=KeepAlive(settings.keep_alive),
            resources=PageResources(),
            reused=None if settings.reuse_sessions == "off" else ReusedPages(),
            developing=settings.dev is not None,
            metrics=self.metrics,
            tracing=self._tracing,
            clock=self._heartbeater.store_time,
            maintenance=self._maintenance,
        )

    async def _wait_for_store(self) -> None:
        """Retry until the store answers; says so once."""
        delay = 0.1
        while True:
            try:
                await self._store.ping()
                return
            except StoreUnavailable as error:
                if delay == 0.1:
                    log.warning("waiting for the store: %s", error)
            await asyncio.sleep(delay)
            delay = min(delay * 2, 2.0)

    def _asked_to_drain(self, by: str) -> None:
        """The heartbeat says so until this replica has left the fleet."""
        if not self.asked_to_stop.is_set():
            says = "this replica was asked to drain, and begins to"
            acted("drain", self.replica, says, operator=claimed(by))
            self.asked_to_stop.set()

    async def _drain(self) -> None:
        """Unready at once; serve on until the balancer has noticed; then move the sessions away."""
        settings = self.settings
        if settings.redis is not None and len(self._runtime.registry):
            log.info("draining begins in %g s", settings.drain_delay)
            # The others must have heard of it, who else would take us for dead.
            await asyncio.gather(
                self._heartbeater.beat_now(within=2 * BEAT_INTERVAL_SECONDS),
                asyncio.sleep(settings.drain_delay),
            )
        self.services.close()
        # From here on balancers find nobody listening, and try another replica.
        self._http.stop()
        await asyncio.gather(
            self._runtime.drain(),
            self._tasks.ended(settings.drain_timeout),
            self._jobs.ended(settings.drain_timeout),
        )
        self._give_up_builds()
        for websocket in list(self.services.websockets):  # those of relays
            websocket.close(*REPLICA_STOPS)

    def _sign_tokens(self, secret: str, previous: str | None = None) -> None:
        self.services.sign_with(TokenAuthority(secret, previous, session_ids=self.settings.session_ids))

    def _sign_cookies(self, secret: str, previous: str | None = None) -> None:
        self.application.settings["cookie_secret"] = secret
        share_cookie_secret(secret)

    def _in_doubt(self) -> None:
        spawn(self._agreement.again())
        spawn(self._runtime.ownership_check.resolve(self._heartbeater.doubts))

    async def _is_ours(self, slot: SessionSlot) -> bool:
        ownership_check = self._runtime.ownership_check
        return ownership_check.sure(self._heartbeater) or await ownership_check.is_ours(slot)

    def _count_slow(self, app: str) -> None:
        if app in self.apps:
            self.metrics.app(app).slow_callbacks.inc()

    def _app_of_file(self, file: str) -> str:
        """The URL path of the app in whose directory it is."""
        found = ((app.imports.directory, path) for path, app in self.apps.items())
        return next((path for directory, path in found if directory and directory.owns(file)), "")

    def _building(self) -> dict[str, float]:
        """The longest of them, which somebody may want to end."""
        longest = self._runtime.registry.being_built()[:MAX_BUILDS_IN_HEARTBEAT]
        return {slot.key.tag: attempt.since for slot, attempt in longest}

    def _errors(self) -> dict[str, int]:
        return {
            path: self.metrics.app(path).errors for path, app in self.apps.items() if not app.for_operators
        }

    def _describe(self) -> Heartbeat:
        tally = self._runtime.registry.tally()
        return Heartbeat(
            replica=self.replica,
            address=self._listener.advertised,
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
            draining=self.services.draining,
            maintenance=self._maintenance.since,
            versions=self._versions,
            build=self._build,
            building=self._building(),
            slow=[dataclasses.asdict(each) for each in self._slow.latest()[:MAX_SLOW_CALLS_IN_HEARTBEAT]],
        )


@asynccontextmanager
async def _end_timed(part: Callable[[], AbstractAsyncContextManager[None]]) -> AsyncIterator[None]:
    """The log tells with ``--log-level debug`` where time goes between SIGTERM and the end."""
    began = time.monotonic()
    try:
        async with part():
            try:
                yield
            finally:
                began = time.monotonic()
    finally:
        took = time.monotonic() - began
        if took > LOGGED_STOP_SECONDS:
            log.debug("stopping: to end %s took %.2f s", part.__name__.strip("_").replace("_", " "), took)


def _check_limits(settings: Settings, apps: Mapping[str, App]) -> None:
    """Raises ConfigError: a limit for a path with a typo would limit nothing."""
    for path, _ in settings.max_sessions_per_app:
        if path and path not in apps:
            raise ConfigError(f"--max-sessions-per-app: no app is at {path}; there are: {', '.join(apps)}")


def open_store_of(settings: Settings, metrics: Metrics) -> RedisStore:
    """The store that ``settings`` name. Raises ConfigError."""
    encryption = _encryption(settings)
    try:
        return open_store(
            settings.redis,
            prefix=settings.redis_prefix,
            observe=metrics.store_attempt,
            encryption=encryption,
            vault=_vault(settings),
        )
    except StoreConfigError as error:
        raise ConfigError(f"--redis: {error}") from error


def _vault(settings: Settings) -> Encryption:
    """For users' tokens, which are encrypted in any case where they leave this process."""
    if settings.redis is None or not settings.has_user_tokens:
        return PLAIN
    given = (settings.secret_key or settings.cookie_secret, settings.previous_secret_key)
    try:
        return Encryption([key for key in given if key], writes=True, requires=True)
    except StoreConfigError as error:
        raise ConfigError(f"--oauth-provider: tokens in Redis are encrypted: {error}") from error


def _encryption(settings: Settings) -> Encryption:
    """Of what is written, if asked for. What others have encrypted is read in any case."""
    mode = settings.encrypt_store
    if settings.redis is None:
        if mode != "off":
            log.info("--encrypt-store has no effect without --redis: sessions do not leave this process")
        return PLAIN
    secrets = [key for key in (settings.secret_key, settings.previous_secret_key) if key]
    try:
        return Encryption(secrets, writes=mode != "off", requires=mode == "required")
    except StoreConfigError as error:
        raise ConfigError(f"--encrypt-store: {error}") from error


def _is_in_fleet(settings: Settings) -> bool:
    """Whether what Panel schedules is the fleet's matter."""
    return settings.redis is not None and settings.panel_tasks == "fleet"


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
