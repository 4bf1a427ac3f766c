"""How sessions leave this replica: what :data:`service.sessions.life.DEPARTURES` says, done."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Iterable
from functools import partial
from typing import NoReturn

from service.apps.attempts import Attempt
from service.background import begin
from service.errors import ServiceError, SessionMoved, SessionUnknown
from service.metrics import Metrics
from service.sessions.journaling import JournalWriter
from service.sessions.life import DEPARTURES, Action, Event, Reason, State, StoreOperation
from service.sessions.parking import Parking
from service.sessions.registry import Registry, SessionSlot
from service.sessions.session import Session
from service.timings import ARRIVAL_SECONDS, STUCK_SECONDS
from store.contract import ParkReason, Store
from store.errors import StoreError

__all__ = ("Departures",)

log = logging.getLogger(__name__)


class Departures:
    """Lets sessions leave. ``retention`` is for how many seconds they stay claimable."""

    def __init__(
        self,
        store: Store,
        registry: Registry,
        writer: JournalWriter,
        replica: str,
        *,
        retention: float,
        metrics: Metrics,
    ) -> None:
        self._store = store
        self._registry = registry
        self._writer = writer
        self._replica = replica
        self._retention = retention
        self._metrics = metrics
        self._parking = Parking(store, replica, metrics)

    async def leave(self, slot: SessionSlot, why: Reason) -> bool:
        """Let the session go, and return when it has; False if it left for another reason.

        Whoever uses it: its clients are told to come back. Code of its that does not return is given up, but
        not in a drain, which has a time of its own.
        """
        while (do := slot.life.leave(why)) is Action.WAIT:
            if await self._given_up_as_built(slot, why):
                self._count(why)
                return True
        if do is Action.NOTHING:
            return False
        leaving = slot.begin(self._go(slot))  # in the same turn: who looks for the session waits for it
        if why is Reason.DRAINED:
            await asyncio.wait([leaving])
        else:
            await self._in_time(slot, leaving)
        if not leaving.cancelled():
            leaving.result()
        elif why is Reason.DRAINED:  # it was given up, and is counted there
            return False
        self._count(why)
        return True

    async def write_first(self, slots: Iterable[SessionSlot]) -> None:
        """Write at once what those have noted that are about to leave: one after the other takes longer."""
        live = [session for slot in slots if (session := slot.session) is not None]
        if live:
            await self._writer.write(live)

    def _count(self, why: Reason) -> None:
        if (metric := DEPARTURES[why].metric) is not None:
            self._metrics.ends.labels(metric).inc()

    async def leave_if_unused(self, slot: SessionSlot) -> bool:
        """The same because nobody uses it; False if somebody does. What clients have seen is kept."""
        session = slot.session
        unused_for = slot.unused_for() if session is None else session.unused_for()
        in_use = unused_for == 0 or (session is not None and session.locked)
        if in_use or slot.life.state not in (State.LIVE, State.ASLEEP):  # somebody has just woken it
            return False
        return await self.leave(slot, Reason.UNUSED)

    def lost(self, slot: SessionSlot) -> None:
        """Another replica has it already: drop this copy, which must not be written any more."""
        if slot.life.lost:
            return
        self._metrics.fenced.inc()
        log.warning("another replica owns it now; dropping this copy", extra=slot.key.facts)
        begin(self._begin_to_leave(slot, Reason.LOST))
        if slot.session is not None and slot.session.at_work:
            self._close(slot)  # else they would be shown what is not so any more, perhaps for long

    async def failed(self, slot: SessionSlot) -> None:
        """It could not be built. What clients have seen is kept: the next try may go well."""
        if slot.life.state is State.BUILDING and slot.life.on(Event.FAILED) is Action.SAY_FAREWELL:
            await self._say_farewell(slot)

    async def outgrown(self, slot: SessionSlot, why: str) -> NoReturn:
        """A hibernated session takes too much memory as it wakes: it is set aside.

        Raises SessionParked; SessionMoved when the store does not answer: who brings it back finds out anew.
        """
        slot.life.on(Event.OUTGROWN)  # first: who comes meanwhile must not find it asleep without a journal
        try:
            await self._parking.park(slot.key, slot.epoch, ParkReason.MEMORY, why)
        except StoreError as error:
            log.warning("cannot park the session: %s", error, extra=slot.key.facts)
            raise SessionMoved("the session left this replica while it was put to sleep") from error
        finally:
            self._close(slot)
            self._registry.forget(slot)

    async def give_up(self, slot: SessionSlot) -> None:
        """Its code does not end, and this replica does: what is journaled is retained, the rest is lost."""
        if slot.life.why is None:
            begin(self._begin_to_leave(slot, Reason.DRAINED))
        await self._give_up(slot)
        self._metrics.ends.labels("given_up").inc()

    async def _begin_to_leave(self, slot: SessionSlot, why: Reason) -> None:
        await self.leave(slot, why)

    async def _in_time(self, slot: SessionSlot, leaving: asyncio.Task[None]) -> None:
        while not (await asyncio.wait([leaving], timeout=STUCK_SECONDS))[0]:
            if slot.session is not None and slot.session.doing:  # else it is the store that it waits for
                await self._give_up(slot)

    async def _given_up_as_built(self, slot: SessionSlot, why: Reason) -> bool:
        """Wait for what is under way. Whether that was app code that does not return, and is given up."""
        under_way, attempt = slot.under_way, slot.attempt
        if why is Reason.DRAINED or under_way is None or attempt is None:
            await slot.settled()
            return False
        over = (await asyncio.wait([under_way], timeout=STUCK_SECONDS))[0]
        if over or slot.attempt is not attempt or slot.life.give_up(why) is not Action.GIVE_UP:
            return False
        log.error("abandoned while being built, still running: %s", _place(attempt), extra=slot.key.facts)
        error = _not_built(why)
        attempt.reject(error)
        await asyncio.wait([slot.begin(self._go(slot))])  # first, so that its clients hear of this
        attempt.give_up(error)
        return True

    async def _go(self, slot: SessionSlot) -> None:
        try:
            if slot.session is None:
                await self._say_farewell(slot)
            else:
                await slot.session.destroy(partial(self._say_farewell, slot))
        finally:
            self._registry.forget(slot)

    async def _give_up(self, slot: SessionSlot) -> None:
        session = slot.session
        if slot.life.why is None or slot.life.give_up(slot.life.why) is not Action.GIVE_UP or session is None:
            return
        log.error(
            "abandoned with its last journaled state, still running: %s", session.doing, extra=slot.key.facts
        )
        session.disown()
        await self._say_farewell(slot)  # first, so that its clients hear of this and not of the error
        session.give_up_code()
        slot.give_up_waiting()
        self._registry.forget(slot)

    # -- what is done, by the table --------------------------------------------------------------

    async def _say_farewell(self, slot: SessionSlot) -> None:
        assert slot.life.why is not None
        departure = DEPARTURES[slot.life.why]
        session, told = slot.session, departure.told
        if told is StoreOperation.RELEASE_IF_SEEN:
            told = StoreOperation.RELEASE if self._is_kept(session) else StoreOperation.DISCARD
        if session is not None and departure.writes:
            await self._writer.write([session])
        elif session is not None:
            session.stop_journaling()
        await self._tell(slot, told)
        self._close(slot)

    def _is_kept(self, session: Session | None) -> bool:
        if session is None:  # it sleeps, so its record is in the store
            return True
        return self._retention > 0 and session.journal is not None and session.journal.has_base

    async def _tell(self, slot: SessionSlot, told: StoreOperation) -> None:
        try:
            await self._telling(slot, told)
        except StoreError as error:
            log.warning("cannot %s the session in the store: %s", told, error, extra=slot.key.facts)

    def _telling(self, slot: SessionSlot, told: StoreOperation) -> Awaitable[object]:
        key, epoch, store = slot.key, slot.epoch, self._store
        match told:
            case StoreOperation.RELEASE:
                retention = max(self._retention, ARRIVAL_SECONDS)
                return store.release(key, self._replica, epoch=epoch, retention=retention)
            case StoreOperation.RETAIN:
                return store.discard(key, owner=self._replica, epoch=epoch, retention=self._retention)
            case StoreOperation.DISCARD:
                return store.discard(key, owner=self._replica, epoch=epoch)
            case StoreOperation.END:
                return store.end(key, owner=self._replica, epoch=epoch)
            case _:
                return _nothing()

    def _close(self, slot: SessionSlot) -> None:
        closing = None if slot.life.why is None else DEPARTURES[slot.life.why].closing
        if closing is not None:
            slot.close_connections(closing.close, patience=closing.patience)


def _not_built(why: Reason) -> ServiceError:
    """For who waits for a session that is given up while it is built."""
    if why is Reason.ENDED:
        return SessionUnknown("an operator has ended the session while its app was starting")
    return SessionMoved("the session has left this replica while its app was starting")


def _place(attempt: Attempt) -> str:
    return attempt.doing or ("the queue for a thread" if attempt.queued else "a coroutine of the app")


async def _nothing() -> None:
    return
