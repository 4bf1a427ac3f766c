"""Making sure that what this replica holds is still its own.

Needed whenever it may have been taken for dead, or the store lost data: after a pause of the
process, an outage or a loss of the store.
"""

from __future__ import annotations

import asyncio
import logging

from service.fleet.heartbeat import Heartbeater
from service.sessions.departures import Departures
from service.sessions.journaling import JournalWriter
from service.sessions.registry import Registry, SessionSlot
from service.timings import MAX_BEAT_GAP_SECONDS
from store.contract import Store, Written
from store.errors import StoreError

__all__ = ("OwnershipCheck",)

log = logging.getLogger(__name__)

MAX_CONCURRENT_CHECKS = 50
"""Sessions asked about side by side."""


class OwnershipCheck:
    """Says again in the store what this replica owns, and drops what it lost."""

    def __init__(
        self, store: Store, registry: Registry, writer: JournalWriter, departures: Departures, replica: str
    ) -> None:
        self._store = store
        self._registry = registry
        self._writer = writer
        self._departures = departures
        self._replica = replica
        self._running = asyncio.Lock()
        self._resolved = 0

    def sure(self, heartbeater: Heartbeater) -> bool:
        """Whether nobody can have taken what is held here: heartbeats are recent, and no doubt is left."""
        return heartbeater.silent_for() <= MAX_BEAT_GAP_SECONDS and self._resolved == heartbeater.doubts

    async def is_ours(self, slot: SessionSlot) -> bool:
        """Ask whose the session is; one that is another's leaves. While the store is away it is ours."""
        await self._resolve(slot)
        return not slot.life.lost

    async def resolve(self, doubts: int = 0) -> None:
        """Go through all sessions, until the store answers. ``doubts``: counted by the heartbeater."""
        async with self._running:
            await self._resolve_all()
        self._resolved = max(self._resolved, doubts)

    async def _resolve_all(self) -> None:
        left = self._registry.held()
        if left:
            log.info("checking that this replica still owns %d sessions", len(left))
        while left:
            batch, left = left[:MAX_CONCURRENT_CHECKS], left[MAX_CONCURRENT_CHECKS:]
            failed = await asyncio.gather(*map(self._resolve, batch))
            left += [slot for slot, done in zip(batch, failed, strict=True) if not done]
            if not all(failed):
                await asyncio.sleep(0.5)

    async def _resolve(self, slot: SessionSlot) -> bool:
        """Whether it is known now whose the session is."""
        try:
            answer = await self._store.reassert(
                slot.key, self._replica, epoch=slot.epoch, request=slot.request
            )
        except StoreError as error:
            log.debug("cannot determine the session's owner: %s", error, extra=slot.key.facts)
            return False
        session = slot.session
        if session is None:
            if answer is not Written.OK:
                self._departures.lost(slot)  # also when the store lost all there was of it
        elif answer is Written.STALE:
            self._departures.lost(slot)
        elif answer is Written.BEHIND and session.journal is not None:
            session.journal.lost()
            self._writer.mark(session)
            # It has left the index with the record.
            self._registry.changes.append((slot.key, True))
        return True
