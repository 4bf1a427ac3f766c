"""Which sessions there were, when they began and ended: what Panel (1.9 and 1.10) calls ``session_info``.

Panel's own (``pn.state.session_info``) knows the sessions of its apps in one process; this one knows all
apps, and is added up over replicas.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from store.contract import SessionKey

__all__ = ("SessionHistory", "added_up")

Info = dict[str, Any]


class SessionHistory:
    """Remembers ``length`` sessions: none with 0, all with -1. Times are wall-clock seconds."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._total = 0
        self._sessions: dict[str, Info] = {}

    def launched(self, key: SessionKey, user_agent: str | None) -> None:
        """Its app is about to run; a session that comes back is the same one."""
        if not self._length:
            return
        if (known := self._sessions.get(key.tag)) is not None:
            known["ended"] = None
            return
        self._total += 1
        times = dict.fromkeys(("started", "rendered", "ended"))
        self._sessions[key.tag] = {"launched": time.time(), **times, "user_agent": user_agent}
        while 0 < self._length < len(self._sessions):
            del self._sessions[next(iter(self._sessions))]

    def started(self, key: SessionKey) -> None:
        """Its app has run."""
        self._note(key, "started")

    def rendered(self, key: SessionKey) -> None:
        """A page has got its Document."""
        self._note(key, "rendered")

    def ended(self, key: SessionKey) -> None:
        """It ended, or left this replica."""
        self._note(key, "ended")

    def _note(self, key: SessionKey, what: str) -> None:
        session = self._sessions.get(key.tag)
        if session is not None and session[what] is None:
            session[what] = time.time()

    @property
    def info(self) -> Info:
        """As Panel has it, but for ids: they would let whoever reads this join the sessions."""
        return _info(self._total, self._sessions)


def added_up(infos: Iterable[Mapping[str, Any]]) -> Info:
    """Of several replicas. A session that has moved is one, and has not ended where it went on."""
    infos = list(infos)
    sessions: dict[str, Info] = {}
    for each in infos:
        for tag, session in each["sessions"].items():
            before = sessions.get(tag)
            sessions[tag] = dict(session) if before is None else _joined(before, session)
    moved = sum(len(each["sessions"]) for each in infos) - len(sessions)
    return _info(sum(each["total"] for each in infos) - moved, sessions)


def _joined(one: Mapping[str, Any], other: Mapping[str, Any]) -> Info:
    both = {name: [each[name] for each in (one, other) if each[name] is not None] for name in one}
    joined: Info = {name: min(values, default=None) for name, values in both.items()}
    joined["ended"] = max(both["ended"]) if len(both["ended"]) == 2 else None
    return joined


def _info(total: int, sessions: Mapping[str, Info]) -> Info:
    live = sum(each["rendered"] is not None and each["ended"] is None for each in sessions.values())
    return {"total": total, "live": live, "sessions": dict(sessions)}
