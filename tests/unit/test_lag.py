"""How busy a replica says it is."""

from __future__ import annotations

import pytest

from service.lag import LoadMeter


class Process:
    """A clock, and the CPU time used by then."""

    def __init__(self) -> None:
        self.now = self.used = 0.0

    def work(self, seconds: float, share: float) -> None:
        self.now += seconds
        self.used += seconds * share


def test_load_is_the_share_of_a_core_lately() -> None:
    process = Process()
    meter = LoadMeter(lambda: process.now, lambda: process.used)

    process.work(LoadMeter.WINDOW, 0.5)
    assert meter.share() == pytest.approx(0.5)
    process.work(LoadMeter.WINDOW / 2, 1.0)
    assert meter.share() == pytest.approx(0.75)
    process.work(100, 0.0)
    assert meter.share() == 0.0


def test_asking_twice_at_once_changes_nothing() -> None:
    process = Process()
    meter = LoadMeter(lambda: process.now, lambda: process.used)
    process.work(LoadMeter.WINDOW, 0.5)

    assert meter.share() == meter.share()
