"""The session service: ``svc serve``, and what app code may import from it."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from service.lines import refuse_unsupported

if TYPE_CHECKING:
    from service.apps.state import session_state
    from service.embedding import Server
    from service.serving import serve

__all__ = ("Server", "serve", "session_state")


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
    if name == "serve":
        from service.serving import serve

        return serve
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


if os.path.join(os.path.dirname(__file__), "apps", "modules") in sys.path:
    # multiprocessing began this process from one that serves apps, and it shall find their modules.
    from service.apps.imports import adopt

    adopt()
