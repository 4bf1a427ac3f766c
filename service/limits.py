"""Limits that several modules share; one of a single module is there, and what can be set in the settings."""

from __future__ import annotations

from typing import Final

__all__ = (
    "CLOSING_SECONDS",
    "DEFAULT_MAX_MESSAGE_BYTES",
    "MAX_NAME_LENGTH",
    "MAX_RESTORE_ATTEMPTS",
    "MAX_RESULT_BYTES",
    "MAX_UNREAD_BYTES",
    "MAX_UNSENT_BYTES",
    "MIB",
)

MIB: Final = 1024 * 1024

# -- connections -------------------------------------------------------------------------------------

DEFAULT_MAX_MESSAGE_BYTES: Final = 20 * MIB
"""As ``bokeh serve --websocket-max-message-size``, but for a whole message and not per frame."""

MAX_UNREAD_BYTES: Final = MIB
"""What waits for whoever is at work, before the other end's network has to keep what else it sends.

On top of it there may be one message that is not whole yet, and what one read brought.
"""

MAX_UNSENT_BYTES: Final = 4 * MIB
"""What may wait for a client to read it: with more, nothing is read from the client, as that is answered,
and its session waits for it to catch up."""

CLOSING_SECONDS: Final = 5.0
"""How long the other end may take to answer a close frame, if it is not told otherwise."""

# -- what apps share over the fleet ------------------------------------------------------------------

MAX_NAME_LENGTH: Final = 200
"""Characters of the name of a topic, a shared dict or one of its keys, a task, or a cached function."""

MAX_RESULT_BYTES: Final = 64 * MIB
"""Of a cached result or a job's, packed. More in one value would keep Redis and the connection to it busy for
too long."""

MAX_RESTORE_ATTEMPTS: Final = 3
"""How often one call tries to put back what the store has lost."""
