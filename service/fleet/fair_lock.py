"""A lock that threads get in the order in which they asked for it, which Python's own does not promise."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from service.errors import FleetUnavailable

__all__ = ("FairLock",)


class FairLock:
    """Not reentrant."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._holder = 0
        """Of the thread, by its identifier; 0 for none."""
        self._waiting: deque[threading.Lock] = deque()

    @contextmanager
    def turn(self, seconds: float) -> Iterator[None]:
        """Raises FleetUnavailable when it does not come within ``seconds``, RuntimeError inside of itself."""
        self._take(seconds)
        self._holder = threading.get_ident()
        try:
            yield
        finally:
            self._pass_on()

    def _take(self, seconds: float) -> None:
        with self._guard:
            if self._holder == threading.get_ident():
                raise RuntimeError(
                    "what changes a shared value must not change it another time while it does"
                )
            if not self._holder:
                self._holder = -1
                return
            mine = threading.Lock()
            mine.acquire()
            self._waiting.append(mine)
        if mine.acquire(timeout=seconds):
            return
        with self._guard:
            if mine not in self._waiting:  # just now
                return
            self._waiting.remove(mine)
        raise FleetUnavailable(
            f"others have changed the same shared value for {seconds:g} s: it was not changed"
        )

    def _pass_on(self) -> None:
        with self._guard:
            if self._waiting:
                self._holder = -1
                self._waiting.popleft().release()
            else:
                self._holder = 0
