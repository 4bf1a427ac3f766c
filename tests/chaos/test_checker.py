"""The checker is worth nothing if it does not complain: each kind of wrong is one log here."""

from __future__ import annotations

import dataclasses

import pytest
from devchaos.checker import Verdict, judge
from devchaos.owners import Owners
from devchaos.seen import Seen
from devchaos.visitor import Change, Log, Move


def document(slider: int = 0, clicks: int = 0) -> Seen:
    curve = tuple(float(x * slider) for x in range(20))
    return Seen(slider=slider, clicks=clicks, added=clicks, curve=curve, noise=(0.5,))


def moved(seen: Seen, *changes: Change) -> Log:
    """A log of these changes, a drop at 10 s, and what was seen after it."""
    move = Move(dropped=10, back=10.2, attempts=1, seen=seen, changes=len(changes))
    return Log("session", document(), list(changes), [move], seen)


def verdict(log: Log, interval: float | None = 0.1) -> Verdict:
    return judge([log], interval=interval)


SLID = Change("slider", 5, 1.0, 1.1)
LATE = Change("slider", 6, 9.94, 9.95)


def test_a_good_move() -> None:
    assert verdict(moved(document(5, 1), SLID, Change("click", 1, 2, 2.1))).problems == []


def test_an_acknowledged_change_is_missing() -> None:
    assert "5 was acknowledged" in verdict(moved(document(), SLID)).problems[0]


def test_a_change_of_the_last_interval_may_be_missing_unless_sync() -> None:
    log = moved(document(5), SLID, LATE)

    assert verdict(log).problems == []
    assert verdict(log).late == 1
    assert "6 was acknowledged" in verdict(log, interval=None).problems[0]


def test_what_was_not_acknowledged_may_be_there_or_not() -> None:
    unanswered = Change("slider", 6, 9.9)

    assert verdict(moved(document(5), SLID, unanswered), None).problems == []
    assert verdict(moved(document(6), SLID, unanswered), None).problems == []


def test_something_nobody_sent() -> None:
    assert "nothing beyond 5" in verdict(moved(document(7), SLID)).problems[0]


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [({"curve": (1.0,) * 20}, "is not that of slider"), ({"added": 3}, "models made by them"),
     ({"noise": (0.7,)}, "random data")],
)  # fmt: skip
def test_parts_that_do_not_belong_together(wrong: dict[str, object], complaint: str) -> None:
    seen = dataclasses.replace(document(5), **wrong)  # type: ignore[arg-type]

    assert any(complaint in each for each in verdict(moved(seen, SLID)).problems)


def test_a_dead_page() -> None:
    log = moved(document(5), SLID)
    log.failure = "Stuck: no way back"

    assert "no way back" in verdict(log).problems[0]


def monitored(*lines: bytes) -> list[str]:
    owners = Owners(0)
    for line in lines:
        owners._note(line)
    return owners.problems()


def took(owner: bytes, epoch: int) -> bytes:
    return b'1.5 [0 lua] "HSET" "svc:{t}:session" "state" "live" "owner" "%b" "epoch" "%d"' % (owner, epoch)


def wrote(epoch: int, number: int) -> bytes:
    return b'1.5 [0 lua] "HSET" "svc:{t}:journal" "write" "%d/%d"' % (epoch, number)


def test_owners_in_order() -> None:
    assert monitored(took(b"a", 5), wrote(5, 1), took(b"b", 6), wrote(6, 1)) == []


def test_two_owners_at_one_epoch() -> None:
    assert "both owned" in monitored(took(b"a", 5), took(b"b", 5))[0]


def test_a_zombie_writes() -> None:
    assert "a write at epoch 5, after epoch 6" in monitored(took(b"a", 5), took(b"b", 6), wrote(5, 2))[0]


def test_an_epoch_that_goes_back() -> None:
    assert "after epoch 6" in monitored(took(b"a", 6), took(b"b", 5))[0]


def test_runs_are_accounted_for() -> None:
    owners = Owners(0)
    owners._note(took(b"a", 5) + b' "session_id" "session"')

    assert judge([], interval=None, owners=owners, runs={"session": 1}).problems == []
    twice = judge([], interval=None, owners=owners, runs={"session": 2})
    assert "ran 2 times in 1 epochs" in twice.problems[0]
