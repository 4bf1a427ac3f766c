"""Letting go of the Documents of idle sessions whose pages are still open.

The journal in the store holds everything; the pages' sockets stay, and the next message brings
the Document back before it is answered. So an idle tab costs little more than its socket.
"""

from __future__ import annotations

import logging
from functools import partial

from service.errors import MemoryExceeded, Unavailable
from service.sessions.building import Grant
from service.sessions.departures import Departures
from service.sessions.journaling import JournalWriter
from service.sessions.life import State
from service.sessions.registry import Registry, SessionSlot
from service.sessions.session import Session
from store.contract import Store
from store.errors import StoreError

__all__ = ("Hibernation",)

log = logging.getLogger(__name__)


class Hibernation:
    """Puts sessions to sleep that were idle for ``after`` seconds; 0 for never.

    To bring one back may take ``most_memory`` bytes, as on another replica; 0 for any number.
    """

    def __init__(
        self,
        store: Store,
        registry: Registry,
        writer: JournalWriter,
        departures: Departures,
        *,
        after: float,
        most_memory: int = 0,
    ) -> None:
        self._store = store
        self._registry = registry
        self._writer = writer
        self._departures = departures
        self._after = after
        self._most_memory = most_memory

    async def put_to_sleep(self) -> int:
        """Hibernate whoever may sleep; how many."""
        if not self._after or self._writer.store_away:
            return 0
        idle = [session for session in self._registry if self._may_sleep(session)]
        return sum([await self._sleep(session) for session in idle])

    def _may_sleep(self, session: Session) -> bool:
        journal = session.journal
        return (
            journal is not None
            and journal.has_base
            and session.slot.life.state is State.LIVE
            and session.connection_count > 0
            and not session.has_callbacks
            and not session.locked
            and not session.held
            and session.idle_for() >= self._after
        )

    async def _sleep(self, session: Session) -> bool:
        written = await self._writer.write([session])
        if not written or not self._may_sleep(session) or session.journal is None or session.journal.dirty:
            return False
        log.debug("hibernates", extra=session.key.facts)
        await self._registry.put_to_sleep(session.slot, partial(self._wake, session.slot))
        return True

    async def _wake(self, slot: SessionSlot) -> Session:
        """Raises Unavailable when the store does not answer, and as :meth:`Departures.outgrown`."""
        try:
            fields = await self._store.read_journal(slot.key)
        except StoreError as error:
            raise Unavailable("the session cannot be brought back: its store does not answer") from error
        grant = Grant(slot.key, slot.epoch, slot.request, fields, most_memory=self._most_memory)
        try:
            return await self._registry.build(slot, grant)
        except MemoryExceeded as error:
            await self._departures.outgrown(slot, f"to wake {error}")
