"""Letting go of the Documents of idle sessions whose pages are still open.

The journal in the store holds everything; the pages' sockets stay, and the next message brings
the Document back before it is answered. So an idle tab costs little more than its socket.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any

from service.apps.variables import app_coroutines
from service.errors import AppCodeAbandoned
from service.metrics import Metrics
from service.sessions.journaling import JournalWriter
from service.sessions.life import State
from service.sessions.registry import Registry
from service.sessions.session import Session
from service.sessions.waking import Waking

__all__ = ("DEFAULT_IDLE_SECONDS", "Hibernation")

log = logging.getLogger(__name__)

DEFAULT_IDLE_SECONDS = 600.0
"""How long a session is idle until it sleeps, if nobody says otherwise: most who come back to a page do so
sooner, and to wait for the app once after a longer break is not much."""

IDLE_SECONDS_UNDER_PRESSURE = 1.0
"""The same when memory is short."""

BATCH_SIZE = 20
"""Sessions that are written in one go, and put to sleep one after the other."""


class Hibernation:
    """Puts sessions to sleep that were idle for ``after`` seconds; 0 for never.

    If it is ``careful``, only those that lose nothing by it. When memory is short, ``pressed`` seconds are
    enough.
    """

    def __init__(
        self,
        registry: Registry,
        writer: JournalWriter,
        waking: Waking,
        *,
        after: float,
        careful: bool = False,
        pressed: float = IDLE_SECONDS_UNDER_PRESSURE,
        metrics: Metrics,
    ) -> None:
        self._registry = registry
        self._writer = writer
        self._waking = waking
        self._after = after
        self._careful = careful
        self._pressed = pressed
        self._metrics = metrics
        self._told: set[str] = set()
        """Versions of apps of which it was said why their sessions stay awake."""

    async def put_to_sleep(self) -> int:
        """Hibernate whoever may sleep; how many."""
        if not self._after:
            return 0
        idle = self._idle(self._after)
        slept = await self._sleep(await self._safe(idle, len(idle)) if self._careful else idle, self._after)
        self._metrics.hibernations.labels("idle").inc(slept)
        return slept

    async def make_room(self) -> int:
        """Hibernate some of those that are idle for longest, as memory is short; how many.

        Those first that lose nothing. The others would lose the same, and more, with the process.
        """
        idle = self._idle(self._pressed)
        safe = await self._safe(idle, BATCH_SIZE)
        slept = await self._sleep(safe or idle[:BATCH_SIZE], self._pressed)
        self._metrics.hibernations.labels("memory").inc(slept)
        return slept

    def _idle(self, after: float) -> list[Session]:
        """Those that can sleep, idle for longest first."""
        if self._writer.store_away:
            return []
        found = [session for session in self._registry if self._may_sleep(session, after)]
        return sorted(found, key=lambda session: session.idle_for(), reverse=True)

    async def _safe(self, idle: Iterable[Session], most: int) -> list[Session]:
        """The first ``most`` of them that lose nothing by it."""
        coroutines = app_coroutines()
        found: list[Session] = []
        for session in idle:
            if len(found) == most:
                break
            if session.locked:
                continue  # it has work again, which may take its time
            reason = session.stays_awake or await self._reason(session, coroutines)
            if reason:
                self._tell(session, reason)
            else:
                found.append(session)
        return found

    @staticmethod
    async def _reason(session: Session, coroutines: Iterable[dict[str, Any]]) -> str:
        try:
            return await session.would_lose(coroutines)
        except AppCodeAbandoned:
            return "it is given up"

    def _tell(self, session: Session, reason: str) -> None:
        """Once for each version of an app: its author can do something about it."""
        version = f"{session.app.path} {session.app.version}"
        if version not in self._told and session.app.may_sleep is None:
            self._told.add(version)
            log.info("sessions of this app stay in memory when idle: %s", reason, extra=session.key.facts)

    @staticmethod
    def _may_sleep(session: Session, after: float) -> bool:
        journal = session.journal
        return (
            journal is not None
            and journal.has_base
            and not journal.losses
            and session.slot.life.state is State.LIVE
            and session.connection_count > 0
            and session.app.may_sleep is not False
            and not session.app.for_operators
            and (session.may_pause or not session.has_callbacks)
            and not session.locked
            and not session.held
            and session.idle_for() >= after
        )

    async def _sleep(self, sessions: Sequence[Session], after: float) -> int:
        slept = 0
        for start in range(0, len(sessions), BATCH_SIZE):
            batch = sessions[start : start + BATCH_SIZE]
            if not await self._writer.write(batch):
                break
            slept += sum([await self._sleeps(session, after) for session in batch])
        return slept

    async def _sleeps(self, session: Session, after: float) -> bool:
        """Whether it could be put to sleep: something may have happened meanwhile."""
        journal = session.journal
        if journal is None or journal.dirty or not self._may_sleep(session, after):
            return False
        log.debug("hibernates", extra=session.key.facts)
        await self._registry.put_to_sleep(session.slot, self._waking)
        return True
