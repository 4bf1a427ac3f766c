"""The owner's part of ending a session on request: its beats say which sessions it shall end."""

from __future__ import annotations

from collections.abc import Mapping

from service.audit import acted, claimed
from service.background import spawn
from service.sessions.departures import Departures
from service.sessions.life import Reason, State
from service.sessions.registry import Registry, SessionSlot

__all__ = ("Ending",)


class Ending:
    """Ends sessions that live here, each once however often it is asked for."""

    def __init__(self, registry: Registry, departures: Departures) -> None:
        self._registry = registry
        self._departures = departures
        self._ending: set[SessionSlot] = set()

    def asked(self, which: frozenset[tuple[str, int]], by: Mapping[str, str]) -> None:
        """End those sessions, given by tag and epoch; what does not live here (any more) is left alone.

        ``by`` says by tag who wants that.
        """
        building = [slot for slot, _ in self._registry.being_built()]
        for slot in {*self._registry.held(), *building} - self._ending:
            if (slot.key.tag, slot.epoch) in which and slot.life.state is not State.LEAVING:
                self._ending.add(slot)
                operator = claimed(by.get(slot.key.tag, ""))
                acted("end", slot.key.short, "its replica was asked to end it, and does", operator=operator)
                spawn(self._end(slot))

    async def _end(self, slot: SessionSlot) -> None:
        try:
            await self._departures.leave(slot, Reason.ENDED)
        finally:
            self._ending.discard(slot)
