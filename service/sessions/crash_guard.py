"""Keeping a session, or an app, that ends every process it comes to from going through the whole fleet.

What ends a process at once is not in the journal yet, and is not done again. What ends it later is: by a
timer, a thread, or memory that grows. Where a session comes back to a replica after its owner died, this
decides how much of it is trusted (:func:`takeover_mode`); and so that the next replica knows at whom to look,
work that may be fatal is announced in the store before it is done:

- timers of a session that had an input lately, as far as a budget allows, so that it costs little;
- restoring a session that is under suspicion, and its first seconds afterwards;
- the first build of an app on a replica.

What outgrows the memory would end its replica, too, and the next ones: so a session whose restore takes more
than its share is parked at once.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from enum import StrEnum

from service.apps.app import App
from service.background import spawn
from service.errors import AppError
from service.sessions.session import AT_RISK_SECONDS, Session
from service.timings import CRASHED_REPLICA_SECONDS
from store.contract import Claim, SessionKey, Store
from store.errors import StoreError

__all__ = ("CrashGuard", "TakeoverMode", "takeover_mode")

log = logging.getLogger(__name__)

OBSERVED_SECONDS = 3.0
"""How long a session must run here until it is cleared of suspicion."""

ANNOUNCEMENTS_PER_SECOND = 20.0
"""Budget of a replica for announcing timers."""

ANNOUNCE_TIMEOUT = 0.2
"""Seconds that a timer waits for the store to take its announcement, at most."""

ANNOUNCEMENT_LINGER_SECONDS = 0.02
"""How long a timer stays announced: Panel follows an input with five callbacks, one right after the other."""

PAUSE_SECONDS = 5.0
"""Without announcements, after one failed."""

DEATHS_CAREFUL = 2
DEATHS_PARKED = 3
DEATHS_ALONE = 2
"""Of these, in a row, the last ones: one may be chance when replicas are killed from outside."""
BUILD_DEATHS = 3
"""Replicas in a row that died while they built an app, after which no other tries."""

HEARTBEAT_POLL_SECONDS = 0.1
"""Seconds until a heartbeat is looked at again."""


class TakeoverMode(StrEnum):
    """How a session is taken over."""

    NONE = "none"
    """Restored with all its inputs."""
    NO_REPLAY = "no replay"
    """Its inputs' callbacks are not run again; under observation at first."""
    ALONE = "alone"
    """The same, and no other session is observed here meanwhile: if this replica dies, it was this one."""
    PARK = "park"
    """Not taken over at all."""


def takeover_mode(claim: Claim) -> TakeoverMode:
    """By how many owners died, and how many of the last ones were at work on this session alone.

    Where replicas are killed from outside all their sessions have several deaths. Those that the last owner
    was not at work on need not stand in line.
    """
    if claim.deaths >= DEATHS_PARKED and claim.suspects:
        return TakeoverMode.PARK if claim.alone >= DEATHS_ALONE else TakeoverMode.ALONE
    if claim.deaths >= DEATHS_CAREFUL or claim.suspects:
        return TakeoverMode.NO_REPLAY
    return TakeoverMode.NONE


class CrashGuard:
    """Announces what may be fatal. A store that is away holds up nothing."""

    def __init__(self, store: Store, replica: str, *, most_memory: int = 0) -> None:
        self.most_memory = most_memory
        """Bytes that restoring a session may take, else it is parked; 0 for any number."""
        self._store = store
        self._replica = replica
        self._announced: Counter[SessionKey] = Counter()
        self._lingering: set[SessionKey] = set()
        """Announced still, though nothing is at work."""
        self._withdrawing: dict[SessionKey, asyncio.Task[None]] = {}
        self._stale: set[SessionKey] = set()
        """Announced for longer than they should be, as the store was not told better."""
        self._line = asyncio.Lock()
        self._budget = _RateLimit(ANNOUNCEMENTS_PER_SECOND)
        self._silent_until = 0.0

    @asynccontextmanager
    async def taking_over(self, key: SessionKey, mode: TakeoverMode) -> AsyncIterator[None]:
        """Around building a session: what is suspected is observed, also for a while after."""
        if mode is TakeoverMode.NONE:
            yield
            return
        if mode is TakeoverMode.ALONE:
            await self._line.acquire()
        try:
            # Inside: a socket that goes meanwhile must not keep the line for ever.
            await self._announce(key)
            yield
        finally:
            spawn(self._observe(key, mode))

    async def _observe(self, key: SessionKey, mode: TakeoverMode) -> None:
        try:
            await asyncio.sleep(OBSERVED_SECONDS)
            await self._withdraw(key)
        finally:
            if mode is TakeoverMode.ALONE:
                self._line.release()

    @asynccontextmanager
    async def timer(self, session: Session) -> AsyncIterator[None]:
        """Around a callback that nobody waits for."""
        now = time.monotonic()
        announced = (
            now - session.last_input < AT_RISK_SECONDS
            and now >= self._silent_until
            and (session.key in self._lingering or self._budget.take(now))
        )
        if announced:
            await self._announce(session.key)
        try:
            yield
        finally:
            if announced:
                self._linger(session.key)

    @asynccontextmanager
    async def building(self, app: App) -> AsyncIterator[None]:
        """Around a build. Raises AppError when the app has ended too many replicas that tried."""
        if app.built:
            yield
            return
        name = f"{app.path} {app.version}"
        others = await self._store.begin_build(name, self._replica)
        built = False
        try:
            deaths = await self._dead_among(others) if len(others) >= BUILD_DEATHS else 0
            if deaths >= BUILD_DEATHS:
                raise AppError(
                    f"{deaths} replicas ended while they started {app.path}: not tried again for some minutes"
                )
            yield
            built = True
        finally:
            await self._try(self._store.end_build(name, self._replica, built=built))

    async def _dead_among(self, replicas: list[str]) -> int:
        """Browsers and proxies try again at once, before the heartbeat of who just died has expired."""
        return sum(await asyncio.gather(*map(self._is_dead, replicas)))

    async def _is_dead(self, replica: str) -> bool:
        """Wait until it has written one more heartbeat, or has been silent for too long."""
        began = asked = time.monotonic()
        while (
            found := await self._store.replica(replica)
        ) is not None and found.age < CRASHED_REPLICA_SECONDS:
            if found.age < asked - began:  # by when it was asked for: the answer may have come late
                return False
            await asyncio.sleep(HEARTBEAT_POLL_SECONDS)
            asked = time.monotonic()
        return True

    async def _announce(self, key: SessionKey) -> None:
        self._announced[key] += 1
        if self._announced[key] > 1 or key in self._lingering:
            return
        if (withdrawing := self._withdrawing.get(key)) is not None:
            await asyncio.wait([withdrawing])  # else that could reach the store after this
        if not await self._try(self._store.announce(self._replica, key)):
            self._withdraw_later(key)  # it may have got there, and perhaps only after it was withdrawn

    def _linger(self, key: SessionKey) -> None:
        """Withdraw it if nothing else begins in a moment."""
        if self._ends(key) and key not in self._lingering:
            self._lingering.add(key)
            self._withdrawing[key] = spawn(self._withdraw_unless_at_work(key))

    async def _withdraw_unless_at_work(self, key: SessionKey) -> None:
        await asyncio.sleep(ANNOUNCEMENT_LINGER_SECONDS)
        self._lingering.discard(key)
        if key not in self._announced:
            await self._tell_that_it_ended(key)
        if key not in self._lingering:
            self._withdrawing.pop(key, None)

    async def _withdraw(self, key: SessionKey) -> None:
        if self._ends(key) and key not in self._lingering:
            await self._tell_that_it_ended(key)

    def _ends(self, key: SessionKey) -> bool:
        """One less is at work; whether it was the last."""
        self._announced[key] -= 1
        if self._announced[key] > 0:
            return False
        del self._announced[key]
        return True

    async def _tell_that_it_ended(self, key: SessionKey) -> None:
        if not await self._try(self._store.withdraw(self._replica, key)):
            self._withdraw_later(key)

    def _withdraw_later(self, key: SessionKey) -> None:
        """What stays announced is suspected of whatever ends this replica, and not given its inputs again."""
        if key not in self._stale:
            self._stale.add(key)
            spawn(self._withdraw_until_done(key))

    async def _withdraw_until_done(self, key: SessionKey) -> None:
        done = False
        while not done:
            await asyncio.sleep(PAUSE_SECONDS)
            # What is announced again by now is withdrawn when that is over.
            done = key in self._announced or await self._try(self._store.withdraw(self._replica, key))
        self._stale.discard(key)

    async def _try(self, request: Awaitable[None]) -> bool:
        """Whether the store was told."""
        try:
            async with asyncio.timeout(ANNOUNCE_TIMEOUT):
                await request
        except (StoreError, TimeoutError) as error:
            self._silent_until = time.monotonic() + PAUSE_SECONDS
            log.debug("cannot announce running app code in the store: %s", error)
            return False
        return True


class _RateLimit:
    """So many a second, and as many at once after a quiet second."""

    def __init__(self, per_second: float) -> None:
        self._per_second = self._left = per_second
        self._since = 0.0

    def take(self, now: float) -> bool:
        """Whether there is one left."""
        self._left = min(self._per_second, self._left + (now - self._since) * self._per_second)
        self._since = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
