"""Looks at the fleet for all admin pages of this replica at once, and only while one is open."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from dataclasses import replace

from service.fleet.view import FleetView, look
from store.contract import SessionRecord, Store
from store.errors import StoreError

__all__ = ("FleetWatch",)

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
"""Seconds between looks at the replicas."""

IDLE_SECONDS = 10.0
"""Seconds after which nobody who has not asked is watching any more."""

HISTORY_LENGTH = 60
"""Looks that a replica's line goes back."""

MAX_SESSIONS = 2000
"""Sessions that are listed; more would hold up this replica's own."""

MAX_READ_SHARE = 0.05
"""Of the time that reading the sessions may take."""


class FleetWatch:
    """:meth:`latest` answers at once; :meth:`run` does the looking."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._view: FleetView | None = None
        self._asked = 0.0
        self._wanted = asyncio.Event()
        self._held: list[SessionRecord] = []
        self._held_due = 0.0
        self.trouble = ""
        """Why the last look failed; empty when it did not."""
        self.lines: dict[str, deque[int]] = {}
        """How many sessions each replica had at the last looks."""

    def latest(self) -> FleetView | None:
        """The fleet a moment ago, with up to :data:`MAX_SESSIONS` sessions; None before the first look."""
        self._asked = time.monotonic()
        self._wanted.set()
        return self._view

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._wanted.wait()
            await self._look()
            await asyncio.sleep(POLL_SECONDS)
            if time.monotonic() - self._asked > IDLE_SECONDS:
                self._wanted.clear()
                self._view = None

    async def _look(self) -> None:
        try:
            view = await look(self._store)
            await self._look_at_sessions(view)
        except StoreError as error:
            log.debug("cannot read the fleet's state: %s", error)
            self.trouble = str(error)
            return
        self.trouble = ""
        self._view = replace(view, held=self._held)
        self._draw_on(view)

    async def _look_at_sessions(self, view: FleetView) -> None:
        """Again, but seldom if it takes long."""
        begun = time.monotonic()
        if begun < self._held_due:
            return
        held: list[SessionRecord] = []
        for each in view.replicas:
            held += await self._store.sessions(each.replica, limit=MAX_SESSIONS - len(held))
        self._held = held
        self._held_due = time.monotonic() + (time.monotonic() - begun) / MAX_READ_SHARE

    def _draw_on(self, view: FleetView) -> None:
        now = {each.replica: sum(each.sessions.values()) for each in view.replicas}
        self.lines = {
            replica: deque([*self.lines.get(replica, ()), count], maxlen=HISTORY_LENGTH)
            for replica, count in now.items()
        }
