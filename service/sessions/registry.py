"""The sessions that this replica owns, or is about to: one slot for each, from its claim to its end."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple, TypeAlias, TypeVar

from service import logs
from service.apps.app import App
from service.apps.attempts import Attempt
from service.background import spawn
from service.documents.restore import Fidelity
from service.errors import AppCodeAbandoned, AppError, NotComposable, SessionMoved, SessionUnknown
from service.sessions.building import Builder, OwnershipGrant
from service.sessions.history import SessionHistory
from service.sessions.life import Action, Event, Reason, State
from service.sessions.session import Session
from service.sessions.shown import shown_of
from service.sessions.slot import SleepingSessions, Slot
from store.contract import JournalFields, SessionKey

__all__ = ("YIELDS_BETWEEN_BUILDS", "NewAttempt", "Registry", "SessionSlot")

log = logging.getLogger(__name__)

YIELDS_BETWEEN_BUILDS = 3
"""Turns of the event loop between two builds: enough for a message to come in and be answered."""

HOOKS_SECONDS = 5.0
"""How long whatever comes next waits for the hooks of a session that is taken apart."""

COUNTING_SHARE = 100
"""How many times as long as it took to count sessions, the result is good enough."""


class SessionCounts(NamedTuple):
    """How many there are."""

    sessions: Counter[str]
    """By app path, those that are asleep included."""
    asleep: Counter[str]
    connections: int


SessionSlot: TypeAlias = Slot[Session]

NewAttempt: TypeAlias = Callable[[App, SessionKey], Attempt]

T = TypeVar("T")


def _unwatched(app: App, key: SessionKey) -> Attempt:
    """A build may take as long as it likes."""
    return Attempt()


class Registry:
    """Slots by key. Ownership is decided elsewhere: who opens a slot asks the store.

    ``attempt`` is asked how long a build may take.
    """

    def __init__(
        self,
        apps: Mapping[str, App],
        builder: Builder,
        attempt: NewAttempt = _unwatched,
        history: SessionHistory | None = None,
    ) -> None:
        self._apps = apps
        self._history = history or SessionHistory(0)
        self._builder = builder
        self._new_attempt = attempt
        self._slots: dict[SessionKey, SessionSlot] = {}
        self._next_build = asyncio.Lock()
        self._ended = 0
        self._tally = SessionCounts(Counter(), Counter(), 0)
        self._tally_until = 0.0
        self.changes: deque[tuple[SessionKey, bool]] = deque()
        """Sessions that are built or live here from now on (True), or no more (False), for the heartbeat."""
        for app in apps.values():
            app.serves(partial(self._sessions_of, app))

    def __len__(self) -> int:
        """Sessions that are owned here, hibernated ones included."""
        return len(self.held())

    def __iter__(self) -> Iterator[Session]:
        """Those that have a Document."""
        return iter([session for slot in self._all() if (session := slot.session) is not None])

    @property
    def ended(self) -> int:
        """Sessions whose Document was taken apart here so far."""
        return self._ended

    def held(self) -> list[SessionSlot]:
        """The sessions that are owned here, live, hibernated, or leaving. On any thread."""
        return [slot for slot in self._all() if slot.life.held]

    def being_built(self) -> list[tuple[SessionSlot, Attempt]]:
        """Those that their app is run for, to begin or to wake them, longest first. On any thread."""
        found = [(slot, slot.attempt) for slot in self._all()]
        built = [(slot, attempt) for slot, attempt in found if attempt is not None]
        return sorted(built, key=lambda each: each[1].since)

    def _all(self) -> list[SessionSlot]:
        """In one step: the heartbeat and app code look at it from their threads."""
        return list(self._slots.values())

    def app(self, path: str) -> App:
        try:
            return self._apps[path]
        except KeyError:
            raise SessionUnknown(f"there is no app at {path}") from None

    # -- looking for a session -----------------------------------------------------------------

    async def find(self, key: SessionKey) -> Session | None:
        """The live session, waiting while it is being built, woken or ended; None if it is not here.

        Raises :class:`AppError` when the build fails.
        """
        while (slot := await self.slot(key)) is not None:
            if (session := await slot.awake()) is not None:
                return session
        return None

    async def slot(self, key: SessionKey) -> SessionSlot | None:
        """Of a session that is live or asleep, waiting while it is built or ended; None if it is not here.

        Raises :class:`AppError` when the build fails.
        """
        while (slot := self._slots.get(key)) is not None:
            match slot.life.state:
                case State.CLAIMING:
                    return None
                case State.BUILDING if slot.under_way is not None:
                    await asyncio.shield(slot.under_way)
                case State.LEAVING:
                    await slot.settled()
                case _:
                    return slot
        return None

    def at_hand(self, key: SessionKey) -> SessionSlot | None:
        """As :meth:`slot`, where that need not wait."""
        slot = self._slots.get(key)
        return slot if slot is not None and slot.open else None

    def opening(self, key: SessionKey) -> asyncio.Task[Any] | None:
        """What claims and builds the session right now."""
        slot = self._slots.get(key)
        under_way = slot is not None and slot.life.state in (State.CLAIMING, State.BUILDING)
        return slot.under_way if slot is not None and under_way else None

    # -- its life ------------------------------------------------------------------------------

    def open(self, key: SessionKey, work: Callable[[SessionSlot], Coroutine[Any, Any, T]]) -> asyncio.Task[T]:
        """A slot for a session that is not here; ``work`` claims it and, if that is granted, builds it.

        A client that goes away while the app runs must not take the build from others, so it is a task.
        """
        slot: SessionSlot = Slot(key)
        self._slots[key] = slot
        return slot.begin(self._opened(slot, work(slot)))

    async def _opened(self, slot: SessionSlot, work: Coroutine[Any, Any, T]) -> T:
        try:
            return await work
        finally:
            if slot.life.state is State.CLAIMING:
                slot.life.on(Event.REFUSED)
                self._remove(slot)
            elif slot.life.state is State.BUILDING:
                slot.life.on(Event.FAILED)
            if slot.life.why is Reason.FAILED:
                self.forget(slot)

    async def build(self, slot: SessionSlot, grant: OwnershipGrant) -> Session:
        """Make the session live.

        Raises :class:`AppError` when the app's code fails or takes too long; nothing is left behind then.
        """
        logs.bind_log_context(**grant.key.facts)
        self.changes.append((grant.key, True))  # now, as it may take long
        app = self.app(grant.key.app)
        if not app.for_operators:
            self._history.launched(grant.key, grant.request.headers.get("User-Agent"))
        await self._yield_to_event_loop()
        session = await self._built(app, slot, grant)
        self._history.started(grant.key)
        changes = await self._changes(session, slot, grant)  # nothing is awaited from here on: it may change
        slot.built(session)
        if changes is None:
            slot.pull_again(keep_input=session.fidelity is Fidelity.EXACT)
        else:
            session.is_shown()
            slot.tell(changes)
        session.keep()
        return session

    async def _changes(self, session: Session, slot: SessionSlot, grant: OwnershipGrant) -> str | None:
        """What has to be changed in pages that were shown its record; None where they have to pull again."""
        if session.as_recorded:
            return ""
        if session.fidelity is not Fidelity.EXACT or grant.fields is None or not slot.is_shown:
            return None
        try:
            shown = await shown_of(grant.fields, session.app.version, inline=True)
            return session.changes_since(shown.content)
        except NotComposable as error:
            log.debug("cannot send its pages what changed: %s", error, extra=slot.key.facts)
        except Exception:
            # The session is whole: its pages get it by pulling again.
            log.exception("its pages pull the whole Document again", extra=slot.key.facts)
        return None

    async def _built(self, app: App, slot: SessionSlot, grant: OwnershipGrant) -> Session:
        """By the app's present code: what has changed meanwhile (``--dev``) is run from its beginning."""
        while True:
            generation = app.generation
            try:
                session = await self._attempt(app, slot, grant)
            except (AppError, AppCodeAbandoned):
                if app.generation == generation:
                    raise
            else:
                if app.generation == generation:
                    return session
                session.stop_journaling()
                await self._take_apart_in_time(session)
            log.info("building the session again: its app changed meanwhile", extra=slot.key.facts)

    async def _attempt(self, app: App, slot: SessionSlot, grant: OwnershipGrant) -> Session:
        attempt = self._new_attempt(app, slot.key)
        with slot.built_by(attempt):
            session = await self._builder.build(app, grant, slot, attempt)
            if attempt.rejected:
                session.disown()
        return session

    def leave_asleep(
        self, slot: SessionSlot, record: JournalFields, asleep: SleepingSessions[Session]
    ) -> None:
        """It need not be live as yet: ``record`` will do."""
        slot.fall_asleep(asleep, record)
        self.changes.append((slot.key, True))

    async def put_to_sleep(self, slot: SessionSlot, asleep: SleepingSessions[Session]) -> None:
        """Take the session's Document apart, but keep its slot and its connections."""
        session = slot.session
        slot.fall_asleep(asleep)
        if session is not None:
            await self._take_apart_in_time(session)

    async def _take_apart_in_time(self, session: Session) -> None:
        """Its hooks may not return."""
        await asyncio.wait([spawn(self._take_apart(session))], timeout=HOOKS_SECONDS)

    async def _take_apart(self, session: Session) -> None:
        await session.destroy(_say_nothing)
        self._ended += 1

    async def wake(self, slot: SessionSlot, work: Callable[[SessionSlot], Awaitable[Session]]) -> Session:
        """The session, live again: ``work`` builds it, once for all who want that at the same time.

        Raises SessionMoved, and as ``work``.
        """
        match slot.life.on(Event.WAKE):
            case Action.TURN_AWAY:
                raise SessionMoved("the session left this replica while it was put to sleep")
            case Action.RUN_APP:
                slot.begin(self._wake(slot, work))
        assert slot.under_way is not None
        session: Session = await asyncio.shield(slot.under_way)
        return session

    async def _wake(self, slot: SessionSlot, work: Callable[[SessionSlot], Awaitable[Session]]) -> Session:
        try:
            session = await work(slot)
        finally:
            if slot.life.state is State.WAKING:
                slot.life.on(Event.FAILED)
        session.pages.show()
        for client in list(slot.connections):
            client.woken()
        return session

    def forget(self, slot: SessionSlot) -> None:
        """It has left: nobody finds it here any more."""
        if slot.life.on(Event.ENDED) is Action.FORGET:
            self._ended += slot.session is not None
            self._remove(slot)
            self.changes.append((slot.key, False))

    def _remove(self, slot: SessionSlot) -> None:
        if self._slots.get(slot.key) is slot:
            del self._slots[slot.key]
            self._history.ended(slot.key)
        slot.gone()

    async def _yield_to_event_loop(self) -> None:
        """Of many builds that are due together, each begins when messages have had their turn after the last.

        In the order in which they came; a build that awaits holds up nobody.
        """
        async with self._next_build:
            for _ in range(YIELDS_BETWEEN_BUILDS):
                await asyncio.sleep(0)

    # -- counting ------------------------------------------------------------------------------

    def count_visitors(self) -> int:
        """Live sessions, but for those of operators' pages."""
        return sum(not each.app.for_operators for each in self)

    def count_live(self, app: str) -> int:
        """Live sessions of this app."""
        return sum(each.key.app == app for each in self)

    def count_open(self, user: str) -> int:
        """Live sessions of this user with an open page, but for those of operators' pages."""
        return sum(
            each.request.user == user and bool(each.connections) and not each.app.for_operators
            for each in self
        )

    def counts(self, *, used: bool = False) -> Counter[str]:
        """Sessions by app path; with ``used`` only those that somebody is connected to."""
        return Counter(each.key.app for each in self.held() if each.connections or not used)

    def connections(self) -> int:
        return sum(len(each.connections) for each in self.held())

    def tally(self) -> SessionCounts:
        """Sessions by app path, and connections, of now or a while ago: to count many takes its time.

        On one thread, several times a second.
        """
        now = time.monotonic()
        if now >= self._tally_until:
            asleep = Counter(each.key.app for each in self.held() if each.session is None)
            self._tally = SessionCounts(self.counts(), asleep, self.connections())
            self._tally_until = now + COUNTING_SHARE * (time.monotonic() - now)
        return self._tally

    def _sessions_of(self, app: App) -> list[Session]:
        return [session for session in self if session.app is app]


async def _say_nothing() -> None:
    return
