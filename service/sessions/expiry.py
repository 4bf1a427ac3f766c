"""Ending sessions that nobody uses: ours by our own clock, those of dead replicas by the store's."""

from __future__ import annotations

import asyncio
import logging

from service.sessions.registry import Registry
from service.sessions.session import Session
from store.contract import Store
from store.errors import StoreError

__all__ = ("Expiry",)

log = logging.getLogger(__name__)


class Expiry:
    """Looks every ``interval`` seconds for sessions unused for ``lifetime`` seconds."""

    def __init__(
        self, store: Store, registry: Registry, replica: str, *, lifetime: float, interval: float
    ) -> None:
        self._store = store
        self._registry = registry
        self._replica = replica
        self._lifetime = lifetime
        self._interval = interval

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(self._interval)
            await self.end_unused()
            await self._sweep()

    async def end_unused(self) -> int:
        """End sessions that were unused for long enough; how many.

        One after the other with the event loop in between, so that nobody waits for a crowd.
        """
        ended = 0
        for session in self._registry:
            if session.unused_for() >= self._lifetime and await self._registry.end(session, unless_used=True):
                ended += 1
                await self._forget(session)
            await asyncio.sleep(0)
        return ended

    async def _forget(self, session: Session) -> None:
        try:
            await self._store.discard(session.key, owner=self._replica, epoch=session.epoch)
        except StoreError as error:
            log.warning("%s: cannot discard it from the store: %s", session.key.short, error)

    async def _sweep(self) -> None:
        try:
            swept = await self._store.sweep(self._lifetime)
        except StoreError as error:
            log.warning("cannot sweep the store: %s", error)
        else:
            if swept:
                log.info("discarded %d sessions of replicas that are gone", swept)
