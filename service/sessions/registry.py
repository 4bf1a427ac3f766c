"""The sessions that live on this replica: built once however many ask, ended when unused."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from functools import partial

from service.apps.app import App
from service.apps.contexts import AppSessionContext
from service.apps.execution import Execution
from service.documents.ids import IdSpace, new_document
from service.errors import AppError, SessionUnknown
from service.sessions.session import Session
from store.contract import PageRequest, SessionKey

__all__ = ("Registry",)

log = logging.getLogger(__name__)


class Registry:
    """Live sessions by key. Ownership is decided elsewhere: who calls :meth:`build` owns."""

    def __init__(self, apps: Mapping[str, App]) -> None:
        self._apps = apps
        self._sessions: dict[SessionKey, Session] = {}
        self._building: dict[SessionKey, asyncio.Task[Session]] = {}
        self.changes: deque[tuple[SessionKey, bool]] = deque()
        """Sessions that began (True) or ended (False) to live here; the heartbeat takes them off."""
        for app in apps.values():
            app.live_sessions = partial(self._sessions_of, app)

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._sessions.values()))

    def get(self, key: SessionKey) -> Session | None:
        return self._sessions.get(key)

    async def find(self, key: SessionKey) -> Session | None:
        """The session, waiting for it if it is being built; None if it does not live here.

        Raises :class:`AppError` when the build fails.
        """
        building = self._building.get(key)
        return await asyncio.shield(building) if building else self._sessions.get(key)

    def app(self, path: str) -> App:
        try:
            return self._apps[path]
        except KeyError:
            raise SessionUnknown(f"there is no app at {path}") from None

    async def build(self, key: SessionKey, epoch: int, request: PageRequest, *, fresh: bool) -> Session:
        """The session ``key``, running the app for it unless it lives here or is being built.

        ``fresh`` says that no page can have seen the session before.

        Raises :class:`AppError` when the app's code fails; nothing is left behind then.
        """
        session = await self.find(key)
        if session is not None:
            return session
        task = asyncio.create_task(self._build(key, epoch, request, fresh))
        self._building[key] = task
        task.add_done_callback(lambda _: self._building.pop(key, None))
        # A client that goes away while the app runs must not take the build from others.
        return await asyncio.shield(task)

    async def end(self, session: Session, *, unless_used: bool = False) -> bool:
        """Destroy ``session`` and forget it; False if it was spared."""
        if not await session.destroy(unless_used=unless_used):
            return False
        if self._sessions.get(session.key) is session:
            del self._sessions[session.key]
            self.changes.append((session.key, False))
        return True

    def counts(self) -> Counter[str]:
        """Live sessions by app path."""
        return Counter(session.key.app for session in list(self._sessions.values()))

    def connections(self) -> int:
        return sum(len(session.connections) for session in list(self._sessions.values()))

    def _sessions_of(self, app: App) -> list[Session]:
        return [session for session in self._sessions.values() if session.app is app]

    async def _build(self, key: SessionKey, epoch: int, request: PageRequest, fresh: bool) -> Session:
        app = self.app(key.app)
        ids = IdSpace(key.session_id)
        document = new_document(ids)
        context = AppSessionContext(key.session_id, app.server_context, document, request)
        execution = Execution(app.imports, ids, document)
        try:
            await app.build(context, execution)
        except AppError as error:
            log.error("%s: the app %s failed: %s\n%s", key.short, key.app, error.message, error.detail)
            raise
        session = Session(key, epoch, app, context, execution, fresh=fresh)
        self._sessions[key] = session
        self.changes.append((key, True))
        return session
