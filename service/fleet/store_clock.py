"""The store's clock, on which all replicas agree, as this process knows it."""

from __future__ import annotations

import time

__all__ = ("StoreClock",)


class StoreClock:
    """Told by each heartbeat what the store's clock shows. Callable from any thread."""

    def __init__(self) -> None:
        self._ahead: float | None = None
        """What it shows more than ``time.monotonic()``."""

    def heard(self, now: float, at: float) -> None:
        """The store's clock showed ``now`` at ``at`` by ``time.monotonic()``."""
        self._ahead = now - at

    def time(self) -> float:
        """Wall-clock seconds; by our own clock until the store has been heard."""
        return time.time() if self._ahead is None else time.monotonic() + self._ahead
