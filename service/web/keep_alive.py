"""Pinging all open sockets of a replica in turns, so that proxies keep them and vanished clients are noticed.

One timer for all: one for each of thousands of idle tabs would take a tenth of what they cost.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

__all__ = ("KeepAlive", "Pinged")

SLICES_PER_INTERVAL = 64
"""Into which an interval is divided. As many pings as come together keep everything else waiting."""


class Pinged(Protocol):
    """A socket, as far as this knows it."""

    def stay_alive(self, interval: float) -> None:
        """Ping, or close what is gone. Called every ``interval`` seconds."""


class KeepAlive:
    """Every ``interval`` seconds each socket has its turn; 0 for never. On the event loop only."""

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._turns: list[set[Pinged]] = [set() for _ in range(SLICES_PER_INTERVAL)]
        self._now = 0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, socket: Pinged) -> int:
        """Its first turn comes after an interval; the number of its turn, for :meth:`discard`."""
        if self._interval > 0:
            self._turns[self._now].add(socket)
            self._run()
        return self._now

    def discard(self, socket: Pinged, turn: int) -> None:
        self._turns[turn].discard(socket)

    def _run(self) -> None:
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._next_turn_at(loop, loop.time())

    def _next_turn_at(self, loop: asyncio.AbstractEventLoop, last: float) -> None:
        at = last + self._interval / SLICES_PER_INTERVAL
        self._timer = loop.call_at(at, self._next_turn, loop, at)

    def _next_turn(self, loop: asyncio.AbstractEventLoop, at: float) -> None:
        self._timer = None
        self._now = (self._now + 1) % SLICES_PER_INTERVAL
        for socket in tuple(self._turns[self._now]):
            socket.stay_alive(self._interval)
        if any(self._turns):
            # After the loop has been kept waiting turns follow from now on, and not all at once.
            self._next_turn_at(loop, max(at, loop.time() - self._interval / SLICES_PER_INTERVAL))
