"""Making room when memory is short: when it begins, how far it goes, and what is said of it."""

from __future__ import annotations

import logging

import pytest

from service.metrics import Metrics
from service.sessions.pressure import COLLECTION_INTERVAL_SECONDS, RECOVERY_SECONDS, MemoryPressure

MIB = 1024 * 1024
HIGH = 100 * MIB


class Replica:
    """Holds so many MiB, and sessions of one MiB each that can sleep."""

    def __init__(self, used: int, can_sleep: int) -> None:
        self.used = used * MIB
        self.can_sleep = can_sleep
        self.asked = 0
        self.now = 0.0
        self.metrics = Metrics()
        self.pressure = MemoryPressure(
            self,  # type: ignore[arg-type]
            high=HIGH, metrics=self.metrics, used=lambda: self.used, clock=lambda: self.now,
        )  # fmt: skip

    async def make_room(self) -> int:
        self.asked += 1
        slept = min(2, self.can_sleep)
        self.can_sleep -= slept
        self.used -= slept * MIB
        return slept

    async def look(self, at: float = 0.0) -> bool:
        """Whether memory is said to be short then."""
        self.now = at
        await self.pressure.look()
        return self.metrics.registry.get_sample_value("svc_memory_short") == 1


@pytest.fixture(autouse=True)
def no_collection(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    collected: list[int] = []
    monkeypatch.setattr("service.sessions.pressure.reclaim", lambda: collected.append(1))
    monkeypatch.setattr("service.sessions.pressure.give_back", lambda: None)
    return collected


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO)
    return caplog


async def test_nothing_happens_below_the_limit(said: pytest.LogCaptureFixture) -> None:
    replica = Replica(used=100, can_sleep=50)
    assert not await replica.look()
    assert replica.asked == 0
    assert not said.records


async def test_sessions_sleep_until_there_is_some_room(said: pytest.LogCaptureFixture) -> None:
    replica = Replica(used=101, can_sleep=50)
    assert not await replica.look()
    assert replica.used == 95 * MIB
    assert len(said.records) == 1


async def test_an_episode_is_told_of_once(said: pytest.LogCaptureFixture) -> None:
    replica = Replica(used=101, can_sleep=50)
    await replica.look()
    for at in range(3):
        replica.used = 101 * MIB
        await replica.look(at)
    assert [each.levelname for each in said.records] == ["WARNING"]

    await replica.look(3 + RECOVERY_SECONDS)
    assert said.messages[-1] == "memory is below --memory-high again; 24 sessions went to sleep"
    replica.used = 101 * MIB
    await replica.look(4 + RECOVERY_SECONDS)
    assert [each.levelname for each in said.records] == ["WARNING", "INFO", "WARNING"]


async def test_that_nobody_can_sleep_is_told_and_measured(
    said: pytest.LogCaptureFixture, no_collection: list[int]
) -> None:
    replica = Replica(used=200, can_sleep=4)
    assert await replica.look()
    assert replica.can_sleep == 0
    assert len(no_collection) == 1, "garbage may be all there is"
    assert await replica.look(1)
    assert len(no_collection) == 1, "which takes its time, and is not there again after a second"
    assert await replica.look(COLLECTION_INTERVAL_SECONDS + 1)
    assert len(no_collection) == 2
    assert [each.levelname for each in said.records] == ["WARNING", "WARNING"]
