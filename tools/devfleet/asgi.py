"""Replicas that are ASGI applications: as `svc serve` with the same flags, behind other servers' sockets."""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from devfleet.replica import Replica, Server

ENV = {
    "PYTHONPATH": str(Path(__file__).parents[1]),
    # Of a header. What uvicorn uses for WebSockets takes 8 KiB by default, and all cookies together are one.
    "WEBSOCKETS_MAX_LINE_LENGTH": str(64 * 1024),
}


class AsgiReplica(Replica):
    """Under uvicorn."""

    command: ClassVar[Sequence[str]] = (sys.executable, "-m", "devfleet.asgi_front", "uvicorn")
    nurseries = None
    good_exits = frozenset({0, -signal.SIGTERM})
    """uvicorn (0.54) ends itself by the signal, once it has done what that asks for."""

    def __init__(self, *args: Any, env: Mapping[str, str | None] | None = None, **options: Any) -> None:
        super().__init__(*args, env={**ENV, **(env or {})}, **options)


class HypercornReplica(AsgiReplica):
    command: ClassVar[Sequence[str]] = (sys.executable, "-m", "devfleet.asgi_front", "hypercorn")


class BokehAsgi(Server):
    """The reference peer of these: `BokehASGI` (bokeh 3.10) under the same uvicorn."""

    command: ClassVar[Sequence[str]] = (sys.executable, "-m", "devfleet.bokeh_asgi")

    def __init__(self, *args: Any, env: Mapping[str, str | None] | None = None, **options: Any) -> None:
        super().__init__(*args, env={**ENV, **(env or {})}, **options)
