"""When a task is due: every so often, or by a cron line. Pure: whoever asks says what time it is."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

__all__ = ("Cron", "Interval", "Schedule", "parse_schedule")

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 24 * 3600, "w": 7 * 24 * 3600}

MIN_PERIOD_SECONDS = 1.0

_INTERVAL = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")

CRON_FIELDS = 5


class Schedule(Protocol):
    """When a task is due. All replicas find the same times. Wall-clock seconds."""

    @property
    def text(self) -> str:
        """As it was given."""

    def around(self, now: float) -> tuple[float, float]:
        """The latest due time up to ``now``, and the next one after it."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Every ``seconds``, counted from 1970 (UTC): ``10m`` is due at 12:00, 12:10, ..."""

    seconds: float

    text: str

    def around(self, now: float) -> tuple[float, float]:
        number = math.floor(now / self.seconds + 1e-9)
        return self.seconds * number, self.seconds * (number + 1)


class Cron:
    """By a cron line, in UTC, as the package croniter reads it."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._croniter = _croniter()
        if not self._croniter.is_valid(text):
            raise ValueError(
                f"{text!r} is no cron line: minute, hour, day of the month, month, day of the week"
            )

    @property
    def text(self) -> str:
        return self._text

    def around(self, now: float) -> tuple[float, float]:
        start = datetime.fromtimestamp(now, UTC)
        # One that is due right now counts as the latest: the one before what comes after it.
        following = self._croniter(self._text, start)
        coming = following.get_next(float)
        return float(following.get_prev(float)), float(coming)


def parse_schedule(schedule: str | float | timedelta) -> Schedule:
    """``10m`` (s, m, h, d, w), seconds, a timedelta, or a cron line. Raises ValueError, or ImportError."""
    if isinstance(schedule, timedelta):
        return _interval(schedule.total_seconds(), str(schedule))
    if isinstance(schedule, int | float) and not isinstance(schedule, bool):
        return _interval(float(schedule), f"{schedule:g}s")
    if isinstance(schedule, str):
        text = " ".join(schedule.split())
        if found := _INTERVAL.fullmatch(text):
            return _interval(float(found[1]) * UNITS[found[2]], text)
        if len(text.split()) == CRON_FIELDS:
            return Cron(text)
    raise ValueError(
        f"{schedule!r} says no time: a number of seconds, '30s', '10m', '1.5h', '1d', '1w', or a cron line"
    )


def _interval(seconds: float, text: str) -> Interval:
    if not MIN_PERIOD_SECONDS <= seconds < math.inf:
        raise ValueError(f"a task may run every {MIN_PERIOD_SECONDS:g} s at most, not every {seconds:g} s")
    return Interval(seconds, text)


def _croniter() -> Any:
    try:
        from croniter import croniter  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError:
        raise ImportError("cron lines need the package croniter: pip install 'svc-bokeh[cron]'") from None
    return croniter
