"""What app code and embedding programs import: ``from svc import fleet, session_state, Server, serve``.

The names of :mod:`service`, under one that an app's own modules are less likely to have.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from service import Server, asgi, fleet, serve, session_state

__all__ = ("Server", "asgi", "fleet", "serve", "session_state")


def __getattr__(name: str) -> Any:
    if name in ("asgi", "fleet"):
        return import_module(f"service.{name}")
    if name in __all__:
        return getattr(import_module("service"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
