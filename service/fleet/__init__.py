"""Being one of many replicas: heartbeat, finding a session's owner, relay, and what app code shares.

For app code: ``from service import fleet``. All that it may use is in ``__all__``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from service.errors import FleetFull, FleetUnavailable

if TYPE_CHECKING:
    from service.fleet.tasks import TaskRun, every
    from service.fleet.values import Shared, shared

__all__ = ("FleetFull", "FleetUnavailable", "Shared", "TaskRun", "every", "shared")


def __getattr__(name: str) -> Any:
    # Late: the command line must not wait for bokeh to be imported.
    if name in ("Shared", "shared"):
        from service.fleet import values

        return getattr(values, name)
    if name in ("TaskRun", "every"):
        from service.fleet import tasks

        return getattr(tasks, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
