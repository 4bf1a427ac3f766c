"""Timings of liveness fit each other, and those that operators can set. All are in seconds."""

from __future__ import annotations

import pytest

from service import timings
from service.settings import OPTIONS, Settings
from service.timings import (
    ADOPT_SECONDS,
    ARRIVAL_SECONDS,
    BEAT_INTERVAL_SECONDS,
    CRASHED_REPLICA_SECONDS,
    MAX_BEAT_GAP_SECONDS,
    MIN_HEARTBEAT_TTL_SECONDS,
    OWNER_POLL_SECONDS,
    REPLICAS_FRESH_SECONDS,
    SILENT_REPLICA_SECONDS,
    STUCK_SECONDS,
)


def test_an_owner_that_lives_has_beaten_before_anybody_takes_it_for_gone() -> None:
    assert 3 * BEAT_INTERVAL_SECONDS <= MAX_BEAT_GAP_SECONDS < SILENT_REPLICA_SECONDS


def test_a_replica_doubts_itself_before_the_store_forgets_it() -> None:
    shortest = OPTIONS["heartbeat_ttl"].value(str(MIN_HEARTBEAT_TTL_SECONDS), "test")

    assert MAX_BEAT_GAP_SECONDS < shortest <= Settings().heartbeat_ttl
    assert (
        shortest >= SILENT_REPLICA_SECONDS
    )  # a silent owner is seized from, a forgotten one is not looked at


def test_who_waits_for_a_silent_owner_sees_its_next_beat() -> None:
    assert OWNER_POLL_SECONDS <= BEAT_INTERVAL_SECONDS
    assert REPLICAS_FRESH_SECONDS < SILENT_REPLICA_SECONDS


def test_a_replica_counts_as_dead_of_a_session_later_than_its_sessions_are_seized() -> None:
    assert SILENT_REPLICA_SECONDS < CRASHED_REPLICA_SECONDS < Settings().heartbeat_ttl


def test_a_session_that_moves_is_kept_for_longer_than_its_release_takes() -> None:
    settings = Settings()

    assert STUCK_SECONDS < ARRIVAL_SECONDS <= settings.session_retention
    assert settings.session_retention >= ADOPT_SECONDS
    assert settings.drain_delay < settings.drain_timeout


def test_a_drain_begins_after_the_others_have_heard_of_it() -> None:
    assert Settings().drain_delay > 2 * BEAT_INTERVAL_SECONDS


@pytest.mark.parametrize("of", ["JOB", "RESULT", "TASK"])
def test_a_lease_outlasts_two_renewals_that_fail(of: str) -> None:
    lease, renew = getattr(timings, f"{of}_LEASE_SECONDS"), getattr(timings, f"{of}_RENEW_SECONDS")

    assert lease > 3 * renew


def test_a_client_that_is_pinged_is_there_for_as_long_as_a_proxy_waits() -> None:
    assert 0 < Settings().keep_alive < 60  # nginx, HAProxy and most load balancers: a minute
