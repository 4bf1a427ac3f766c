"""Options: how long sessions last, what is kept of them, and how they leave."""

from __future__ import annotations

from dataclasses import dataclass

from service.limits import MIB
from service.options import choice, integer, number, option
from service.settings import values

__all__ = ("SessionSettings",)


@dataclass(frozen=True, kw_only=True)
class SessionSettings:
    """How long sessions last, what is kept of them, and how they leave."""

    unused_session_lifetime: float = option(
        "--unused-session-lifetime",
        values.some_milliseconds,
        "How long a session lasts without a connection",
        "15000",
        metavar="MILLISECONDS",
        env=("SVC_UNUSED_SESSION_LIFETIME",),
    )
    """Seconds."""
    check_unused_sessions: float = option(
        "--check-unused-sessions",
        values.some_milliseconds,
        "How often to look for unused sessions",
        "17000",
        metavar="MILLISECONDS",
        env=("SVC_CHECK_UNUSED_SESSIONS",),
    )
    """Seconds."""
    durability: str = option(
        "--durability",
        choice("interval", "sync", "off"),
        "How sessions are kept in the store: written every interval, before a client's change is "
        "acknowledged, or not at all",
        "interval",
        metavar="MODE",
        env=("SVC_DURABILITY",),
    )
    journal_interval: float = option(
        "--journal-interval",
        values.some_milliseconds,
        "Milliseconds between writes of what changed in sessions",
        "100",
        metavar="MILLISECONDS",
        env=("SVC_JOURNAL_INTERVAL",),
    )
    journal_max_bytes: int = option(
        "--journal-max-bytes",
        integer(1024),
        "A session that would take more bytes in the store is no longer kept there",
        str(16 * MIB),
        metavar="BYTES",
        env=("SVC_JOURNAL_MAX_BYTES",),
    )
    session_retention: float = option(
        "--session-retention",
        number(0),
        "Seconds in which a session that was left can be picked up again on any replica; 0 for not at all",
        "3600",
        metavar="SECONDS",
        env=("SVC_SESSION_RETENTION",),
    )
    hibernate_after: float | None = option(
        "--hibernate-after",
        number(0),
        "Seconds after which the Document of an idle session with an open page leaves the memory until "
        "its next message; 0 for never. Needs --redis. If not given: 600, but only of sessions that lose "
        "nothing by it",
        metavar="SECONDS",
        env=("SVC_HIBERNATE_AFTER",),
    )
    memory_high: int | None = option(
        "--memory-high",
        integer(0),
        "Bytes of memory above which sessions that are idle for longest leave it; 0 for never. Needs "
        "--redis. If not given: 80 percent of --memory-limit",
        metavar="BYTES",
        env=("SVC_MEMORY_HIGH",),
    )
    restore_inputs: str = option(
        "--restore-inputs",
        choice("replay", "silent"),
        "Whether restoring a session runs the app's callbacks for what users had set",
        "replay",
        metavar="MODE",
        env=("SVC_RESTORE_INPUTS",),
    )
    memory_limit: int | None = option(
        "--memory-limit",
        integer(0),
        "Bytes of memory that this process can have (its container's limit if not given); 0 for no limit",
        metavar="BYTES",
        env=("SVC_MEMORY_LIMIT",),
    )
    restore_memory_share: int = option(
        "--restore-memory-share",
        integer(0, 100),
        "Percentage of that which restoring one session may take; it is parked if it takes more. 0 for any",
        "50",
        metavar="PERCENT",
        env=("SVC_RESTORE_MEMORY_SHARE",),
    )
    drain_delay: float = option(
        "--drain-delay",
        number(0),
        "Seconds to go on serving after SIGTERM, until the balancer has noticed",
        "5",
        metavar="SECONDS",
        env=("SVC_DRAIN_DELAY",),
    )
    drain_timeout: float = option(
        "--drain-timeout",
        number(1),
        "Seconds in which all sessions are moved to other replicas after that, and jobs may end",
        "25",
        metavar="SECONDS",
        env=("SVC_DRAIN_TIMEOUT",),
    )
