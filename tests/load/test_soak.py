"""What counts as flat in `make soak`, without running one."""

from __future__ import annotations

import pytest

from loadtests.soak.flat import MIB, compared, table, under_load


def samples(values: list[float], quantity: str) -> list[tuple[float, dict[str, float]]]:
    return [(float(at), {quantity: value}) for at, value in enumerate(values)]


def test_what_rose_during_the_warm_up_is_not_growth() -> None:
    (row,) = under_load("process", samples([10, 50, 100, 100, 101, 100, 99, 100], "tasks"), since=2)
    assert row.flat
    assert (row.first, row.last) == (100, 99.5)


@pytest.mark.parametrize(
    ("quantity", "step"), [("memory", 2 * MIB), ("descriptors", 1), ("tasks", 1), ("keys", 2)]
)
def test_what_rises_slowly_all_the_time_is_growth(quantity: str, step: float) -> None:
    (row,) = under_load(
        "process", samples([100 * step / 2 + step * at for at in range(60)], quantity), since=0
    )
    assert not row.flat
    assert "GROWS" in table([row])


def test_one_high_reading_is_no_growth() -> None:
    (row,) = under_load("process", samples([100] * 29 + [5000], "tasks"), since=0)
    assert row.flat


def test_when_everybody_has_left_nothing_may_be_left_over() -> None:
    first = {"sessions": 0.0, "lasting keys": 5.0, "memory": 100.0 * MIB}
    assert all(row.flat for row in compared("p", "quiet", first, first))
    later = compared("p", "quiet", first, {"sessions": 1.0, "lasting keys": 6.0, "memory": 102.0 * MIB})
    assert [row.quantity for row in later if not row.flat] == ["sessions", "lasting keys"]


def test_too_few_samples_are_no_verdict() -> None:
    with pytest.raises(ValueError, match="too few"):
        under_load("process", samples([1, 2], "tasks"), since=0)
