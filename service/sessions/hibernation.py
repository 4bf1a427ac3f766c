"""Letting go of the Documents of idle sessions whose pages are still open.

The journal in the store holds everything; the pages' sockets stay, and the next message brings
the Document back before it is answered. So an idle tab costs little more than its socket.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from service.errors import MemoryExceeded, Unavailable
from service.sessions.building import Grant
from store.contract import Store
from store.errors import StoreError

if TYPE_CHECKING:
    from service.sessions.connection import Connection
    from service.sessions.journaling import JournalWriter
    from service.sessions.leaving import Leaving
    from service.sessions.registry import Registry
    from service.sessions.session import Session

__all__ = ("Hibernation", "Sleeper")

log = logging.getLogger(__name__)


class Sleeper:
    """What is left here of a hibernated session: its key, and who is connected.

    ``wake`` gives the live session again. Raises Unavailable when the store does not answer, and
    SessionParked or SessionMoved when that takes more memory than it may.
    """

    __slots__ = ("connections", "epoch", "key", "lost", "request", "unused_since", "wake", "writes")

    def __init__(self, session: Session, wake: Callable[[Sleeper], Awaitable[Session]]) -> None:
        self.key = session.key
        self.epoch = session.epoch
        self.request = session.request
        self.writes = session.writes
        self.connections = set(session.connections)
        self.unused_since = time.monotonic()
        self.lost = False
        self.wake = wake

    async def disconnect(self, connection: Connection) -> None:
        """Nobody is told: there is no Document whose callbacks could be."""
        self.connections.discard(connection)
        self.unused_since = time.monotonic()

    def unused_for(self) -> float:
        """Seconds without any connection."""
        return 0.0 if self.connections else time.monotonic() - self.unused_since

    def close_connections(self, code: int, reason: str, **options: float) -> None:
        for connection in list(self.connections):
            connection.close(code, reason, **options)


class Hibernation:
    """Puts sessions to sleep that were idle for ``after`` seconds; 0 for never.

    To bring one back may take ``most_memory`` bytes, as on another replica; 0 for any number.
    """

    def __init__(
        self,
        store: Store,
        registry: Registry,
        writer: JournalWriter,
        leaving: Leaving,
        *,
        after: float,
        most_memory: int = 0,
    ) -> None:
        self._store = store
        self._registry = registry
        self._writer = writer
        self._leaving = leaving
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
            and bool(session.connections)
            and not session.has_callbacks
            and not session.locked
            and not session.held
            and session.idle_for() >= self._after
        )

    async def _sleep(self, session: Session) -> bool:
        written = await self._writer.write([session])
        if not written or not self._may_sleep(session) or session.journal is None or session.journal.dirty:
            return False
        sleeper = Sleeper(session, self._wake)
        log.debug("hibernates", extra=session.key.facts)
        await self._registry.put_to_sleep(session, sleeper)
        return True

    async def _wake(self, sleeper: Sleeper) -> Session:
        try:
            fields = await self._store.read_journal(sleeper.key)
        except StoreError as error:
            raise Unavailable("the session cannot be brought back: its store does not answer") from error
        grant = Grant(sleeper.key, sleeper.epoch, sleeper.request, fields, most_memory=self._most_memory)
        try:
            return await self._registry.wake(sleeper, grant)
        except MemoryExceeded as error:
            await self._leaving.park_sleeper(sleeper, f"to wake {error}")
