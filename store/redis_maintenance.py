"""Maintenance mode in Redis: one hash, a field per app."""

from __future__ import annotations

from collections.abc import Mapping

from store import records
from store.errors import RecordError
from store.keys import Keys
from store.link import Link
from store.maintenance import MaintenanceNotice
from store.scripts import Command

__all__ = ("RedisMaintenance",)

_TOLD_MS = 60_000


class RedisMaintenance:
    """Implements :class:`store.maintenance.MaintenanceStore`. Not encrypted: nothing in it is of users."""

    def __init__(self, link: Link, keys: Keys) -> None:
        self._link = link
        self._key = keys.maintenance
        self._ended_by = keys.maintenance_ended_by

    @property
    def reads(self) -> list[Command]:
        """For a pipeline: what :meth:`found` decodes, and who has just ended something."""
        return [Command(("HGETALL", self._key)), Command(("GET", self._ended_by))]

    async def begin(self, app: str, notice: MaintenanceNotice) -> None:
        await self._link.send("HSET", self._key, _field(app), records.encode_maintenance(notice))

    async def end(self, app: str | None = None, *, by: str = "") -> None:
        # First: replicas follow at once.
        await self._link.send("SET", self._ended_by, by.encode(errors="replace"), "PX", _TOLD_MS)
        await self._link.send(*(("DEL", self._key) if app is None else ("HDEL", self._key, _field(app))))

    async def all(self) -> Mapping[str, MaintenanceNotice]:
        return self.found(await self._link.send("HGETALL", self._key))

    def found(self, hash_: Mapping[bytes, bytes]) -> dict[str, MaintenanceNotice]:
        return {name.decode("utf-8", "surrogatepass"): _notice(data) for name, data in sorted(hash_.items())}


def _field(app: str) -> bytes:
    return app.encode("utf-8", "surrogatepass")


def _notice(data: bytes) -> MaintenanceNotice:
    try:
        return records.decode_maintenance(data)
    except RecordError:  # of a later release: better closed with few words than open
        return MaintenanceNotice("", since=0.0)
