"""The session service: ``svc serve``, and what app code may import from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from service.lines import refuse_unsupported

if TYPE_CHECKING:
    from service.apps.state import session_state
    from service.embedding import Server

__all__ = ("Server", "session_state")


def __getattr__(name: str) -> Any:
    # Late: the command line must not wait for bokeh to be imported.
    if name in __all__:
        # Instead of whatever our imports happen to miss in a Bokeh that is not supported.
        refuse_unsupported()
    if name == "session_state":
        from service.apps.state import session_state

        return session_state
    if name == "Server":
        from service.embedding import Server

        return Server
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
