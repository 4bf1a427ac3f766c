"""Being one of many replicas: heartbeat, finding a session's owner, relay, and what app code shares.

For app code: ``from service import fleet``. All that it may use is in ``__all__``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from service.errors import FleetFull, FleetUnavailable

if TYPE_CHECKING:
    from service.fleet.caching import Cached, cache
    from service.fleet.job_functions import job
    from service.fleet.job_handles import Job, asubmit, asubmit_once, find_job, jobs, submit, submit_once
    from service.fleet.job_runs import CurrentJob, JobStopped, current_job, progress
    from service.fleet.messages import apublish, publish, subscribe, unsubscribe
    from service.fleet.reaching import (
        FleetSession,
        asessions,
        aupdate_sessions,
        session_update,
        sessions,
        update_sessions,
    )
    from service.fleet.tasks import TaskRun, every
    from service.fleet.values import Shared, shared

__all__ = (
    "Cached",
    "CurrentJob",
    "FleetFull",
    "FleetSession",
    "FleetUnavailable",
    "Job",
    "JobStopped",
    "Shared",
    "TaskRun",
    "apublish",
    "asessions",
    "asubmit",
    "asubmit_once",
    "aupdate_sessions",
    "cache",
    "current_job",
    "every",
    "find_job",
    "job",
    "jobs",
    "progress",
    "publish",
    "session_update",
    "sessions",
    "shared",
    "submit",
    "submit_once",
    "subscribe",
    "unsubscribe",
    "update_sessions",
)

_MODULES = {
    "caching": ("Cached", "cache"),
    "job_functions": ("job",),
    "job_handles": ("Job", "asubmit", "asubmit_once", "find_job", "jobs", "submit", "submit_once"),
    "job_runs": ("CurrentJob", "JobStopped", "current_job", "progress"),
    "messages": ("apublish", "publish", "subscribe", "unsubscribe"),
    "reaching": (
        "FleetSession", "asessions", "aupdate_sessions", "session_update", "sessions", "update_sessions",
    ),
    "tasks": ("TaskRun", "every"),
    "values": ("Shared", "shared"),
}  # fmt: skip


def __getattr__(name: str) -> Any:
    # Late: the command line must not wait for bokeh to be imported.
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"service.fleet.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
