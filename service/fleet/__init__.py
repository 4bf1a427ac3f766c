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

_JOBS = {
    "job_functions": ("job",),
    "job_handles": ("Job", "asubmit", "asubmit_once", "find_job", "jobs", "submit", "submit_once"),
    "job_runs": ("CurrentJob", "JobStopped", "current_job", "progress"),
}


def __getattr__(name: str) -> Any:
    # Late: the command line must not wait for bokeh to be imported.
    if name in ("Shared", "shared"):
        from service.fleet import values

        return getattr(values, name)
    if name in ("TaskRun", "every"):
        from service.fleet import tasks

        return getattr(tasks, name)
    if name in ("Cached", "cache"):
        from service.fleet import caching

        return getattr(caching, name)
    for module, names in _JOBS.items():
        if name in names:
            return getattr(import_module(f"service.fleet.{module}"), name)
    if name in ("apublish", "publish", "subscribe", "unsubscribe"):
        from service.fleet import messages

        return getattr(messages, name)
    if name in __all__:
        from service.fleet import reaching

        return getattr(reaching, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
