"""Fleets under fire, see `devchaos`: started by each test, judged by the checker, gone at the end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest_asyncio
from devchaos.arena import Arena
from devchaos.visitor import Visitor
from harness.tools import require


@pytest_asyncio.fixture
async def arena() -> AsyncIterator[Callable[..., Awaitable[Arena]]]:
    """Starts an arena: `await arena(visitors=8, durability="sync")`; see :class:`devchaos.arena.Arena`."""
    require("redis-server")
    require("nginx")
    async with AsyncExitStack() as started:

        async def start(**options: Any) -> Arena:
            return await started.enter_async_context(Arena(**options))

        yield start


@pytest_asyncio.fixture
async def visit(started: Arena) -> AsyncIterator[Callable[[int], Visitor]]:
    """A visitor of the arena `started` who does only what the test says: `visit(port)`."""
    made: list[Visitor] = []

    def make(port: int) -> Visitor:
        made.append(Visitor(port))
        return made[-1]

    yield make
    for each in made:
        each.close()
