"""Maintenance mode as this replica follows it: by what its heartbeats bring back from the store."""

from __future__ import annotations

from collections.abc import Mapping

from service.audit import acted, claimed
from store.maintenance import ALL_APPS, MaintenanceNotice

__all__ = ("MaintenanceMode", "shown_app")


class MaintenanceMode:
    """Changed on the event loop, read on any thread. While the store is away it stays as it was."""

    def __init__(self) -> None:
        self._notices: Mapping[str, MaintenanceNotice] = {}

    def follow(self, notices: Mapping[str, MaintenanceNotice], ended_by: str = "") -> None:
        """``ended_by``: who has ended what is not there any more, by their own word."""
        before, self._notices = self._notices, notices
        for app in sorted(before.keys() | notices.keys()):
            notice = notices.get(app)
            if notice is None:
                says = "this replica takes new pages again"
                acted("maintenance", shown_app(app), says, operator=claimed(ended_by))
            elif notice != before.get(app):
                says = f"this replica takes no new pages: {notice.message}"
                acted("maintenance", shown_app(app), says, operator=claimed(notice.operator))

    def notice_for(self, app: str) -> MaintenanceNotice | None:
        """What is said to who wants a new page of the app; None where pages are given out."""
        notices = self._notices
        return notices.get(app) or notices.get(ALL_APPS)

    @property
    def since(self) -> dict[str, float]:
        """For :attr:`store.contract.Heartbeat.maintenance`."""
        return {app: notice.since for app, notice in self._notices.items()}


def shown_app(app: str) -> str:
    return app or "(all apps)"
