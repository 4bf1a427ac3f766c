"""What operators did, in log lines of one logger: ``service.audit``.

With ``--log-format json`` a line has the fields ``operator``, ``action``, ``target`` and ``outcome``, by
which a log collector finds and keeps it. The admin page knows who acts. ``svc drain``, ``svc sessions --end``
and the like act on Redis with the rights of whoever has its URL: the replica that is asked can only say what
was asked.
"""

from __future__ import annotations

import logging

__all__ = ("acted",)

log = logging.getLogger(__name__)

UNKNOWN = "(unknown)"


def acted(action: str, target: str, outcome: str, *, operator: str | None = None) -> None:
    """Log that an operator did something: ``drain`` a replica, ``end`` a session."""
    facts = {
        "operator": operator or UNKNOWN, "action": action, "target": target, "outcome": outcome
    }  # fmt: skip
    log.warning("operator action", extra=facts)
