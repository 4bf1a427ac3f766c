"""How busy this process is: how long its event loop keeps others waiting, how much of a core it uses."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

__all__ = ("LagMeter", "LoadMeter")

INTERVAL = 0.1
"""Seconds between looks at the clock."""


class LagMeter:
    """Measures how late a timer fires, and tells ``observe`` each time (seconds)."""

    def __init__(self, observe: Callable[[float], None]) -> None:
        self._observe = observe
        self._worst = 0.0

    async def run(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + INTERVAL
            await asyncio.sleep(INTERVAL)
            late = max(0.0, loop.time() - due)
            self._observe(late)
            self._worst = max(self._worst, late)

    def worst(self) -> float:
        """The worst delay in seconds since the last call. Callable from any thread."""
        worst, self._worst = self._worst, 0.0
        return worst


class LoadMeter:
    """Measures how much of a core this process uses, over the last few seconds."""

    WINDOW = 3.0
    """Seconds; what is longer ago counts ever less."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, used: Callable[[], float] = time.process_time
    ) -> None:
        self._clock = clock
        self._used = used
        self._at, self._before = clock(), used()
        self._share = 0.0

    def share(self) -> float:
        """CPU seconds per second, 1 for one core. Callable from any thread, but from one at a time."""
        now, used = self._clock(), self._used()
        passed = now - self._at
        if passed > 0:
            weight = min(1.0, passed / self.WINDOW)
            self._share += weight * ((used - self._before) / passed - self._share)
            self._at, self._before = now, used
        return self._share
