"""What the store knows of a fleet at one moment, fetched. How it is shown is the business of
``service.cli.rendering`` and ``service.admin.page``."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from store.contract import Heartbeat, SessionRecord, Store
from store.maintenance import MaintenanceNotice

__all__ = ("AppView", "FleetView", "SessionFilter", "duration", "look", "megabytes")

_UNITS = (("d", 86400), ("h", 3600), ("m", 60))


@dataclass(frozen=True, slots=True)
class AppView:
    """One app over all replicas."""

    path: str
    replicas: int
    """That serve it, or hold sessions of it."""
    live: int
    """Sessions with a Document in memory."""
    asleep: int
    errors: int
    """Builds and callbacks that have raised since these replicas started."""


@dataclass(frozen=True, slots=True)
class FleetView:
    """One look at a fleet."""

    at: float
    """Wall-clock seconds since the epoch."""
    replicas: list[Heartbeat]
    """By address."""
    held: list[SessionRecord] | None = None
    """The sessions that the replicas hold, by replica; None when they were not asked for."""
    maintenance: Mapping[str, MaintenanceNotice] = field(default_factory=dict)
    """By app path, or ALL_APPS."""

    def apps(self) -> list[AppView]:
        """Every app that is served, by path."""
        paths = {path for each in self.replicas for path in (*each.sessions, *each.errors)}
        return [self._app(path) for path in sorted(paths)]

    def _app(self, path: str) -> AppView:
        asleep = sum(each.asleep.get(path, 0) for each in self.replicas)
        return AppView(
            path,
            replicas=sum(path in each.errors or path in each.sessions for each in self.replicas),
            live=sum(each.sessions.get(path, 0) for each in self.replicas) - asleep,
            asleep=asleep,
            errors=sum(each.errors.get(path, 0) for each in self.replicas),
        )

    def building_for(self, record: SessionRecord) -> float | None:
        """For how many seconds the session's app has been run to build it; None when it is there."""
        since = next((each.building.get(record.key.tag) for each in self._owners(record)), None)
        return None if since is None else max(0.0, self.at - since)

    def _owners(self, record: SessionRecord) -> Iterable[Heartbeat]:
        return (each for each in self.replicas if each.replica == record.owner)


@dataclass(frozen=True, slots=True)
class SessionFilter:
    """Which sessions somebody wants to see; None and "" stand for any."""

    session: str = ""
    """The beginning of the short form."""
    app: str | None = None
    replica: str | None = None
    """The beginning of its id."""
    user: str | None = None
    older: float | None = None
    """Begun at least so many seconds ago."""

    def of(self, held: Iterable[SessionRecord], now: float) -> list[SessionRecord]:
        """Those of ``held``, oldest first."""
        return sorted((each for each in held if self._wants(each, now)), key=lambda each: each.created)

    def _wants(self, record: SessionRecord, now: float) -> bool:
        return (
            record.key.short.startswith(self.session)
            and self.app in (None, record.key.app)
            and record.owner.startswith(self.replica or "")
            and self.user in (None, record.request.user)
            and now - record.created >= (self.older or 0.0)
        )


async def look(store: Store, *, sessions: bool = False) -> FleetView:
    """Ask the store once. With ``sessions`` the cost grows with their number."""
    replicas, maintenance = await store.replicas(), await store.maintenance.all()
    if not sessions:
        return FleetView(time.time(), replicas, maintenance=maintenance)
    held = [record for each in replicas for record in await store.sessions(each.replica)]
    return FleetView(time.time(), replicas, held, maintenance)


def duration(seconds: float) -> str:
    """Seconds in the two units that matter: ``12s``, ``3m05s``, ``2h10m``, ``4d06h``."""
    left = max(0, round(seconds))
    for at, (unit, size) in enumerate(_UNITS):
        if left >= size:
            smaller, part = (*_UNITS, ("s", 1))[at + 1]
            return f"{left // size}{unit}{left % size // part:02d}{smaller}"
    return f"{left}s"


def megabytes(memory: int) -> str:
    """Bytes as ``312 MB``; ``-`` for 0, where a replica or its system does not say."""
    return f"{memory / 1e6:.0f} MB" if memory else "-"
