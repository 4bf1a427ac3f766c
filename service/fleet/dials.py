"""What attempts to reach a replica tell of the next ones.

When a replica ends without a word, all its sessions look for it at once, and each would find out by a dial
of its own, which costs as much as taking the session over.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

__all__ = ("Dials",)

FIRST_SECONDS = 0.05
"""How long others wait for what becomes of the first attempt, before they dial, too."""

REFUSED_SECONDS = 1.0
"""For how long nobody dials a replica at whose address nobody listened."""


class Dials:
    """Attempts that are under way, and those that were refused a moment ago, by replica.

    On the event loop only.
    """

    def __init__(self) -> None:
        self._first: dict[str, asyncio.Future[Any]] = {}
        self._refused: dict[str, float] = {}

    async def refused(self, replica: str) -> bool:
        """Whether nobody listens there, as somebody else has found out just now."""
        first = self._first.get(replica)
        if first is not None:
            await asyncio.wait([first], timeout=FIRST_SECONDS)
        return time.monotonic() < self._refused.get(replica, 0.0)

    def note(self, replica: str, attempt: asyncio.Future[Any]) -> None:
        """Learn from this one, if it is the first."""
        if replica not in self._first:
            self._first[replica] = attempt
            attempt.add_done_callback(lambda done: self._over(replica, done))

    def _over(self, replica: str, attempt: asyncio.Future[Any]) -> None:
        del self._first[replica]
        if not attempt.cancelled() and isinstance(attempt.exception(), ConnectionRefusedError):
            now = time.monotonic()
            self._refused = {each: until for each, until in self._refused.items() if until > now}
            self._refused[replica] = now + REFUSED_SECONDS
