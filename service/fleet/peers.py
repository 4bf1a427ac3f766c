"""The other replicas as their heartbeats said a moment ago: who runs which versions, who has which files."""

from __future__ import annotations

import asyncio
import random
import time

from service.page_versions import PageVersions
from service.timings import REPLICAS_FRESH_SECONDS, SILENT_REPLICA_SECONDS
from store.contract import Heartbeat, Store

__all__ = ("Peers",)


class Peers:
    """All replicas but ``replica``, which is this one."""

    def __init__(self, store: Store, replica: str) -> None:
        self._store = store
        self._replica = replica
        self._known: list[Heartbeat] = []
        self._known_at = float("-inf")
        self._asking: asyncio.Task[list[Heartbeat]] | None = None

    async def alive(self) -> list[Heartbeat]:
        """Those with a recent heartbeat that are not about to stop. Raises StoreError."""
        if time.monotonic() - self._known_at > REPLICAS_FRESH_SECONDS:
            if self._asking is None:
                self._asking = asyncio.create_task(self._ask())
            await asyncio.shield(self._asking)
        return [each for each in self._known if each.replica != self._replica and not each.draining]

    async def with_versions(self, page: PageVersions) -> list[Heartbeat]:
        """Those that make pages like ``page``, in random order. Raises StoreError."""
        found = [each for each in await self.alive() if each.versions and _makes(each, page)]
        random.shuffle(found)
        return found

    async def of_other_builds(self, build: str) -> list[Heartbeat]:
        """One of each build but ``build``, in random order. Raises StoreError."""
        others = [each for each in await self.alive() if each.build and each.build != build]
        random.shuffle(others)
        return list({each.build: each for each in others}.values())

    async def _ask(self) -> list[Heartbeat]:
        try:
            replicas = await self._store.replicas()
            self._known = [each for each in replicas if each.age <= SILENT_REPLICA_SECONDS]
            self._known_at = time.monotonic()
            return self._known
        finally:
            self._asking = None


def _makes(replica: Heartbeat, page: PageVersions) -> bool:
    return PageVersions.of(replica.versions).made_as(page)
