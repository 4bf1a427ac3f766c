"""The owner's part of ending a session on request: its beats say which sessions it shall end."""

from __future__ import annotations

from service.background import spawn
from service.sessions.departures import Departures
from service.sessions.life import Reason, State
from service.sessions.registry import Registry

__all__ = ("Ending",)


class Ending:
    """Ends sessions that live here, each once however often it is asked for."""

    def __init__(self, registry: Registry, departures: Departures) -> None:
        self._registry = registry
        self._departures = departures

    def asked(self, which: frozenset[tuple[str, int]]) -> None:
        """End those sessions, given by tag and epoch; what does not live here (any more) is left alone."""
        for slot in self._registry.held():
            if (slot.key.tag, slot.epoch) in which and slot.life.state is not State.LEAVING:
                spawn(self._departures.leave(slot, Reason.ENDED))
