"""The types of ASGI 3, and what servers may send along with them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

__all__ = ("Event", "Receive", "Scope", "Send", "has_extension", "sends_reasons")

Scope: TypeAlias = MutableMapping[str, Any]
Event: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Event]]
Send: TypeAlias = Callable[[Event], Awaitable[None]]

REASONS_SINCE = (2, 3)
"""The version of ASGI's HTTP and WebSocket specification in which a close event got a reason."""


def sends_reasons(scope: Scope) -> bool:
    """Whether the server takes a reason with a close code."""
    version = str(scope.get("asgi", {}).get("spec_version", "2.0"))
    try:
        return tuple(int(part) for part in version.split(".")) >= REASONS_SINCE
    except ValueError:
        return False


def has_extension(scope: Scope, name: str) -> bool:
    return name in (scope.get("extensions") or {})
