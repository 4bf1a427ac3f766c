"""Setting a session aside that must not be brought back: it ended its replicas, or outgrows one."""

from __future__ import annotations

import logging
from typing import NoReturn

from service.errors import SessionParked
from service.metrics import Metrics
from store.contract import ParkReason, SessionKey, Store

__all__ = ("Parking", "parked")

log = logging.getLogger(__name__)


class Parking:
    """On behalf of ``replica``, which owns the sessions that it parks."""

    def __init__(self, store: Store, replica: str, metrics: Metrics) -> None:
        self._store = store
        self._replica = replica
        self._metrics = metrics

    async def park(self, key: SessionKey, epoch: int, reason: ParkReason, why: str) -> NoReturn:
        """Raises SessionParked when it is done, or another replica has the session by now; StoreError."""
        log.error("parking the session: %s", why, extra=key.facts)
        if await self._store.park(key, self._replica, epoch=epoch, reason=reason):
            self._metrics.app(key.app).parked(reason)
        raise parked(reason)


def parked(reason: ParkReason) -> SessionParked:
    """What whoever wants such a session is told."""
    if reason is ParkReason.MEMORY:
        return SessionParked("the session takes more memory than it may and is parked", for_memory=True)
    return SessionParked("the session ended the replicas it was on and is parked")
