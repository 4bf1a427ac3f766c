"""The owner's part of ending a session on request: its beats say which sessions it shall end."""

from __future__ import annotations

from service.background import spawn
from service.sessions.hibernation import Sleeper
from service.sessions.leaving import Leaving
from service.sessions.registry import Registry
from service.sessions.session import Session
from store.contract import SessionKey

__all__ = ("Ending",)


class Ending:
    """Ends sessions that live here, each once however often it is asked for."""

    def __init__(self, registry: Registry, leaving: Leaving) -> None:
        self._registry = registry
        self._leaving = leaving
        self._under_way: set[SessionKey] = set()

    def asked(self, which: frozenset[tuple[str, int]]) -> None:
        """End those sessions, given by tag and epoch; what does not live here (any more) is left alone."""
        for session in [*self._registry, *self._registry.sleepers]:
            if (session.key.tag, session.epoch) in which and session.key not in self._under_way:
                self._under_way.add(session.key)
                spawn(self._end(session))

    async def _end(self, session: Session | Sleeper) -> None:
        try:
            if isinstance(session, Sleeper):
                await self._leaving.end_sleeper(session)
            else:
                await self._leaving.end(session)
        finally:
            self._under_way.discard(session.key)
