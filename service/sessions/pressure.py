"""When memory is short, sessions that nobody uses leave it, before the system ends the process for all."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable

from service.memory import give_back, reclaim, resident
from service.metrics import Metrics
from service.sessions.hibernation import Hibernation

__all__ = ("MemoryPressure",)

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0

TARGET_SHARE = 0.95
"""Share of the limit down to which room is made, so that there is some for what comes next."""

RECOVERY_SECONDS = 60.0
"""How long memory has to be below the limit until the next time is told of as another one."""


COLLECTION_INTERVAL_SECONDS = 30.0
"""How often garbage is collected while sleep alone does not help: it keeps everybody waiting."""


class MemoryPressure:
    """Keeps the process below ``high`` bytes as far as sleeping sessions can do that."""

    def __init__(
        self,
        hibernation: Hibernation,
        *,
        high: int,
        metrics: Metrics,
        used: Callable[[], int] = resident,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._hibernation = hibernation
        self._high = high
        self._metrics = metrics
        self._used = used
        self._clock = clock
        self._short_until = -math.inf
        self._collect_at = -math.inf
        self._slept = 0
        self._told_helpless = False
        metrics.memory_high.set(high)

    async def run(self) -> None:
        """Look at the memory in use until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Make room if there is need."""
        if self._used() > self._high:
            self._begins()
            if not await self._make_room():
                self._is_helpless()
        elif self._clock() > self._short_until:
            self._ends()
        self._metrics.memory_short.set(self._used() > self._high)

    async def _make_room(self) -> bool:
        """Whether memory is below the limit again."""
        while self._used() > TARGET_SHARE * self._high:
            slept = await self._hibernation.make_room()
            self._slept += slept
            give_back()
            if self._used() > TARGET_SHARE * self._high:
                self._collect()
            if not slept:
                break
        return self._used() <= self._high

    def _collect(self) -> None:
        """What sessions leave behind may be garbage, which sleep alone does not free."""
        if self._clock() >= self._collect_at:
            self._collect_at = self._clock() + COLLECTION_INTERVAL_SECONDS
            reclaim()

    def _begins(self) -> None:
        if self._short_until == -math.inf:
            log.warning(
                "%d MiB of memory are in use, more than --memory-high (%d MiB): sessions that are idle for "
                "longest go to sleep", self._used() >> 20, self._high >> 20,
            )  # fmt: skip
        self._short_until = self._clock() + RECOVERY_SECONDS

    def _is_helpless(self) -> None:
        if not self._told_helpless:
            self._told_helpless = True
            log.warning(
                "memory stays above --memory-high, and no other session can sleep: %d MiB are in use",
                self._used() >> 20,
            )

    def _ends(self) -> None:
        if self._short_until > -math.inf:
            log.info("memory is below --memory-high again; %d sessions went to sleep", self._slept)
        self._short_until, self._slept, self._told_helpless = -math.inf, 0, False
