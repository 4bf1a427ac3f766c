"""The way from a token to a session, step by step, without a fleet."""

from __future__ import annotations

from dataclasses import replace

import pytest

from service.fleet.ownership import Dialled, Ownership, Step
from store.contract import Claim, Heartbeat, Outcome, PageRequest

SILENCE = 1.0
OWN = Claim(Outcome.OWN, "me", 7, request=PageRequest())
THEIRS = Claim(Outcome.RELAY, "other", 5)
OTHER = Heartbeat("other", "http://10.0.0.2:5006", "1", started=0.0, age=0.2)
FROZEN = replace(OTHER, age=SILENCE + 0.1)


@pytest.fixture
def way() -> Ownership:
    return Ownership(silence=SILENCE)


def dialling(way: Ownership, owner: Heartbeat = OTHER) -> Ownership:
    way.claimed(THEIRS)
    assert way.found(owner) is Step.DIAL
    return way


def test_it_begins_with_a_claim(way: Ownership) -> None:
    assert way.step is Step.CLAIM


def test_what_nobody_owns_is_served_here(way: Ownership) -> None:
    assert way.claimed(OWN) is Step.SERVE
    assert not way.seized


def test_what_was_set_aside_is_parked(way: Ownership) -> None:
    assert way.claimed(Claim(Outcome.PARKED)) is Step.PARKED


def test_what_never_was_is_unknown(way: Ownership) -> None:
    assert way.claimed(Claim(Outcome.UNKNOWN)) is Step.UNKNOWN


def test_what_its_owner_ended_meanwhile_may_begin_anew(way: Ownership) -> None:
    dialling(way).dialled(Dialled.NOT_OWNER)

    assert way.claimed(Claim(Outcome.UNKNOWN)) is Step.CLAIM
    assert way.claimed(OWN) is Step.SERVE


def test_an_owner_elsewhere_is_looked_for_dialled_and_relayed_to(way: Ownership) -> None:
    assert way.claimed(THEIRS) is Step.FIND_OWNER
    assert way.found(OTHER) is Step.DIAL
    assert way.dialled(Dialled.ACCEPTED) is Step.RELAY


def test_an_owner_without_heartbeat_is_gone(way: Ownership) -> None:
    way.claimed(THEIRS)

    assert way.found(None) is Step.SEIZE


@pytest.mark.parametrize("answer", [Dialled.REFUSED, Dialled.NOT_OWNER])
def test_an_owner_that_refuses_is_gone_at_once(way: Ownership, answer: Dialled) -> None:
    assert dialling(way).dialled(answer) is Step.SEIZE


def test_one_that_has_begun_to_drain_before_it_refused_lets_go_of_it_by_itself(way: Ownership) -> None:
    assert dialling(way).refused(replace(OTHER, draining=True)) is Step.CLAIM


@pytest.mark.parametrize("owner", [OTHER, None], ids=["it said nothing of a drain", "it is gone"])
def test_one_that_refuses_without_a_drain_is_seized_from(way: Ownership, owner: Heartbeat | None) -> None:
    assert dialling(way).refused(owner) is Step.SEIZE


def test_a_silent_owner_that_beats_is_busy(way: Ownership) -> None:
    assert dialling(way).dialled(Dialled.SILENT) is Step.KEEP_WAITING
    assert way.looked_again(OTHER) is Step.KEEP_WAITING
    assert way.dialled(Dialled.ACCEPTED) is Step.RELAY


@pytest.mark.parametrize("beat", [None, FROZEN])
def test_a_silent_owner_that_stopped_to_beat_is_gone(way: Ownership, beat: Heartbeat | None) -> None:
    dialling(way).dialled(Dialled.SILENT)

    assert way.looked_again(beat) is Step.SEIZE


def test_who_seizes_serves_and_knows_that_it_seized(way: Ownership) -> None:
    dialling(way).dialled(Dialled.REFUSED)

    assert way.claimed(OWN) is Step.SERVE
    assert way.seized


def test_who_loses_the_race_looks_for_the_winner(way: Ownership) -> None:
    dialling(way).dialled(Dialled.REFUSED)

    assert way.claimed(Claim(Outcome.RELAY, "winner", 6)) is Step.FIND_OWNER
    assert way.claim.owner == "winner"
    assert not way.seized


def test_lost_races_come_to_an_end() -> None:
    way = Ownership(silence=SILENCE, attempts=2)
    steps = []
    for _ in range(3):
        steps.append(way.claimed(THEIRS))
        way.found(None)

    assert steps == [Step.FIND_OWNER, Step.FIND_OWNER, Step.GIVE_UP]


OBSTACLES = {Dialled.DENIED: Step.DENIED, Dialled.UNREACHED: Step.UNREACHED}


@pytest.mark.parametrize("obstacle", OBSTACLES)
def test_one_that_lives_and_is_not_got_through_to_keeps_the_session(
    way: Ownership, obstacle: Dialled
) -> None:
    assert dialling(way).dialled(obstacle) is Step.KEEP_WAITING
    assert way.looked_again(OTHER) is OBSTACLES[obstacle]


@pytest.mark.parametrize("owner", [FROZEN, None], ids=["its heart stopped", "it is gone"])
@pytest.mark.parametrize("obstacle", OBSTACLES)
def test_one_that_is_not_got_through_to_and_gone_is_seized_from(
    way: Ownership, owner: Heartbeat | None, obstacle: Dialled
) -> None:
    assert dialling(way).dialled(obstacle) is Step.KEEP_WAITING
    assert way.looked_again(owner) is Step.SEIZE


def test_another_owner_may_let_us_in(way: Ownership) -> None:
    dialling(way).dialled(Dialled.DENIED)
    dialling(way).dialled(Dialled.SILENT)
    assert way.looked_again(OTHER) is Step.KEEP_WAITING
