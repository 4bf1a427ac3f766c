"""What can be done with a session that sleeps: its pages are shown what the store has of it, and it wakes.

Whoever pulls is answered from the session's record, which runs no code of the app. The session then wakes
when a message needs it; else in the background, as the replica finds time.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict

from service.background import spawn
from service.close_codes import APP_FAILED
from service.documents.composing import Composed, check
from service.errors import AppError, MemoryExceeded, NotComposable, ServiceError, SessionMoved, Unavailable
from service.metrics import Metrics
from service.sessions.building import OwnershipGrant
from service.sessions.crash_guard import CrashGuard, TakeoverMode
from service.sessions.departures import Departures
from service.sessions.life import State
from service.sessions.registry import Registry, SessionSlot
from service.sessions.session import Session
from service.sessions.shown import shown_of
from service.tracing import OFF, Tracing
from store.contract import JournalFields, Store, Written
from store.errors import StoreError

__all__ = ("Background", "Waking")

log = logging.getLogger(__name__)

QUIET_SECONDS = 0.25
"""Time without a claim or a pull after which the background begins: a crowd that comes back is all shown
first."""

MAX_QUIET_WAIT_SECONDS = 5.0
"""How long it waits for that at most."""


class Waking:
    """``at_once`` is how many sessions wake side by side in the background."""

    def __init__(
        self,
        store: Store,
        registry: Registry,
        departures: Departures,
        crash_guard: CrashGuard,
        replica: str,
        *,
        metrics: Metrics,
        tracing: Tracing = OFF,
        at_once: int = 1,
    ) -> None:
        self._store = store
        self._registry = registry
        self._departures = departures
        self._crash_guard = crash_guard
        self._replica = replica
        self._metrics = metrics
        self._tracing = tracing
        self._background = Background(at_once)

    def leave_asleep(
        self, slot: SessionSlot, record: JournalFields, mode: TakeoverMode = TakeoverMode.NONE
    ) -> bool:
        """Whether a session that was just claimed can be shown from this, and need not be built now.

        It wakes in that mode: what it shows runs no code of the app, so only then it is under suspicion.
        """
        try:
            check(record, version=self._registry.app(slot.key.app).version)
        except NotComposable as error:
            self._not_composable(slot, error)
            return False
        self._registry.leave_asleep(
            slot, record, self if mode is TakeoverMode.NONE else _Suspected(self, mode)
        )
        self._background.wait()
        return True

    # -- showing it ------------------------------------------------------------------------------

    async def pull(
        self, slot: SessionSlot, *, inline: bool, mode: TakeoverMode = TakeoverMode.NONE
    ) -> Composed | None:
        """The answer, from the session's record; None where only its Document can give it."""
        version = self._registry.app(slot.key.app).version
        try:
            record = await self._record(slot)
            check(record, version=version)
            composed = await shown_of(record, version, inline=inline)
        except StoreError as error:
            log.debug("its record cannot be read: %s", error, extra=slot.key.facts)
            return None
        except NotComposable as error:
            self._not_composable(slot, error)
            return None
        self._metrics.composed.labels("shown").inc()
        if mode is TakeoverMode.ALONE:
            spawn(_wake(slot))  # it stands in line with its like, and nobody else should wait for them
        else:
            self._background.add(slot, first=composed.periodic)
        return composed

    async def _record(self, slot: SessionSlot) -> JournalFields:
        return await self._store.read_journal(slot.key) if slot.record is None else slot.record

    def _not_composable(self, slot: SessionSlot, error: NotComposable) -> None:
        self._metrics.composed.labels(str(error.reason)).inc()
        log.debug("cannot be shown before its app has run: %s", error, extra=slot.key.facts)

    # -- bringing it back ------------------------------------------------------------------------

    async def wake(self, slot: SessionSlot, mode: TakeoverMode = TakeoverMode.NONE) -> Session:
        """The session, live. Raises Unavailable when the store does not answer, SessionParked, AppError."""
        return await self._registry.wake(slot, lambda slot: self._bring_back(slot, mode))

    async def _bring_back(self, slot: SessionSlot, mode: TakeoverMode) -> Session:
        try:
            if await self._store.wake(slot.key, self._replica, epoch=slot.epoch) is Written.STALE:
                self._departures.lost(slot)
                raise SessionMoved("another replica owns the session now")
            async with (
                self._crash_guard.taking_over(slot.key, mode),
                self._crash_guard.building(self._registry.app(slot.key.app)),
            ):
                grant = OwnershipGrant(
                    slot.key, slot.epoch, slot.request, await self._record(slot),
                    replay=mode is TakeoverMode.NONE, most_memory=self._crash_guard.most_memory,
                )  # fmt: skip
                return await self._build(slot, grant)
        except StoreError as error:
            raise Unavailable("the session cannot be brought back: its store does not answer") from error
        except AppError:
            # Its pages come back, and find out why; from the record they would be shown what does not work.
            slot.hide()
            slot.close_connections(APP_FAILED)
            raise

    async def _build(self, slot: SessionSlot, grant: OwnershipGrant) -> Session:
        with self._tracing.span("restore", session=slot.key.short):
            try:
                return await self._registry.build(slot, grant)
            except MemoryExceeded as error:
                await self._departures.outgrown(slot, f"to wake {error}")


class _Suspected:
    """A session that sleeps since it was taken over from an owner that may have died of it."""

    def __init__(self, waking: Waking, mode: TakeoverMode) -> None:
        self._waking = waking
        self._mode = mode

    async def wake(self, slot: SessionSlot) -> Session:
        return await self._waking.wake(slot, self._mode)

    async def pull(self, slot: SessionSlot, *, inline: bool) -> Composed | None:
        return await self._waking.pull(slot, inline=inline, mode=self._mode)


class Background:
    """Wakes sessions that somebody watches, ``at_once`` of them side by side, so that no click waits."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._queue: OrderedDict[SessionSlot, None] = OrderedDict()
        self._workers = 0
        self._last = 0.0

    def add(self, slot: SessionSlot, *, first: bool = False) -> None:
        """Its page was just shown all there is; it wakes if nobody has woken it when its turn comes."""
        self.wait()
        if slot not in self._queue:
            self._queue[slot] = None
            self._queue.move_to_end(slot, last=not first)
        if self._workers < self._at_once:
            self._workers += 1
            spawn(self._work())

    def wait(self) -> None:
        """Somebody has come back just now, and more may follow who see nothing as yet."""
        self._last = time.monotonic()

    async def _work(self) -> None:
        try:
            while self._queue:
                await self._calm()
                if self._queue:
                    await _wake(self._queue.popitem(last=False)[0])
        finally:
            self._workers -= 1

    async def _calm(self) -> None:
        until = time.monotonic() + MAX_QUIET_WAIT_SECONDS
        left = QUIET_SECONDS
        while left > 0:
            await asyncio.sleep(left)
            left = min(self._last + QUIET_SECONDS, until) - time.monotonic()


async def _wake(slot: SessionSlot) -> None:
    if slot.life.state is not State.ASLEEP or not slot.connections:
        return
    try:
        await slot.awake()
    except ServiceError as error:  # logged where it happened, and told to whoever needs the session
        log.debug("cannot be woken in the background: %s", error, extra=slot.key.facts)
    except Exception:
        log.exception("waking in the background failed", extra=slot.key.facts)
