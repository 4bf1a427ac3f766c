"""Carrying journals to the store: all dirty sessions of this replica in one write per interval."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

from service.apps.batched_calls import batches_end
from service.background import spawn
from service.errors import SessionMoved
from service.metrics import Metrics
from service.sessions.session import Session
from store.contract import Journals, JournalWrite, Written
from store.errors import StoreError

__all__ = ("JournalWriter",)

log = logging.getLogger(__name__)

MAX_SESSIONS_PER_WRITE = 200
"""Sessions per write, so that encoding them does not hold up the event loop for long."""


MAX_BYTES_PER_SECOND = 32 * 1024 * 1024
"""What one session may have written to the store, on average. A write of a large column keeps Redis from all
others' requests, and of columns that follow each other only the last one counts after a move."""

MAX_REST_SECONDS = 1.0
"""How long a session waits for its next write at most, however much the last one was."""


MAX_UNHANDLED_SECONDS = 2.0
"""How long a session waits to be written for what inputs have put off. Panel (1.9, 1.10) handles them 50 ms
later, on a busy machine later than that. Else what they set comes back without what follows from it."""


INTERVALS_UNTIL_RECOVERED = 10
"""Intervals without a failure after which the store is said to be back."""


class JournalWriter:
    """Writes what sessions noted. ``lost`` is told of sessions that turn out to be another replica's.

    With ``sync`` clients are answered when their changes are in the store (see :meth:`settle`).
    """

    def __init__(
        self,
        store: Journals,
        replica: str,
        *,
        interval: float,
        max_bytes: int,
        sync: bool,
        lost: Callable[[Session], None],
        metrics: Metrics,
    ) -> None:
        self._store = store
        self._replica = replica
        self._interval = interval
        self._max_bytes = max_bytes
        self._sync = sync
        self._lost = lost
        self._metrics = metrics
        self._since: dict[Session, float] = {}
        self._due: set[Session] = set()
        self._not_before: dict[Session, float] = {}
        """Sessions that have just had much written, and when the next write of theirs may begin."""
        self._waiters: list[tuple[Session, asyncio.Future[None]]] = []
        self._queued: set[Session] = set()
        """Busy sessions that are looked at as soon as their present callback is over."""
        self._taken: dict[Session, JournalWrite] = {}
        """What was found there, which the next write takes along."""
        self._any_due = asyncio.Event()
        self._wake = asyncio.Event()
        self._writing = asyncio.Lock()
        self._store_away = False
        self._said_away = False
        self._failed_at = 0.0

    @property
    def store_away(self) -> bool:
        """Whether the last write did not reach the store."""
        return self._store_away

    def lag(self) -> float:
        """Age in seconds of the oldest change that the store does not have yet."""
        return time.monotonic() - min(self._since.values()) if self._since else 0.0

    def mark(self, session: Session) -> None:
        """The session has something to write."""
        self._due.add(session)
        self._any_due.set()
        self._since.setdefault(session, time.monotonic())
        if self._waiters:  # perhaps this is what somebody's input had put off
            self._wake.set()

    async def settle(self, session: Session) -> None:
        """With ``sync``: return when everything noted so far is in the store.

        Together with what inputs have put off, unless that takes longer than MAX_UNHANDLED_SECONDS.
        Raises SessionMoved when it turns out that the session is another replica's by now, or will be.
        """
        if not self._sync:
            return
        if session.journal is not None and not session.destroyed:
            waiter = asyncio.get_running_loop().create_future()
            self.mark(session)
            self._waiters.append((session, waiter))
            self._wake.set()
            await waiter
        if session.lost or session.destroyed:
            raise SessionMoved("another replica owns the session now")

    async def run(self) -> None:
        """Write in each interval that brings changes, and at once when somebody waits; until cancelled.

        While many sessions are told of something it waits for them, an interval longer at most.
        """
        while True:
            await self._any_due.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._interval):
                    await self._wake.wait()
            self._wake.clear()
            if not self._sync:  # what many sessions are told of reaches their pages first
                await batches_end(self._interval)
            await self.flush()
            if not self._due and not self._taken:
                self._any_due.clear()
            if self._store_away:
                await asyncio.sleep(self._interval)

    async def flush(self) -> None:
        """Write all that is due, but for sessions in the middle of a callback: their turn comes after it.

        Those that have just had much written stay due, unless somebody waits for it; those that have still to
        handle inputs in any case.
        """
        waiters, self._waiters = self._waiters, []
        now = time.monotonic()
        self._not_before = {session: then for session, then in self._not_before.items() if then > now}
        resting = self._not_before.keys() - {session for session, _ in waiters}
        resting |= {session for session in self._due if self._puts_off(session)}
        due = [session for session in self._due if session not in resting]
        for session in due:
            if session.locked and session not in self._queued:
                self._queued.add(session)
                spawn(self._take_between_callbacks(session))
        ready = [session for session in due if not session.locked]
        for start in range(
            0, max(len(ready), 1), MAX_SESSIONS_PER_WRITE
        ):  # with none, too, for what was taken
            await self._write_at_rest(ready[start : start + MAX_SESSIONS_PER_WRITE])
            await asyncio.sleep(0)
        for session, waiter in waiters:
            if (session in self._due or session in self._taken) and not session.destroyed:
                self._waiters.append((session, waiter))
            elif not waiter.done():
                waiter.set_result(None)

    async def _take_between_callbacks(self, session: Session) -> None:
        """Callbacks that follow each other leave too little time for somebody who only comes by."""

        def take() -> None:
            if session not in self._due or session in self._taken or self._puts_off(session):
                return
            if write := self._take(session):
                self._taken[session] = write

        try:
            await session.in_turn(take)
        finally:
            self._queued.discard(session)
        self._any_due.set()
        if self._sync:
            self._wake.set()

    def _puts_off(self, session: Session) -> bool:
        """Whether it has still to handle inputs, and others should wait for that."""
        now = time.monotonic()
        return session.puts_off_input and self._since.get(session, now) > now - MAX_UNHANDLED_SECONDS

    async def _write_at_rest(self, sessions: Iterable[Session]) -> bool:
        """As :meth:`write`, but for those that an input has come to since somebody looked."""
        async with self._writing:
            return await self._write_all(session for session in sessions if not self._puts_off(session))

    async def write(self, sessions: Iterable[Session]) -> bool:
        """Write what these sessions have noted by now; False when the store does not answer."""
        async with self._writing:
            return await self._write_all(sessions)

    async def _write_all(self, sessions: Iterable[Session]) -> bool:
        """What these have noted, after what was taken of any: the store takes the writes of each in order."""
        taken, self._taken = self._taken, {}
        batch = {session: write for session in sessions if (write := self._take(session))}
        later = {session: batch.pop(session) for session in taken.keys() & batch.keys()}
        # Where the first one fails, all that was taken is written anew, with what came later.
        return await self._write([*taken.items(), *batch.items()]) and await self._write([*later.items()])

    async def _write(self, batch: list[tuple[Session, JournalWrite]]) -> bool:
        if batch:
            try:
                with self._metrics.journal_seconds.time():
                    answers = await self._store.write_journals(self._replica, [write for _, write in batch])
            except StoreError as error:
                self._failed([session for session, _ in batch], error)
                return False
            self._succeeded()
            self._count(batch)
            for (session, _), answer in zip(batch, answers, strict=True):
                try:
                    await self._answered(session, answer)
                except StoreError as error:
                    self._failed([session], error)
        return True

    def _count(self, batch: list[tuple[Session, JournalWrite]]) -> None:
        self._metrics.journal_writes.inc()
        now = time.monotonic()
        for session, write in batch:
            size = sum(map(len, write.put.values()))
            self._metrics.journal_bytes.inc(size)
            rest = min(size / MAX_BYTES_PER_SECOND, MAX_REST_SECONDS)
            if rest > self._interval:
                self._not_before[session] = now + rest
            self._since.pop(session, None)
            if session in self._due:  # it changed again while it was written
                self._since[session] = time.monotonic()

    def _take(self, session: Session) -> JournalWrite | None:
        if session.at_work:
            return None  # a callback began after somebody looked: it stays due until that is over
        self._due.discard(session)
        journal = session.journal
        if journal is None or not journal.dirty:
            self._since.pop(session, None)
            return None
        number = session.slot.next_write()
        try:
            changes = journal.take()
        except Exception:
            # Whatever an app put into its Document must not stop the others' journals.
            log.exception(
                "the session cannot be journaled and will not outlive this replica", extra=session.key.facts
            )
            return self._given_up(session, number)
        self._name_losses(session, journal.losses.take())
        if journal.stored_bytes > self._max_bytes:
            log.warning(
                "%d bytes are more than --journal-max-bytes: the session will not outlive this replica",
                journal.stored_bytes, extra=session.key.facts,
            )  # fmt: skip
            self._metrics.journal_over_budget.inc()
            return self._given_up(session, number)
        return JournalWrite(session.key, session.epoch, number, changes.put, changes.remove, changes.whole)

    def _name_losses(self, session: Session, losses: list[str]) -> None:
        for loss in losses:
            log.warning("this value cannot be journaled: %s", loss, extra=session.key.facts)
        self._metrics.values_lost.labels("written").inc(len(losses))

    def _given_up(self, session: Session, number: int) -> JournalWrite:
        session.stop_journaling()
        return JournalWrite(session.key, session.epoch, number, {}, whole=True)

    def _failed(self, sessions: list[Session], error: StoreError) -> None:
        """Whether it was written is not known, so write everything when the store is back."""
        self._metrics.journal_errors.inc()
        self._store_away = True
        self._failed_at = time.monotonic()
        if not self._said_away:
            log.warning("journal writes fail; buffering until the store recovers: %s", error)
        self._said_away = True
        for session in sessions:
            self._again(session)

    def _again(self, session: Session) -> None:
        if session.journal is not None:
            session.journal.lost()
            self.mark(session)

    async def _answered(self, session: Session, answer: Written) -> None:
        match answer:
            case Written.STALE:
                self._lost(session)
            case Written.BEHIND:
                self._again(session)
            case Written.GONE:
                again = await self._store.reassert(
                    session.key, self._replica, epoch=session.epoch, request=session.request
                )
                if again is Written.STALE:
                    self._lost(session)
                else:
                    self._again(session)

    def _succeeded(self) -> None:
        """A full Redis takes whole journals, which free memory first, and refuses the others: said once."""
        self._store_away = False
        if (
            self._said_away
            and time.monotonic() - self._failed_at > INTERVALS_UNTIL_RECOVERED * self._interval
        ):
            log.info("journal writes succeed again")
            self._said_away = False
