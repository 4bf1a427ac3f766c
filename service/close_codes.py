"""The codes and reasons with which WebSockets are closed here, whoever closes them.

Codes are those of RFC 6455 section 7.4.1 and the IANA registry. An error of :mod:`service.errors` closes
with its own code and its message as the reason; every other close is one of those below. Reasons are for
logs, and for people who look at the browser's network panel: they hold no secret and no session id.
"""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = (
    "APP_CHANGED",
    "APP_FAILED",
    "BAD_REQUEST",
    "GOING_AWAY",
    "HANDLER_FAILED",
    "INTERNAL_ERROR",
    "INVALID_DATA",
    "MAY_BE_SENT",
    "MESSAGE_TOO_BIG",
    "NORMAL_CLOSURE",
    "NO_ANSWER_TO_PINGS",
    "OVER_LIMIT",
    "POLICY_VIOLATION",
    "PROTOCOL_ERROR",
    "READS_TOO_SLOWLY",
    "RELAY_LOST",
    "REPLICA_STOPS",
    "SERVICE_RESTART",
    "SESSION_ELSEWHERE",
    "SESSION_ENDED",
    "SESSION_MOVES",
    "SESSION_PARKED",
    "SESSION_REPLACED",
    "TRY_AGAIN_LATER",
    "Close",
)

NORMAL_CLOSURE: Final = 1000
GOING_AWAY: Final = 1001
PROTOCOL_ERROR: Final = 1002
INVALID_DATA: Final = 1007
POLICY_VIOLATION: Final = 1008
MESSAGE_TOO_BIG: Final = 1009
INTERNAL_ERROR: Final = 1011
SERVICE_RESTART: Final = 1012
"""What the client had is somewhere else, or comes back: it should connect again at once."""
TRY_AGAIN_LATER: Final = 1013

MAY_BE_SENT = frozenset({*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)})
"""Codes that may be in a close frame: RFC 6455 section 7.4, and what IANA has registered since."""


class Close(NamedTuple):
    """What a close frame says, as ``close(*READS_TOO_SLOWLY)`` takes it."""

    code: int
    reason: str


NO_ANSWER_TO_PINGS = Close(GOING_AWAY, "no answer to pings")
READS_TOO_SLOWLY = Close(POLICY_VIOLATION, "reads too slowly")
OVER_LIMIT = Close(MESSAGE_TOO_BIG, "the message is too big")
HANDLER_FAILED = Close(INTERNAL_ERROR, "internal error while handling a message")

BAD_REQUEST = Close(PROTOCOL_ERROR, "")
"""Of a WebSocket that is refused before there is anybody to tell why."""

SESSION_MOVES = Close(SERVICE_RESTART, "the session moves to another replica")
SESSION_ELSEWHERE = Close(SERVICE_RESTART, "another replica has the session")
SESSION_ENDED = Close(SERVICE_RESTART, "the session was ended")
SESSION_PARKED = Close(SERVICE_RESTART, "the session was set aside")
SESSION_REPLACED = Close(SERVICE_RESTART, "the session came back as another one")
"""Its Document is not the one that the client was shown."""
APP_CHANGED = Close(SERVICE_RESTART, "the app has changed")
APP_FAILED = Close(SERVICE_RESTART, "the app failed while it was started")
RELAY_LOST = Close(SERVICE_RESTART, "the session's replica is gone")
"""For the browser at the one end of a relay, when the other end says nothing itself."""
REPLICA_STOPS = Close(SERVICE_RESTART, "the replica stops")
