"""No session begins while an operator does not want any; those that are there go on."""

from __future__ import annotations

from service.errors import UnderMaintenance
from service.web.services import Services
from store.contract import SessionKey

__all__ = ("check_maintenance",)

UNTOLD = "There is maintenance going on here. Please come back later."


async def check_maintenance(services: Services, key: SessionKey, *, named: bool) -> None:
    """Raises UnderMaintenance if ``key`` would begin a session of an app that is closed, and StoreError.

    ``named``: the client has named the session, which may be there.
    """
    notice = services.maintenance.notice_for(key.app)
    if notice is None or (named and await services.store.read(key) is not None):
        return
    services.metrics.app(key.app).maintenance_pages.inc()
    raise UnderMaintenance(notice.message or UNTOLD, retry_after=notice.retry_after)
