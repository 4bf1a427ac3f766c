"""Pings of all sockets in turns, on a clock that a test sets."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from service.web.keep_alive import SLICES_PER_INTERVAL, KeepAlive

INTERVAL = 64.0


class Clock:
    """As an event loop whose one timer is called when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0
        self.due: list[tuple[float, Callable[[], None]]] = []

    def time(self) -> float:
        return self.now

    def call_at(self, at: float, call: Callable[..., None], *args: Any) -> object:
        self.due.append((at, lambda: call(*args)))
        return self.due[-1]

    def run_until(self, then: float) -> None:
        while self.due and self.due[0][0] <= then:
            at, call = self.due.pop()
            self.now = max(self.now, at)
            call()
        self.now = then


class Socket:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.pinged: list[float] = []

    def stay_alive(self, interval: float) -> None:
        assert interval == INTERVAL
        self.pinged.append(self._clock.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: clock)
    return clock


def test_each_socket_has_its_turn_once_in_an_interval(clock: Clock) -> None:
    keep_alive = KeepAlive(INTERVAL)
    sockets = []
    for _ in range(SLICES_PER_INTERVAL):
        sockets.append(Socket(clock))
        keep_alive.add(sockets[-1])
        clock.run_until(clock.now + INTERVAL / SLICES_PER_INTERVAL)

    clock.run_until(3.5 * INTERVAL)

    for number, socket in enumerate(sockets):
        assert socket.pinged[:2] == [INTERVAL + number, 2 * INTERVAL + number]
    together = Counter(at for socket in sockets for at in socket.pinged)
    assert set(together.values()) == {1}, "those who came one after the other are not pinged together"


def test_who_has_left_is_not_pinged_and_the_last_one_stops_the_clock(clock: Clock) -> None:
    keep_alive = KeepAlive(INTERVAL)
    one, other = Socket(clock), Socket(clock)
    turns = {socket: keep_alive.add(socket) for socket in (one, other)}
    keep_alive.discard(one, turns[one])
    clock.run_until(INTERVAL)
    assert (one.pinged, other.pinged) == ([], [INTERVAL])

    keep_alive.discard(other, turns[other])
    clock.run_until(2 * INTERVAL)
    assert not clock.due
    keep_alive.add(one)
    clock.run_until(3 * INTERVAL)
    assert one.pinged == [3 * INTERVAL]


def test_a_loop_that_was_kept_waiting_does_not_make_up_for_it(clock: Clock) -> None:
    keep_alive = KeepAlive(INTERVAL)
    socket = Socket(clock)
    keep_alive.add(socket)
    clock.now = 10 * INTERVAL
    clock.run_until(12.5 * INTERVAL)
    assert len(socket.pinged) == 2


def test_no_interval_means_never(clock: Clock) -> None:
    keep_alive = KeepAlive(0)
    keep_alive.add(Socket(clock))
    assert not clock.due
