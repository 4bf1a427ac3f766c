"""Switching the validation of properties off is a matter of the code that does it, on either line."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from bokeh.core.properties import validate
from bokeh.core.property.bases import validation_on

from service.lines import line


@pytest.fixture(autouse=True)
def _installed() -> Iterator[None]:
    line.allow_runs_at_once()
    yield
    assert validation_on()


async def test_it_is_off_inside_only() -> None:
    elsewhere = asyncio.get_running_loop().run_in_executor
    with validate(False):
        assert not validation_on()
        assert await elsewhere(None, validation_on)
        assert not await asyncio.to_thread(validation_on)  # which works for this code
    assert validation_on()


async def test_two_that_overlap_leave_it_on() -> None:
    turn = asyncio.Barrier(2)

    async def one(waits: int) -> None:
        with validate(False):
            await turn.wait()
            for _ in range(waits):
                await turn.wait()
        if not waits:
            await turn.wait()

    await asyncio.gather(one(0), one(1))
    assert validation_on()


def test_without_with_it_is_switched_until_it_is_switched_back() -> None:
    validate(False)
    assert not validation_on()
    validate(True)
    assert validation_on()
