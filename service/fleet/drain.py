"""Emptying this replica: sessions move to others in batches, before a deadline."""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from collections.abc import Sequence

from service.background import spawn
from service.metrics import Metrics
from service.sessions.departures import Departures
from service.sessions.life import Reason
from service.sessions.registry import Registry, SessionSlot

__all__ = ("Drain",)

log = logging.getLogger(__name__)

MIN_BATCH_SIZE = 25
"""Sessions that move side by side, at least; their clients come back to the others at about the same time."""

BATCH_INTERVAL_SECONDS = 0.05
"""Seconds from the beginning of a batch to that of the next one, before jitter: the others then have 500
sessions a second to take over at most, unless that would take too long."""

SPREAD_SHARE = 0.5
"""Of the timeout: over how much of it the batches are spread. With more sessions batches are larger."""

AT_WORK_SECONDS = 1.0
"""How long a batch waits for those of its sessions that are at work."""


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
        size = max(MIN_BATCH_SIZE, math.ceil(total * BATCH_INTERVAL_SECONDS / (self._timeout * SPREAD_SHARE)))
        moving: dict[SessionSlot, asyncio.Task[None]] = {}
        began_all = time.monotonic()
        while left := [each for each in self._registry.held() if each not in moving]:
            # Looking for all that are left takes milliseconds with thousands, so not for each batch.
            for at in range(0, len(left), size):
                began = time.monotonic()
                in_time = began - began_all <= self._timeout * SPREAD_SHARE * len(moving) / total
                await self._begin(
                    left[at : at + size], moving, AT_WORK_SECONDS if in_time else BATCH_INTERVAL_SECONDS
                )
                rest = began + BATCH_INTERVAL_SECONDS * random.uniform(0.5, 1.5) - time.monotonic()
                await asyncio.sleep(max(rest, 0) if at + size < len(left) else 0)
        await asyncio.gather(*moving.values())

    async def _begin(
        self, batch: Sequence[SessionSlot], moving: dict[SessionSlot, asyncio.Task[None]], seconds: float
    ) -> None:
        """Return when these have moved, but for those that take longer: they keep no others."""
        await self._departures.write_first(batch)
        moving |= {each: spawn(self._move(each)) for each in batch}
        await asyncio.wait([moving[each] for each in batch], timeout=seconds)

    async def _move(self, slot: SessionSlot) -> None:
        if await self._departures.leave(slot, Reason.DRAINED):
            self._metrics.drain_moved.inc()

    async def _give_up(self) -> None:
        """Code that does not return keeps nobody: its sessions go on elsewhere as journaled."""
        stuck = [session.slot for session in self._registry if session.locked]
        await asyncio.gather(*map(self._departures.give_up, stuck))
