"""A running replica: its parts are started in one order, and stopped in its reverse.

What the parts are is said in :mod:`service.composition`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

from service.apps.app import App
from service.apps.panel import runs_on_this_thread, share_cookie_secret, share_threads, start_timers_on_loop
from service.apps.raised import Exited
from service.background import beside, ends_within
from service.close_codes import REPLICA_STOPS
from service.composition import build
from service.errors import ConfigError
from service.fleet.caching import AppResults
from service.fleet.local_copies import SharedValues
from service.fleet.panel_caching import PanelCache
from service.fleet.results import ReplicaResults
from service.fleet.topics import Topics
from service.listening import Inherited, Listener
from service.memory import Collector, keep_large_blocks
from service.preparation import prepare
from service.probe import try_session, warm
from service.reloading import Reloader
from service.settings import Settings
from service.stats import log_memory, log_stats, repeat
from service.timings import BEAT_INTERVAL_SECONDS, SHARED_ALONE_INTERVAL_SECONDS, SHARED_INTERVAL_SECONDS
from service.tokens import TokenAuthority
from service.web.accepting import PausingHTTPServer
from service.web.auth import Auth
from service.web.health import make_metrics_application
from service.web.origins import OriginPolicy
from service.web.urls import quoted
from store.errors import StoreUnavailable

__all__ = ("Server",)

log = logging.getLogger(__name__)

LOGGED_STOP_SECONDS = 0.01
"""That a part takes to end."""


class Server:
    """One replica. :meth:`start` returns when it serves, :meth:`stop` when all is given back.

    ``application`` answers requests: those that come to the sockets of ``listener``, and those that a program
    with sockets of its own gives to it. Making one prepares the process, and opens the sockets.
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
        inputs = prepare(
            settings,
            apps,
            auth=auth,
            extra_routes=extra_routes,
            http_options=http_options,
            listener=listener,
            inherited=inherited,
            origins=origins,
        )
        parts = self._parts = build(inputs)
        share_threads(parts.pool, inputs.settings.num_threads)
        self.settings = inputs.settings
        self.replica = inputs.replica
        self.port = inputs.listener.port
        self.apps = parts.apps
        self.application = parts.application
        self.asked_to_stop = parts.asked_to_stop
        """Set when somebody asked this replica to drain; who runs the server then stops it."""
        self._listener = inputs.listener
        self._metrics_sockets = inputs.metrics_sockets
        self._tracing = inputs.tracing
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
            self._parts.runtime.journaling,
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
        for server in (self._parts.http, self._parts.internal):
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
        if self._parts.pool is not None:
            self._parts.pool.open()
        try:
            yield
        finally:
            if self._parts.pool is not None:
                self._parts.pool.close()

    @asynccontextmanager
    async def _store_open(self) -> AsyncIterator[None]:
        if self._parts.journals is not None:
            self._parts.journals.start()
        try:
            yield
        finally:
            self._parts.services.replica_client.close()
            if self._parts.journals is not None:
                await self._parts.journals.close()
            await self._parts.store.close()

    @asynccontextmanager
    async def _listening(self) -> AsyncIterator[None]:
        self._parts.http.add_sockets(self._listener.public)
        self._parts.internal.add_sockets(self._listener.internal)
        try:
            yield
        finally:
            for server in (self._parts.http, self._parts.internal):
                server.stop()
                await server.close_all_connections()
            for websocket in list(self._parts.services.websockets):
                websocket.cut()
            self._listener.close()

    @asynccontextmanager
    async def _measuring(self) -> AsyncIterator[None]:
        http = PausingHTTPServer(
            make_metrics_application(self._parts.metrics), paused=self._parts.metrics.accept_pauses.inc
        )
        http.add_sockets(self._metrics_sockets)
        for app in self.apps:
            self._parts.metrics.app(app)
        try:
            yield
        finally:
            http.stop()
            await http.close_all_connections()

    @asynccontextmanager
    async def _slow_code_named(self) -> AsyncIterator[None]:
        async with beside(self._parts.slow.run()):
            yield

    @asynccontextmanager
    async def _store_answering(self) -> AsyncIterator[None]:
        await self._wait_for_store()
        settings = self.settings
        if settings.secret_key:
            self._sign_tokens(settings.secret_key, settings.previous_secret_key)
        else:
            await self._parts.agreement.on("tokens", self._sign_tokens)
        if settings.cookie_secret:
            self._sign_cookies(settings.cookie_secret)
        else:
            await self._parts.agreement.on("cookies", self._sign_cookies)
        yield

    @asynccontextmanager
    async def _store_measured(self) -> AsyncIterator[None]:
        if self.settings.redis is None:
            yield
            return
        async with beside(self._parts.store_memory.run()):
            yield

    @asynccontextmanager
    async def _sharing(self) -> AsyncIterator[None]:
        """What apps share with other replicas; nothing begins before one does."""
        thread = self._parts.store_thread
        alone = self.settings.redis is None  # then only time changes anything from outside
        interval = SHARED_ALONE_INTERVAL_SECONDS if alone else SHARED_INTERVAL_SECONDS
        values = SharedValues(thread, interval=interval, meter=self._parts.metrics.fleet)
        self._parts.metrics.watch(values.readings)
        topics = Topics(thread, self._parts.metrics)
        results = ReplicaResults(thread, self._parts.metrics.fleet)
        for app in self.apps.values():
            of_app = AppResults.of(results, app)
            of_app.panel = PanelCache(of_app) if self.settings.panel_cache == "fleet" else None
            app.server_context.shares(
                values, self._parts.tasks.of(app), of_app, self._parts.jobs.of(app, values)
            )
            app.server_context.publishes(topics)
        try:
            async with self._parts.jobs.looking(self._parts.store):
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
            await try_session(self._parts.services.resources)
        except Exception as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            self._parts.services.is_unfit(f"no session can be made: {reason}")
            log.critical("this replica stays unready, %s", self._parts.services.unfit, exc_info=error)
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
        await self._parts.heartbeater.start(own_thread=self.settings.redis is not None)
        try:
            yield
        finally:
            await self._parts.heartbeater.stop()

    @asynccontextmanager
    async def _expiring(self) -> AsyncIterator[None]:
        async with beside(
            self._parts.runtime.expire(), self._parts.runtime.refresh_tokens(), self._parts.lag.run()
        ):
            yield

    @asynccontextmanager
    async def _logging_stats(self) -> AsyncIterator[None]:
        settings = self.settings
        jobs = (
            repeat(partial(log_stats, self._parts.runtime.registry), settings.stats_log_frequency),
            repeat(log_memory, settings.mem_log_frequency),
        )
        async with beside(*jobs):
            yield

    @asynccontextmanager
    async def _watching(self) -> AsyncIterator[None]:
        async with beside(self._parts.watch.run()):
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
                self._parts.runtime.registry,
                self._parts.runtime.departures,
                self._parts.services.resources,
                self._parts.services.websockets,
            )
            for app in self.apps.values()
            if not app.for_operators
        ]
        async with beside(*(each.run() for each in reloaders)):
            yield

    @asynccontextmanager
    async def _collecting(self) -> AsyncIterator[None]:
        keep_large_blocks()
        registry = self._parts.runtime.registry
        collector = Collector(lambda: registry.ended, lambda: len(list(registry)))
        collector.settle()
        try:
            async with beside(collector.run()):
                yield
        finally:
            collector.stop()

    @asynccontextmanager
    async def _serving(self) -> AsyncIterator[None]:
        self._parts.services.started.set()
        try:
            yield
        finally:
            self._parts.services.begin_to_drain()
            self._parts.tasks.stop()
            self._parts.jobs.stop()
            await self._drain()

    # -- details -------------------------------------------------------------------------------

    async def _wait_for_store(self) -> None:
        """Retry until the store answers; says so once."""
        delay = 0.1
        while True:
            try:
                await self._parts.store.ping()
                return
            except StoreUnavailable as error:
                if delay == 0.1:
                    log.warning("waiting for the store: %s", error)
            await asyncio.sleep(delay)
            delay = min(delay * 2, 2.0)

    async def _drain(self) -> None:
        """Unready at once; serve on until the balancer has noticed; then move the sessions away."""
        settings = self.settings
        if settings.redis is not None and len(self._parts.runtime.registry):
            log.info("draining begins in %g s", settings.drain_delay)
            # The others must have heard of it, who else would take us for dead.
            await asyncio.gather(
                self._parts.heartbeater.beat_now(within=2 * BEAT_INTERVAL_SECONDS),
                asyncio.sleep(settings.drain_delay),
            )
        self._parts.services.close()
        # From here on balancers find nobody listening, and try another replica.
        self._parts.http.stop()
        await asyncio.gather(
            self._parts.runtime.drain(),
            self._parts.tasks.ended(settings.drain_timeout),
            self._parts.jobs.ended(settings.drain_timeout),
        )
        self._give_up_builds()
        for websocket in list(self._parts.services.websockets):  # those of relays
            websocket.close(*REPLICA_STOPS)

    def _doing(self) -> str:
        jobs = [] if self._parts.pool is None else self._parts.pool.running()
        return "".join(f"; still in {job.what}" for job in jobs)

    def _give_up_builds(self) -> None:
        """And whatever else of the apps still runs on threads: no session waits for it any more."""
        if self._parts.pool is not None:
            for job in self._parts.pool.running():
                log.error("not waiting for app code that is still in %s", job.what)
            self._parts.pool.give_up_all()

    def _sign_tokens(self, secret: str, previous: str | None = None) -> None:
        self._parts.services.sign_with(
            TokenAuthority(secret, previous, session_ids=self.settings.session_ids)
        )

    def _sign_cookies(self, secret: str, previous: str | None = None) -> None:
        self.application.settings["cookie_secret"] = secret
        share_cookie_secret(secret)


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
