"""Emptying this replica: sessions move to others in batches, before a deadline."""

from __future__ import annotations

import asyncio
import logging
import random
import time

from service.background import spawn
from service.metrics import Metrics
from service.sessions.departures import Departures
from service.sessions.life import Reason
from service.sessions.registry import Registry, SessionSlot

__all__ = ("Drain",)

log = logging.getLogger(__name__)

BATCH = 25
"""Sessions that move side by side; their clients come back to the others at about the same time."""

SHARE = 0.5
"""Of the timeout: over how much of it the batches are spread at most."""

AT_WORK_SECONDS = 1.0
"""How long a batch waits for those of its sessions that are at work."""

PACE = 0.1
"""Seconds between batches, before jitter, unless that would take too long."""


class Drain:
    """Moves all sessions away. ``timeout`` is in seconds and holds whatever clients do."""

    def __init__(
        self, registry: Registry, departures: Departures, metrics: Metrics, *, timeout: float
    ) -> None:
        self._registry = registry
        self._metrics = metrics
        self._departures = departures
        self._timeout = timeout

    async def run(self) -> int:
        """Drain; how many sessions could not be moved in time."""
        total = len(self._registry)
        begun = time.monotonic()
        self._metrics.drain_remaining.set_function(lambda: len(self._registry))
        self._metrics.drain_seconds.set_function(lambda: time.monotonic() - begun)
        if total:
            log.info("draining %d sessions", total)
        try:
            async with asyncio.timeout(self._timeout):
                await self._batches(total)
        except TimeoutError:
            failed = len(self._registry)
            self._metrics.drain_failed.inc(failed)
            log.error("%d of %d sessions could not be moved in time", failed, total)
            await self._give_up()
            return failed
        log.info("drained %d sessions", total)
        return 0

    async def _batches(self, total: int) -> None:
        pause = min(PACE, self._timeout * SHARE * BATCH / max(total, 1))
        moving: dict[SessionSlot, asyncio.Task[None]] = {}
        while left := [each for each in self._registry.held() if each not in moving][:BATCH]:
            moving |= {each: spawn(self._move(each)) for each in left}
            # One that is at work may be so for long: it keeps no other.
            await asyncio.wait([moving[each] for each in left], timeout=AT_WORK_SECONDS)
            await asyncio.sleep(pause * random.uniform(0.5, 1.5) if len(self._registry) else 0)
        await asyncio.gather(*moving.values())

    async def _move(self, slot: SessionSlot) -> None:
        await self._departures.leave(slot, Reason.DRAINED)
        self._metrics.drain_moved.inc()

    async def _give_up(self) -> None:
        """Code that goes on and on keeps nobody: its sessions go on elsewhere as journaled."""
        stuck = [session.slot for session in self._registry if session.locked]
        await asyncio.gather(*map(self._departures.give_up, stuck))
