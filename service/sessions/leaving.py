"""The ways in which a session leaves this replica, and what the store and its clients hear of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import NoReturn

from service.background import spawn
from service.errors import SessionMoved
from service.metrics import Metrics
from service.sessions.hibernation import Sleeper
from service.sessions.journaling import JournalWriter
from service.sessions.parking import Parking
from service.sessions.registry import Registry
from service.sessions.session import Session
from store.contract import ParkReason, Store
from store.errors import StoreError

__all__ = ("COME_BACK", "Leaving")

log = logging.getLogger(__name__)

COME_BACK = 1012
"""WebSocket close code "service restart", on which BokehJS reconnects at once."""

LOST_SECONDS = 0.5
"""How long a client may take to leave a copy that is not the session any more."""

STUCK_SECONDS = 5.0
"""How long a session that has to go waits for its own code to end, unless this replica drains."""

ENDED = "the session was ended"
"""Its pages come back, too: only then can they be told."""


class Leaving:
    """Ends sessions. ``retention`` is for how many seconds they stay claimable."""

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

    async def unused(self, session: Session) -> bool:
        """Nobody uses it; False if somebody does after all. What a client has seen is retained."""
        ended = await self._end_in_time(session, self._retire, unless_used=True)
        self._metrics.ends.labels("unused").inc(ended)
        return ended

    async def move(self, session: Session) -> None:
        """Another replica shall take it, now: its clients are told to come back."""
        moved = await self._registry.end(session, self._release)
        self._metrics.ends.labels("moved").inc(moved)

    async def end(self, session: Session) -> None:
        """End it for good, whoever uses it: its pages say so, and cannot begin it anew."""
        ended = await self._end_in_time(session, self._end)
        self._metrics.ends.labels("ended").inc(ended)

    async def end_sleeper(self, sleeper: Sleeper) -> None:
        """As :meth:`end`, for a hibernated session, whose hooks have run already."""
        if self._registry.forget_sleeper(sleeper):
            await self._forget_for_good(sleeper)
            sleeper.close_connections(COME_BACK, ENDED)
            self._metrics.ends.labels("ended").inc()

    async def unused_sleeper(self, sleeper: Sleeper) -> None:
        """A hibernated session that nobody is connected to any more: its journal is retained."""
        if self._registry.forget_sleeper(sleeper):
            await self._put_down(sleeper)

    async def move_sleeper(self, sleeper: Sleeper) -> None:
        """As :meth:`move`, for a hibernated session."""
        if self._registry.forget_sleeper(sleeper):
            await self._put_down(sleeper)
            sleeper.close_connections(COME_BACK, "the session moves to another replica")

    def lost_sleeper(self, sleeper: Sleeper) -> None:
        """As :meth:`lost`, for a hibernated session."""
        if self._registry.forget_sleeper(sleeper):
            sleeper.close_connections(COME_BACK, "another replica has the session", patience=LOST_SECONDS)

    async def park_sleeper(self, sleeper: Sleeper, why: str) -> NoReturn:
        """A hibernated session that must not be woken: its pages come back, and are told.

        Raises SessionParked; SessionMoved when somebody else does that already.
        """
        # Forgotten first: who comes meanwhile must not find it asleep without a journal, and begin it anew.
        if not self._registry.forget_sleeper(sleeper):
            raise SessionMoved("the session has left while it hibernated")
        try:
            await self._parking.park(sleeper.key, sleeper.epoch, ParkReason.MEMORY, why)
        except StoreError as error:
            # Whoever brings it back finds out anew.
            log.warning("cannot park the session: %s", error, extra=sleeper.key.facts)
            raise SessionMoved("the session has left while it hibernated") from error
        finally:
            sleeper.close_connections(COME_BACK, "the session was set aside")

    async def renew(self, session: Session) -> None:
        """The app has changed: its clients come back to a session that is restored with the new code."""
        await self._end_in_time(session, self._renew)

    async def give_up(self, session: Session) -> None:
        """Its code does not end, and this replica does: what is journaled is retained, the rest is lost."""
        await self._give_up(session, self._release)
        self._metrics.ends.labels("given_up").inc()

    def lost(self, session: Session) -> None:
        """Another replica has it already: drop this copy, which must not be written any more."""
        if not session.lost:
            session.lost = True
            self._metrics.fenced.inc()
            self._metrics.ends.labels("lost").inc()
            log.warning("another replica owns it now; dropping this copy", extra=session.key.facts)
            if session.at_work:  # which may take long, and they would be shown what is not so any more
                session.close_connections(COME_BACK, "another replica has the session", patience=LOST_SECONDS)
            self._registry.begin_to_end(session, self._drop)
            spawn(self._end_in_time(session, self._drop))

    async def _end_in_time(
        self, session: Session, farewell: Callable[[Session], Awaitable[None]], *, unless_used: bool = False
    ) -> bool:
        """As :meth:`Registry.end`, but code of the session that goes on and on is given up."""
        ending = asyncio.create_task(self._registry.end(session, farewell, unless_used=unless_used))
        while not (await asyncio.wait([ending], timeout=STUCK_SECONDS))[0]:
            if session.doing:  # else it is the store that it waits for
                await self._give_up(session, farewell)
                return True
        return ending.result()

    async def _give_up(self, session: Session, farewell: Callable[[Session], Awaitable[None]]) -> None:
        log.error(
            "given up as it was last journaled: it is still in %s", session.doing, extra=session.key.facts
        )
        session.disown()
        await farewell(session)  # first, so that its clients hear of this and not of the error
        session.give_up_code()
        self._registry.forget(session)

    async def _retire(self, session: Session) -> None:
        kept = self._retention > 0 and session.journal is not None and session.journal.has_base
        await self._writer.write([session])
        await (self._put_down if kept else self._forget)(session)

    async def _release(self, session: Session) -> None:
        await self._writer.write([session])
        await self._put_down(session)
        session.close_connections(COME_BACK, "the session moves to another replica")

    async def _end(self, session: Session) -> None:
        session.journal = None
        await self._forget_for_good(session)
        session.close_connections(COME_BACK, ENDED)

    async def _renew(self, session: Session) -> None:
        await self._writer.write([session])
        await self._put_down(session)
        session.close_connections(COME_BACK, "the app has changed")

    async def _drop(self, session: Session) -> None:
        session.journal = None
        session.close_connections(COME_BACK, "another replica has the session", patience=LOST_SECONDS)

    async def _put_down(self, session: Session | Sleeper) -> None:
        retention = max(self._retention, 60.0)  # a session that moves needs the time to arrive
        try:
            await self._store.release(session.key, self._replica, epoch=session.epoch, retention=retention)
        except StoreError as error:
            log.warning("cannot release the session: %s", error, extra=session.key.facts)

    async def _forget_for_good(self, session: Session | Sleeper) -> None:
        try:
            await self._store.end(session.key, owner=self._replica, epoch=session.epoch)
        except StoreError as error:
            log.warning("cannot end the session in the store: %s", error, extra=session.key.facts)

    async def _forget(self, session: Session) -> None:
        try:
            await self._store.discard(session.key, owner=self._replica, epoch=session.epoch)
        except StoreError as error:
            log.warning("cannot discard the session: %s", error, extra=session.key.facts)
