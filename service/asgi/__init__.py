"""The server as an ASGI application, under uvicorn, hypercorn or granian, alone or mounted in another one.

The same handlers answer as on Tornado's own sockets: Tornado's requests and its ``HTTPConnection`` know no
sockets, so this front makes the one from ASGI's scopes and implements the other with its events.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from service.lines import refuse_unsupported

if TYPE_CHECKING:
    from service.asgi.application import Application, app

__all__ = ("Application", "app")


def __getattr__(name: str) -> Any:
    # Late, as in service: instead of whatever our imports miss in a Bokeh that is not supported.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    refuse_unsupported()
    from service.asgi import application

    return getattr(application, name)
