"""Ending sessions that nobody uses: ours by our own clock, those of dead replicas by the store's."""

from __future__ import annotations

import asyncio
import logging

from service.sessions.departures import Departures
from service.sessions.hibernation import Hibernation
from service.sessions.journaling import JournalWriter
from service.sessions.registry import Registry
from store.contract import Store
from store.errors import StoreError

__all__ = ("Expiry",)

log = logging.getLogger(__name__)


class Expiry:
    """Looks every ``interval`` seconds for sessions unused for ``lifetime`` seconds.

    What clients have seen of them is retained for ``retention`` seconds.
    """

    def __init__(
        self,
        store: Store,
        registry: Registry,
        writer: JournalWriter,
        departures: Departures,
        hibernation: Hibernation,
        *,
        lifetime: float,
        interval: float,
        retention: float,
    ) -> None:
        self._store = store
        self._registry = registry
        self._writer = writer
        self._departures = departures
        self._hibernation = hibernation
        self._lifetime = lifetime
        self._interval = interval
        self._retention = retention

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(self._interval)
            await self.end_unused()
            await self._hibernation.put_to_sleep()
            await self._sweep()

    async def end_unused(self) -> int:
        """End sessions that were unused for long enough; how many.

        One after the other with the event loop in between, so that nobody waits for a crowd.
        """
        ended = 0
        for session in [each for each in self._registry if each.unused_for() >= self._lifetime]:
            if self._writer.store_away:
                break  # what they hold could not be kept
            # Somebody may have come meanwhile, and left again.
            if session.unused_for() >= self._lifetime:
                ended += await self._departures.leave_if_unused(session.slot)
            await asyncio.sleep(0)
        for slot in self._registry.held():
            if slot.session is None and slot.unused_for() >= self._lifetime:
                await self._departures.leave_if_unused(slot)
        return ended

    async def _sweep(self) -> None:
        try:
            swept = await self._store.sweep(self._lifetime, retention=self._retention)
        except StoreError as error:
            log.warning("cannot sweep the store: %s", error)
        else:
            if swept:
                log.info("removed %d sessions of dead replicas", swept)
