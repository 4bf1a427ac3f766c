"""What operators did, in log lines of one logger: ``service.audit``.

With ``--log-format json`` a line has the fields ``operator``, ``action``, ``target`` and ``outcome``, by
which a log collector finds and keeps it. The admin page knows who acts. ``svc drain``, ``svc sessions --end``
and the like act on Redis with the rights of whoever has its URL, and leave word of who they say they are:
the replica that is asked logs that marked as a claim, see :func:`claimed`.
"""

from __future__ import annotations

import logging

__all__ = ("acted", "claimed", "printable")

log = logging.getLogger(__name__)

UNKNOWN = "(unknown)"

CLAIMED = " (claimed, not authenticated)"

MAX_NAME_LENGTH = 200


def acted(action: str, target: str, outcome: str, *, operator: str | None = None) -> None:
    """Log that an operator did something: ``drain`` a replica, ``end`` a session."""
    outcome = printable(outcome)
    facts = {
        "operator": operator or UNKNOWN, "action": action, "target": target, "outcome": outcome
    }  # fmt: skip
    log.warning("operator action", extra=facts)


def claimed(name: str) -> str | None:
    """The operator as the store has it, where anybody who may write there can put any name; None for none."""
    shown = printable(name[:MAX_NAME_LENGTH]).strip()
    return shown + CLAIMED if shown else None


def printable(text: str) -> str:
    """What others wrote, without what would begin a line of its own or move a terminal's cursor."""
    return "".join(each if each.isprintable() else "?" for each in text)
