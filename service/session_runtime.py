"""What keeps a replica's sessions: those that live here, their journals, and the ways in which they leave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from service.apps.app import App
from service.apps.worker_pool import BUILDS_DIVISOR
from service.background import beside
from service.fleet.drain import Drain
from service.fleet.ownership_check import OwnershipCheck
from service.memory import container_limit
from service.metrics import Metrics
from service.sessions.build_timeouts import BuildTimeouts
from service.sessions.building import Builder
from service.sessions.crash_guard import CrashGuard
from service.sessions.departures import Departures
from service.sessions.ending import Ending
from service.sessions.expiry import Expiry
from service.sessions.hibernation import DEFAULT_IDLE_SECONDS, Hibernation
from service.sessions.history import SessionHistory
from service.sessions.journaling import JournalWriter
from service.sessions.pressure import MemoryPressure
from service.sessions.registry import Registry
from service.sessions.session import Maintenance
from service.sessions.user_tokens import SessionTokens
from service.sessions.waking import Waking
from service.settings import Settings
from service.tracing import Tracing
from store.contract import Journals, Store

__all__ = ("SessionRuntime",)

HIGH_PERCENT = 80
"""Of the memory that this process can have: what one callback takes must find room in the rest."""


class SessionRuntime:
    """Makes these parts, which know each other, as ``settings`` say."""

    def __init__(
        self,
        store: Store,
        journals: Journals,
        apps: Mapping[str, App],
        settings: Settings,
        replica: str,
        metrics: Metrics,
        tracing: Tracing,
        tokens: SessionTokens | None = None,
    ) -> None:
        self._store = store
        self._tokens = tokens
        self._settings = settings
        self._metrics = metrics
        self.crash_guard = CrashGuard(store, replica, most_memory=most_memory(settings))
        self.writer = JournalWriter(
            journals,
            replica,
            interval=settings.journal_interval,
            max_bytes=settings.journal_max_bytes,
            sync=settings.durability == "sync",
            lost=lambda session: self.departures.lost(session.slot),
            metrics=metrics,
        )
        self.history = SessionHistory(settings.session_history)
        maintenance = Maintenance(
            mark=self.writer.mark,
            rendered=lambda session: self.history.rendered(session.key),
            settle=self.writer.settle if settings.durability == "sync" else None,
            around_timer=self.crash_guard.timer,
        )
        self.timeouts = BuildTimeouts(settings.build_timeout, metrics)
        builder = _builder(settings, metrics, maintenance, tokens)
        self.registry = Registry(apps, builder, self.timeouts.of_build, self.history)
        self.departures = Departures(
            store, self.registry, self.writer, replica, retention=settings.session_retention, metrics=metrics
        )
        self.waking = Waking(
            store, self.registry, self.departures, self.crash_guard, replica,
            metrics=metrics, tracing=tracing, at_once=_wakes_at_once(settings),
        )  # fmt: skip
        self.ownership_check = OwnershipCheck(store, self.registry, self.writer, self.departures, replica)
        self.asked_to_end = Ending(self.registry, self.departures).asked

    @asynccontextmanager
    async def journaling(self) -> AsyncIterator[None]:
        """Journals are written meanwhile."""
        async with beside(self.writer.run()):
            yield

    async def expire(self) -> None:
        """End or hibernate what is not used; until cancelled."""
        settings = self._settings
        hibernation = self._hibernation()
        expiry = Expiry(
            self._store,
            self.registry,
            self.writer,
            self.departures,
            hibernation,
            lifetime=settings.unused_session_lifetime,
            interval=settings.check_unused_sessions,
            retention=settings.session_retention,
        )
        work = [expiry.run()]
        if high := memory_high(settings):
            work.append(MemoryPressure(hibernation, high=high, metrics=self._metrics).run())
        await asyncio.gather(*work)

    async def refresh_tokens(self) -> None:
        """Keep tokens of users with sessions here fresh, if there are any; until cancelled."""
        if self._tokens is not None:
            await self._tokens.run(self.registry.held)

    async def drain(self) -> None:
        """Move all sessions to other replicas."""
        await Drain(self.registry, self.departures, self._metrics, timeout=self._settings.drain_timeout).run()

    def _hibernation(self) -> Hibernation:
        asked = self._settings.hibernate_after
        return Hibernation(
            self.registry,
            self.writer,
            self.waking,
            after=_sleep_by_default(self._settings) if asked is None else asked,
            careful=asked is None,
            metrics=self._metrics,
        )


def _sleep_by_default(settings: Settings) -> float:
    """Without a shared store, sleeping sessions would stay in this memory; an author looks at live ones."""
    return DEFAULT_IDLE_SECONDS if settings.redis is not None and settings.dev is None else 0.0


def most_memory(settings: Settings) -> int:
    """Bytes that one session may take when it is restored; 0 where no limit is known."""
    return _limit(settings) * settings.restore_memory_share // 100


def memory_high(settings: Settings) -> int:
    """Bytes above which sessions go to sleep; 0 for never."""
    if settings.redis is None:
        return 0
    high = settings.memory_high
    return _limit(settings) * HIGH_PERCENT // 100 if high is None else high


def _limit(settings: Settings) -> int:
    """Bytes that this process can have; 0 where no limit is known."""
    limit = settings.memory_limit
    return container_limit() // settings.num_procs if limit is None else limit


def _wakes_at_once(settings: Settings) -> int:
    """In the background: most of the threads that may build are for sessions that somebody waits for."""
    return max(1, settings.app_threads // BUILDS_DIVISOR // 4)


def _builder(
    settings: Settings, metrics: Metrics, maintenance: Maintenance, tokens: SessionTokens | None
) -> Builder:
    # Without a shared store there is no other replica, and what is retained would only take memory.
    # Over a change of its code, too, a session is restored from its journal.
    restored = settings.redis is not None or settings.dev is not None
    durable = restored and settings.durability != "off"
    return Builder(
        durable=durable,
        replay_inputs=settings.restore_inputs == "replay",
        metrics=metrics,
        developing=settings.dev is not None,
        maintenance=maintenance,
        tokens=tokens,
    )
