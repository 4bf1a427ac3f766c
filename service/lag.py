"""How long the event loop keeps others waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

__all__ = ("LagMeter",)

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
