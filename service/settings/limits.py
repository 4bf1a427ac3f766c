"""Options: how much a replica takes on, and for how long it waits for app code."""

from __future__ import annotations

from dataclasses import dataclass

from service.options import integer, number, option
from service.settings import values

__all__ = ("LimitSettings",)


@dataclass(frozen=True, kw_only=True)
class LimitSettings:
    """How much a replica takes on, and for how long it waits for app code."""

    max_sessions: int = option(
        "--max-sessions",
        integer(0),
        "Live sessions from which on this replica turns new page views away (503); 0 for no limit",
        "0",
        metavar="COUNT",
        env=("SVC_MAX_SESSIONS",),
    )
    max_sessions_per_user: int = option(
        "--max-sessions-per-user",
        integer(0),
        "Sessions with an open page from which on this replica turns new page views of the same user away "
        "(429); guests are not counted; 0 for no limit",
        "0",
        metavar="COUNT",
        env=("SVC_MAX_SESSIONS_PER_USER",),
    )
    max_sessions_per_app: tuple[tuple[str, int], ...] = option(
        "--max-sessions-per-app",
        values.app_limit,
        "Live sessions of one app from which on this replica turns new page views of it away (503): a number "
        "for every app, or PATH=COUNT for one; can be repeated; 0 for no limit",
        "",
        metavar="COUNT|PATH=COUNT",
        arity="repeat",
        env=("SVC_MAX_SESSIONS_PER_APP",),
    )
    """App path, or "" for every app without a limit of its own, and the limit."""
    build_timeout: float = option(
        "--build-timeout",
        number(0),
        "Seconds that a page waits for its app to build a session, or to bring it back; then it says so, and "
        "the app's code is given up; 0 for as long as it takes",
        "300",
        metavar="SECONDS",
        env=("SVC_BUILD_TIMEOUT",),
    )
    slow_callback: float = option(
        "--slow-callback",
        number(0),
        "Seconds after which a callback, hook or opening of an app is named in the log while it still runs; "
        "0 for never",
        "1",
        metavar="SECONDS",
        env=("SVC_SLOW_CALLBACK",),
    )

    def max_sessions_of(self, app: str) -> int:
        """The app's own limit, or the one for every app; 0 for none."""
        limits = dict(self.max_sessions_per_app)
        return limits.get(app, limits.get("", 0))
