"""When tasks are due."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from service.fleet.schedules import parse_schedule

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("schedule", "seconds", "text"),
    [
        ("30s", 30, "30s"),
        ("10m", 600, "10m"),
        (" 1.5h ", 5400, "1.5h"),
        ("1d", 86400, "1d"),
        ("2w", 14 * 86400, "2w"),
        (90, 90, "90s"),
        (1.5, 1.5, "1.5s"),
        (timedelta(minutes=1), 60, "0:01:00"),
    ],
)
def test_intervals(schedule: Any, seconds: float, text: str) -> None:
    found = parse_schedule(schedule)
    due, following = found.around(NOON + 1)

    assert found.text == text
    assert due <= NOON + 1 < following
    assert following - due == pytest.approx(seconds)
    assert found.around(following) == (pytest.approx(following), pytest.approx(following + seconds))


def test_all_replicas_find_the_same_times() -> None:
    assert parse_schedule("10m").around(NOON + 700) == (NOON + 600, NOON + 1200)


@pytest.mark.parametrize(
    "schedule",
    ["", "10", "m", "-5m", "0s", "0.5s", 0, -1, float("nan"), float("inf"), True, None, "every day", "1 2 3"],
)
def test_what_says_no_time_is_refused(schedule: Any) -> None:
    with pytest.raises(ValueError, match=r"says no time|may run every"):
        parse_schedule(schedule)


def test_cron_lines() -> None:
    pytest.importorskip("croniter")
    line = parse_schedule("15  3 * * *")

    due, following = line.around(NOON)

    assert line.text == "15 3 * * *"
    assert (due, following) == (NOON - 8.75 * 3600, NOON + 15.25 * 3600)
    assert line.around(due) == (due, following)
    assert line.around(due - 1)[1] == due
    with pytest.raises(ValueError, match="no cron line"):
        parse_schedule("99 * * * *")


def test_without_croniter_cron_lines_say_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "croniter", None)
    with pytest.raises(ImportError, match=r"svc-bokeh\[cron\]"):
        parse_schedule("15 3 * * *")
