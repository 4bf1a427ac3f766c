"""A :class:`~service.fleet.view.FleetView` as a table for people and as JSON for scripts.

Session ids are what lets somebody join a session, so neither form shows them: sessions go by the
short form that is in the logs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from service.audit import printable
from service.fleet.view import AppView, FleetView, duration, megabytes
from store.contract import Heartbeat, Parked, SessionRecord, TaskRecord
from store.jobs import JobRecord, JobState
from store.maintenance import MaintenanceNotice

__all__ = (
    "as_json",
    "as_text",
    "counted",
    "jobs_as_json",
    "jobs_as_text",
    "maintenance_as_json",
    "maintenance_as_text",
    "parked_as_json",
    "parked_as_text",
    "sessions_as_json",
    "sessions_as_text",
    "tasks_as_json",
    "tasks_as_text",
)


def as_text(view: FleetView) -> str:
    """Tables, with a line of totals at the end."""
    parts = [_table(REPLICA_COLUMNS, [_replica_row(each, view.at) for each in view.replicas])]
    if apps := view.apps():
        parts.append(_table(APP_COLUMNS, [_app_row(each) for each in apps]))
    if view.held is not None:
        parts.append(_table(SESSION_COLUMNS, [_session_row(each, view) for each in view.held]))
    if not view.replicas:
        parts = []
    if view.maintenance:
        parts.append(maintenance_as_text(view.maintenance, view.at))
    return "\n\n".join([*parts, _totals(view)])


def as_json(view: FleetView) -> str:
    """One object; times are seconds."""
    found: dict[str, Any] = {
        "replicas": [_replica_entry(each, view.at) for each in view.replicas],
        "apps": [_app_entry(each) for each in view.apps()],
        "maintenance": _maintenance_entries(view.maintenance, view.at),
    }
    if view.held is not None:
        found["sessions"] = [_session_entry(each, view) for each in view.held]
    return json.dumps(found, indent=2)


# -- replicas ------------------------------------------------------------------------------------

REPLICA_COLUMNS = (
    "REPLICA", "ADDRESS", "VERSION", "UP", "BEAT", "SESSIONS", "CONNECTIONS", "LOAD", "QUEUE", "LAG",
    "MEMORY", "STATE",
)  # fmt: skip


def _replica_row(beat: Heartbeat, now: float) -> tuple[str, ...]:
    return (
        beat.replica,
        beat.address,
        beat.version,
        duration(now - beat.started),
        f"{beat.age:.1f}s",
        _per_app(beat.sessions),
        str(beat.connections),
        f"{beat.load:.0%}",
        str(beat.queued),
        f"{beat.lag * 1000:.0f}ms",
        megabytes(beat.memory),
        "draining" if beat.draining else "serving",
    )


def _replica_entry(beat: Heartbeat, now: float) -> dict[str, Any]:
    return {
        "replica": beat.replica,
        "address": beat.address,
        "version": beat.version,
        "up": round(now - beat.started, 3),
        "beat_age": round(beat.age, 3),
        "sessions": dict(beat.sessions),
        "connections": beat.connections,
        "load": round(beat.load, 3),
        "queued": beat.queued,
        "lag": round(beat.lag, 6),
        "memory": beat.memory or None,
        "draining": beat.draining,
    }


def _per_app(sessions: Mapping[str, int]) -> str:
    """``3 (/a 2, /b 1)``."""
    held = [f"{app} {count}" for app, count in sorted(sessions.items()) if count]
    return f"{sum(sessions.values())} ({', '.join(held)})" if held else "0"


def _totals(view: FleetView) -> str:
    if not view.replicas:
        return "no replica has a heartbeat in this store"
    sessions = sum(sum(each.sessions.values()) for each in view.replicas)
    connections = sum(each.connections for each in view.replicas)
    totals = [counted(len(view.replicas), "replica"), counted(sessions, "session")]
    return ", ".join([*totals, counted(connections, "connection")])


# -- apps ----------------------------------------------------------------------------------------

APP_COLUMNS = ("APP", "REPLICAS", "LIVE", "ASLEEP", "ERRORS")


def _app_row(app: AppView) -> tuple[str, ...]:
    return app.path, *map(str, (app.replicas, app.live, app.asleep, app.errors))


def _app_entry(app: AppView) -> dict[str, Any]:
    return {
        "app": app.path,
        "replicas": app.replicas,
        "live": app.live,
        "asleep": app.asleep,
        "errors": app.errors,
    }


# -- maintenance ---------------------------------------------------------------------------------


def maintenance_as_text(notices: Mapping[str, MaintenanceNotice], now: float) -> str:
    """A line per notice, or that there is none."""
    lines = [
        f"maintenance of {app or 'all apps'} for {duration(now - notice.since)}, "
        f"begun by {printable(notice.operator) or '(unknown)'}: {printable(notice.message)}"
        for app, notice in notices.items()
    ]
    return "\n".join(lines or ["no maintenance"])


def maintenance_as_json(notices: Mapping[str, MaintenanceNotice], now: float) -> str:
    """A list of objects; times are seconds, and the app is null where it is for all."""
    return json.dumps(_maintenance_entries(notices, now), indent=2)


def _maintenance_entries(notices: Mapping[str, MaintenanceNotice], now: float) -> list[dict[str, Any]]:
    return [
        {
            "app": app or None,
            "message": notice.message,
            "since": round(max(0.0, now - notice.since), 3),
            "retry_after": notice.retry_after,
            "operator": notice.operator or None,
        }
        for app, notice in notices.items()
    ]


# -- sessions ------------------------------------------------------------------------------------

SESSION_COLUMNS = ("SESSION", "APP", "OWNER", "EPOCH", "AGE", "BUILDING")


def _session_row(record: SessionRecord, view: FleetView) -> tuple[str, ...]:
    entry = _session_entry(record, view)
    building = entry["building"]
    return (
        entry["session"],
        entry["app"],
        entry["owner"],
        str(entry["epoch"]),
        duration(entry["age"]),
        "-" if building is None else duration(building),
    )


def _session_entry(record: SessionRecord, view: FleetView) -> dict[str, Any]:
    building = view.building_for(record)
    return {
        "session": record.key.short,
        "app": record.key.app,
        "owner": record.owner,
        "epoch": record.epoch,
        "age": round(max(0.0, view.at - record.created), 3),
        "building": None if building is None else round(building, 3),
    }


def sessions_as_text(held: Sequence[SessionRecord], view: FleetView) -> str:
    """A table with the users, and how many there are."""
    columns = (*SESSION_COLUMNS, "USER", "CAME FROM")
    rows = [(*_session_row(each, view), each.request.user or "-", each.request.remote_ip) for each in held]
    total = counted(len(held), "session")
    return f"{_table(columns, rows)}\n\n{total}" if held else total


def sessions_as_json(held: Sequence[SessionRecord], view: FleetView) -> str:
    """A list of objects; times are seconds."""
    return json.dumps(
        [
            {**_session_entry(each, view), "user": each.request.user, "remote_ip": each.request.remote_ip}
            for each in held
        ],
        indent=2,
    )


PARKED_COLUMNS = ("SESSION", "APP", "PARKED", "REPLICAS LOST", "REASON")


def parked_as_text(parked: Sequence[Parked], now: float) -> str:
    """A table, and how many there are."""
    rows = [
        (each.key.short, each.key.app, duration(now - each.at), str(each.deaths), each.reason)
        for each in parked
    ]
    total = counted(len(parked), "parked session")
    return f"{_table(PARKED_COLUMNS, rows)}\n\n{total}" if parked else total


def parked_as_json(parked: Sequence[Parked], now: float) -> str:
    """A list of objects; times are seconds."""
    return json.dumps(
        [
            {
                **each.key.facts,
                "parked_for": round(now - each.at, 3),
                "replicas_lost": each.deaths,
                "reason": each.reason,
            }
            for each in parked
        ],
        indent=2,
    )


# -- tasks ---------------------------------------------------------------------------------------

TASK_COLUMNS = ("TASK", "APP", "SCHEDULE", "STATE", "OWNER", "BEGAN", "NEXT", "LAST ERROR")


def tasks_as_text(tasks: Sequence[TaskRecord], now: float) -> str:
    """A table, and how many there are."""
    rows = [
        (
            each.name.name,
            each.name.app,
            each.schedule,
            "running" if each.running else "waiting",
            each.owner or "-",
            f"{duration(max(0.0, now - each.began))} ago" if each.began else "-",
            f"in {duration(max(0.0, each.next - now))}" if each.next else "-",
            each.error or "-",
        )
        for each in tasks
    ]
    total = counted(len(tasks), "task")
    return f"{_table(TASK_COLUMNS, rows)}\n\n{total}" if tasks else total


def tasks_as_json(tasks: Sequence[TaskRecord], now: float) -> str:
    """A list of objects; times are seconds, null where there was none."""
    return json.dumps(
        [
            {
                "task": each.name.name,
                "app": each.name.app,
                "schedule": each.schedule,
                "running": each.running,
                "owner": each.owner or None,
                "fence": each.fence,
                "began_ago": round(now - each.began, 3) if each.began else None,
                "ended_ago": round(now - each.ended, 3) if each.ended else None,
                "next_in": round(each.next - now, 3) if each.next else None,
                "error": each.error or None,
            }
            for each in tasks
        ],
        indent=2,
    )


# -- jobs ----------------------------------------------------------------------------------------

JOB_COLUMNS = ("JOB", "APP", "FUNCTION", "STATE", "ATTEMPT", "WORKER", "SUBMITTED", "TOOK", "LAST ERROR")


def jobs_as_text(jobs: Sequence[JobRecord], now: float) -> str:
    """A table, and how many there are."""
    rows = [
        (
            each.name.id[:8],
            each.name.app,
            each.function,
            each.state,
            f"{each.attempt}/{each.attempts}",
            each.worker or "-",
            f"{duration(max(0.0, now - each.submitted))} ago",
            "-" if (took := _took(each, now)) is None else duration(took),
            each.error or "-",
        )
        for each in jobs
    ]
    total = counted(len(jobs), "job")
    return f"{_table(JOB_COLUMNS, rows)}\n\n{total}" if jobs else total


def jobs_as_json(jobs: Sequence[JobRecord], now: float) -> str:
    """A list of objects; times are seconds, null where there was none."""
    return json.dumps(
        [
            {
                "job": each.name.id,
                "app": each.name.app,
                "function": each.function,
                "state": each.state,
                "attempt": each.attempt,
                "attempts": each.attempts,
                "worker": each.worker or None,
                "submitted_ago": round(now - each.submitted, 3),
                "began_ago": round(now - each.began, 3) if each.began else None,
                "ended_ago": round(now - each.ended, 3) if each.ended else None,
                "error": each.error or None,
            }
            for each in jobs
        ],
        indent=2,
    )


def _took(job: JobRecord, now: float) -> float | None:
    """Seconds of the last attempt, so far."""
    if not job.began or job.state is JobState.QUEUED:
        return None
    return max(0.0, (job.ended or now) - job.began)


# -- text ----------------------------------------------------------------------------------------


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, *rows]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def counted(number: int, what: str) -> str:
    """``1 session``, ``2 sessions``."""
    return f"{number} {what}{'' if number == 1 else 's'}"
