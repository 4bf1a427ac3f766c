"""What attempts to reach a replica tell of the next ones."""

from __future__ import annotations

import asyncio

import pytest

from service.fleet import dials
from service.fleet.dials import Dials


def attempt() -> asyncio.Future[None]:
    return asyncio.get_running_loop().create_future()


async def test_a_crowd_learns_from_the_first_attempt() -> None:
    known, first = Dials(), attempt()
    assert not await known.refused("a")
    known.note("a", first)

    crowd = [asyncio.create_task(known.refused("a")) for _ in range(3)]
    await asyncio.sleep(0)
    first.set_exception(ConnectionRefusedError())

    assert await asyncio.gather(*crowd) == [True, True, True]
    assert not await known.refused("b")


async def test_who_takes_its_time_keeps_nobody() -> None:
    known, first = Dials(), attempt()
    known.note("a", first)

    assert not await known.refused("a")
    first.cancel()


async def test_only_that_nobody_listens_is_remembered() -> None:
    known = Dials()
    for error in (TimeoutError(), ConnectionResetError(), OSError("no route")):
        failed = attempt()
        known.note("a", failed)
        failed.set_exception(error)
        assert not await known.refused("a")


async def test_it_is_forgotten_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dials, "REFUSED_SECONDS", 0.0)
    known, failed = Dials(), attempt()
    known.note("a", failed)
    failed.set_exception(ConnectionRefusedError())

    assert not await known.refused("a")
