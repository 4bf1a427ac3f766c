"""What a visitor of `make soak` had acknowledged has to be there, but for what was not written yet."""

from __future__ import annotations

import pytest

from loadtests.soak.guests import Dead, Guest, Tally


def back(found: int, *, acknowledged: list[float], dropped: float, frozen: list[float]) -> None:
    guest = Guest(1, "app", lambda: 1.0, Tally(frozen=frozen))
    guest._acknowledged = [(at, number) for number, at in enumerate(acknowledged, 1)]
    guest._value = len(acknowledged)
    guest._check(found, dropped)


@pytest.mark.parametrize("frozen", [[], [50.0]])
def test_what_was_written_is_there(frozen: list[float]) -> None:
    back(1, acknowledged=[10.0, 19.5], dropped=20.0, frozen=frozen)
    with pytest.raises(Dead, match="the slider is 0, and not 1 to 2"):
        back(0, acknowledged=[10.0, 19.5], dropped=20.0, frozen=frozen)


def test_what_came_just_before_its_replica_was_stopped_may_be_missing() -> None:
    """Its page sees that only when the replica goes on: by then another one has the session."""
    back(1, acknowledged=[10.0, 11.5], dropped=20.0, frozen=[12.0])
    with pytest.raises(Dead, match="not 1 to 2"):
        back(0, acknowledged=[10.0, 11.5], dropped=20.0, frozen=[12.0])


def test_what_another_replica_acknowledged_since_is_there() -> None:
    with pytest.raises(Dead, match="the slider is 1, and not 2 to 2"):
        back(1, acknowledged=[11.5, 15.0], dropped=20.0, frozen=[12.0])
