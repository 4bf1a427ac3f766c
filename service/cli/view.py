"""What the store knows of a fleet at one moment, fetched; how it is shown is ``rendering``'s matter."""

from __future__ import annotations

import time
from dataclasses import dataclass

from store.contract import Heartbeat, SessionRecord, Store

__all__ = ("FleetView", "look")


@dataclass(frozen=True, slots=True)
class FleetView:
    """One look at a fleet."""

    at: float
    """Wall-clock seconds since the epoch."""
    replicas: list[Heartbeat]
    """By address."""
    held: list[SessionRecord] | None = None
    """The sessions that the replicas hold, by replica; None when they were not asked for."""


async def look(store: Store, *, sessions: bool = False) -> FleetView:
    """Ask the store once. With ``sessions`` the cost grows with their number."""
    replicas = await store.replicas()
    if not sessions:
        return FleetView(time.time(), replicas)
    held = [record for each in replicas for record in await store.sessions(each.replica)]
    return FleetView(time.time(), replicas, held)
