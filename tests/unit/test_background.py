"""Work beside everything else: it ends when it is told to."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from service.background import end, spawn


async def test_work_that_swallows_a_cancellation_ends_nevertheless() -> None:
    swallowed = asyncio.Event()

    async def stubborn() -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        swallowed.set()
        await asyncio.Event().wait()

    task = spawn(stubborn())
    await asyncio.sleep(0)

    async with asyncio.timeout(30):
        await end([task])

    assert swallowed.is_set()
    assert task.cancelled()


async def test_there_may_be_nothing_to_end() -> None:
    await end([])
