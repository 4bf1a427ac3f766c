"""Timings of liveness, each in the module that waits, fit each other. All are in seconds."""

from __future__ import annotations

from service.fleet.heartbeat import BEAT_INTERVAL, MAX_BEAT_GAP_SECONDS
from service.fleet.peers import FRESH_SECONDS, SILENT_SECONDS
from service.fleet.routing import HEARTBEAT_POLL_SECONDS, SILENT_OWNER_SECONDS
from service.sessions.departures import ARRIVAL_SECONDS, STUCK_SECONDS
from service.settings import OPTIONS, Settings

SHORTEST_TTL = 1.0
"""Of ``--heartbeat-ttl``."""


def test_an_owner_that_lives_has_beaten_before_anybody_takes_it_for_gone() -> None:
    assert 3 * BEAT_INTERVAL <= MAX_BEAT_GAP_SECONDS < SILENT_OWNER_SECONDS
    assert MAX_BEAT_GAP_SECONDS < SILENT_SECONDS


def test_a_replica_doubts_itself_before_the_store_forgets_it() -> None:
    assert OPTIONS["heartbeat_ttl"].value(str(SHORTEST_TTL), "test") == SHORTEST_TTL
    assert MAX_BEAT_GAP_SECONDS < SHORTEST_TTL <= Settings().heartbeat_ttl


def test_who_waits_for_a_silent_owner_sees_its_next_beat() -> None:
    assert HEARTBEAT_POLL_SECONDS <= BEAT_INTERVAL
    assert FRESH_SECONDS < SILENT_SECONDS


def test_a_session_that_moves_is_kept_for_longer_than_its_release_takes() -> None:
    settings = Settings()

    assert STUCK_SECONDS < ARRIVAL_SECONDS <= settings.session_retention
    assert settings.drain_delay < settings.drain_timeout


def test_a_client_that_is_pinged_is_there_for_as_long_as_a_proxy_waits() -> None:
    assert 0 < Settings().keep_alive < 60  # nginx, HAProxy and most load balancers: a minute
