"""How full Redis is, by its own word: no exporter is needed, also not for a managed one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence

from service.metrics import Reading
from store.errors import StoreError
from store.facts import ServerFacts

__all__ = ("StoreMemory",)

log = logging.getLogger(__name__)

LOOK_SECONDS = 30.0
"""Seconds between looks. Each takes a dozen small commands."""


class StoreMemory:
    """Asks all servers with :meth:`run`, until it is cancelled; says nothing while they do not answer."""

    def __init__(self, ask: Callable[[], Awaitable[Sequence[ServerFacts]]]) -> None:
        self._ask = ask
        self._servers: Sequence[ServerFacts] = ()

    async def run(self) -> None:
        while True:
            try:
                self._servers = await self._ask()
            except StoreError as error:  # which the heartbeats have logged, or a user that may not INFO
                log.debug("Redis does not say how full it is: %s", error)
                self._servers = ()
            await asyncio.sleep(LOOK_SECONDS)

    def readings(self) -> Iterator[Reading]:
        used: dict[tuple[str, ...], float] = {}
        limit: dict[tuple[str, ...], float] = {}
        for number, facts in enumerate(self._servers, 1):
            used[(str(number),)], limit[(str(number),)] = facts.used_memory, facts.max_memory
        yield Reading("store_memory_bytes", "Memory that each server of Redis has in use", used, ("server",))
        yield Reading("store_memory_limit_bytes", "Its limit (maxmemory), 0 for none", limit, ("server",))
