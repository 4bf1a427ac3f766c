"""The sessions that live on this replica: built once however many ask, ended when unused."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from functools import partial
from typing import Any

from service import logs
from service.apps.app import App
from service.errors import SessionMoved, SessionUnknown
from service.sessions.building import Builder, Grant
from service.sessions.hibernation import Sleeper
from service.sessions.session import Session
from store.contract import SessionKey

__all__ = ("BREATH", "Registry")

BREATH = 3
"""Turns of the event loop between two builds: enough for a message to come in and be answered."""


class Registry:
    """Live sessions by key. Ownership is decided elsewhere: who calls :meth:`build` owns."""

    def __init__(self, apps: Mapping[str, App], builder: Builder) -> None:
        self._apps = apps
        self._builder = builder
        self._sessions: dict[SessionKey, Session] = {}
        self._building: dict[SessionKey, asyncio.Task[Session]] = {}
        self._ending: dict[SessionKey, asyncio.Task[None]] = {}
        self._sleepers: dict[SessionKey, Sleeper] = {}
        self._next_build = asyncio.Lock()
        self.ended = 0
        """Sessions whose Document was taken apart here so far."""
        self.changes: deque[tuple[SessionKey, bool]] = deque()
        """Sessions that began (True) or ended (False) to live here; the heartbeat takes them off."""
        self.on_built: Callable[[Session], None] = lambda session: None
        for app in apps.values():
            app.live_sessions = partial(self._sessions_of, app)

    def __len__(self) -> int:
        """Sessions that are owned here, hibernated ones included."""
        return len(self._sessions) + len(self._sleepers)

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._sessions.values()))

    @property
    def sleepers(self) -> list[Sleeper]:
        """The hibernated sessions."""
        return list(self._sleepers.values())

    def get(self, key: SessionKey) -> Session | None:
        return self._sessions.get(key)

    async def find(self, key: SessionKey) -> Session | None:
        """The session, waiting while it is being built or ended; None if it does not live here.

        Raises :class:`AppError` when the build fails.
        """
        ending = self._ending.get(key)
        if ending is not None:
            await asyncio.wait([ending])
        building = self._building.get(key)
        if building is not None:
            return await asyncio.shield(building)
        sleeper = self._sleepers.get(key)
        return await sleeper.wake(sleeper) if sleeper is not None else self._sessions.get(key)

    def app(self, path: str) -> App:
        try:
            return self._apps[path]
        except KeyError:
            raise SessionUnknown(f"there is no app at {path}") from None

    async def build(self, grant: Grant) -> Session:
        """The session of ``grant``, unless it lives here or is being built.

        Raises :class:`AppError` when the app's code fails; nothing is left behind then.
        """
        session = await self.find(grant.key)
        if session is not None:
            return session
        return await self._once(grant.key, self._build(grant))

    async def put_to_sleep(self, session: Session, sleeper: Sleeper) -> None:
        """Take the session's Document apart, but keep its place and its connections."""
        self._sleepers[session.key] = sleeper
        for connection in sleeper.connections:
            connection.move_to(sleeper)
        await self.end(session, _say_nothing)

    async def wake(self, sleeper: Sleeper, grant: Grant) -> Session:
        """The hibernated session, live again and with its connections."""
        building = self._building.get(sleeper.key)
        if building is not None or self._sleepers.get(sleeper.key) is not sleeper:
            found = await self.find(sleeper.key)
            if found is None:
                raise SessionMoved("the session has left while it hibernated")
            return found
        return await self._once(sleeper.key, self._wake(sleeper, grant))

    def forget_sleeper(self, sleeper: Sleeper) -> bool:
        """The hibernated session leaves; False if it is not asleep any more."""
        if self._sleepers.get(sleeper.key) is not sleeper or sleeper.key in self._building:
            return False
        del self._sleepers[sleeper.key]
        self.changes.append((sleeper.key, False))
        return True

    async def end(
        self, session: Session, farewell: Callable[[Session], Awaitable[None]], *, unless_used: bool = False
    ) -> bool:
        """End ``session`` and forget it; who looks for it meanwhile waits.

        With ``unless_used`` nothing happens, and the answer is False, when it is in use.
        """
        if session.destroyed or (unless_used and (session.locked or session.unused_for() == 0)):
            return False
        ending = self.begin_to_end(session, farewell)
        await asyncio.wait([ending])
        if ending.cancelled():  # by forget()
            return False
        ending.result()
        return True

    def begin_to_end(
        self, session: Session, farewell: Callable[[Session], Awaitable[None]]
    ) -> asyncio.Task[None]:
        """As :meth:`end`: from here on who looks for it waits."""
        ending = self._ending.get(session.key)
        if ending is None:
            ending = self._ending[session.key] = asyncio.create_task(self._end(session, farewell))
            ending.add_done_callback(partial(self._ended, session.key))
        return ending

    def forget(self, session: Session) -> None:
        """It was given up: nobody finds it here any more, or waits for its end."""
        ending = self._ending.pop(session.key, None)
        if ending is not None:
            ending.cancel()
        self._remove(session)

    def count_visitors(self) -> int:
        """Live sessions, but for those of operators' pages."""
        operators = sum(1 for each in self._sessions.values() if each.app.for_operators)
        return len(self._sessions) - operators

    def counts(self, *, used: bool = False) -> Counter[str]:
        """Sessions by app path; with ``used`` only those that somebody is connected to."""
        return Counter(each.key.app for each in self._held() if each.connections or not used)

    def connections(self) -> int:
        return sum(len(each.connections) for each in self._held())

    def _held(self) -> list[Session | Sleeper]:
        return [*self._sessions.values(), *self._sleepers.values()]

    async def _once(self, key: SessionKey, work: Coroutine[Any, Any, Session]) -> Session:
        task = asyncio.create_task(work)
        self._building[key] = task
        task.add_done_callback(lambda _: self._building.pop(key, None))
        # A client that goes away while the app runs must not take the build from others.
        return await asyncio.shield(task)

    def _sessions_of(self, app: App) -> list[Session]:
        return [session for session in self._sessions.values() if session.app is app]

    async def _build(self, grant: Grant) -> Session:
        logs.speaking_of(**grant.key.facts)
        await self._let_others_speak()
        session = await self._builder.build(self.app(grant.key.app), grant)
        self._sessions[grant.key] = session
        self.changes.append((grant.key, True))
        self.on_built(session)
        return session

    async def _let_others_speak(self) -> None:
        """Of many builds that are due together, each begins when messages have had their turn after the last.

        In the order in which they came; a build that awaits holds up nobody.
        """
        async with self._next_build:
            for _ in range(BREATH):
                await asyncio.sleep(0)

    async def _wake(self, sleeper: Sleeper, grant: Grant) -> Session:
        session = await self._build(grant)
        session.writes = sleeper.writes
        for connection in sleeper.connections:
            connection.move_to(session)
            session.connect(connection)
        session.show_messages()
        del self._sleepers[sleeper.key]
        return session

    async def _end(self, session: Session, farewell: Callable[[Session], Awaitable[None]]) -> None:
        try:
            await session.destroy(farewell)
        finally:
            self._remove(session)

    def _ended(self, key: SessionKey, ending: asyncio.Task[None]) -> None:
        if self._ending.get(key) is ending:
            del self._ending[key]

    def _remove(self, session: Session) -> None:
        if self._sessions.get(session.key) is session:
            self.ended += 1
            del self._sessions[session.key]
            if session.key not in self._sleepers:
                self.changes.append((session.key, False))


async def _say_nothing(session: Session) -> None:
    return
