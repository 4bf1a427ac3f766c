"""Nothing that was acknowledged is lost when a replica goes while callbacks are at work on its threads.

They take their time in the middle of what they change, and some do so at the moment of the kill. The same
holds with all of it on the event loop.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from devchaos.arena import Arena
from devchaos.faults import freeze_long, kill, terminate

VISITORS = 8
SLOW = 0.3
"""Seconds that a callback takes at most."""

WAYS = (
    # What may be lost is a matter of time, and here of a short one.
    pytest.param("8", "interval", marks=pytest.mark.alone),
    ("8", "sync"),
    ("0", "interval"),
    ("0", "sync"),
)
"""Threads, and durability."""


@pytest.mark.parametrize(("threads", "durability"), WAYS)
@pytest.mark.parametrize("fault", [kill, terminate, freeze_long])
async def test_slow_callbacks_lose_nothing(
    arena: Callable[..., Awaitable[Arena]],
    fault: Callable[[Arena], Awaitable[None]],
    threads: str,
    durability: str,
) -> None:
    args = ["--app-threads", threads]
    # On the event loop all callbacks of a replica wait for each other, and its writes for all of them.
    slack = 0.5 + SLOW * (VISITORS if threads == "0" else 1)
    started = await arena(
        visitors=VISITORS, replicas=3, durability=durability, think=0.05, slow=SLOW, slack=slack, args=args
    )
    await started.everybody_used_it()
    await fault(started)
    await started.everybody_used_it()
    verdict = await started.verdict()
    assert verdict.problems == []
