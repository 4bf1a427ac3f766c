"""What a store owes to maintenance mode: which apps take no new pages, and what their visitors are told.

It outlives replicas, each of which is told with the answer to its heartbeat
(:attr:`store.contract.Beat.maintenance`). A store that loses its data ends it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

__all__ = ("ALL_APPS", "MaintenanceNotice", "MaintenanceStore")

ALL_APPS = ""
"""In the place of an app's URL path."""


@dataclass(frozen=True, slots=True)
class MaintenanceNotice:
    """Why there are no new pages."""

    message: str
    """For visitors; plain text."""
    since: float
    """Wall-clock seconds since the epoch."""
    retry_after: int = 60
    """Seconds after which a page asks again."""
    operator: str = ""
    """Who began it, by their own word."""


class MaintenanceStore(Protocol):
    """``app`` is a URL path, or :data:`ALL_APPS`. All raise StoreError."""

    async def begin(self, app: str, notice: MaintenanceNotice) -> None:
        """In the place of an earlier notice of the same app. Atomic, idempotent; does not expire."""

    async def end(self, app: str | None = None, *, by: str = "") -> None:
        """End it for what it was begun for; with None for everything. Idempotent.

        ``by`` is who does so, by their own word, of which replicas are told for a minute.
        """

    async def all(self) -> Mapping[str, MaintenanceNotice]:
        """What it was begun for, each with its notice: an empty one where it cannot be read."""
