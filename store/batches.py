"""Small commands of many callers in few pipelines.

A herd that comes back asks for the same few things of each session. With redis-py (8.1) a command by itself
takes several times the CPU time of one in a pipeline, and each that is under way a connection of its own.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from store.errors import StoreUnavailable
from store.scripts import Command

__all__ = ("MAX_COMMANDS", "Batches")

MAX_COMMANDS = 64
"""In one pipeline. Whoever has more at once has a pipeline by itself."""

MAX_UNDER_WAY = 4
"""Pipelines at a time; what comes meanwhile goes with the next one. Several, as one may have to wait for a
large reply, or for one that was lost."""


@dataclass(frozen=True, slots=True)
class _Asked:
    commands: Sequence[Command]
    answered: asyncio.Future[list[Any]]

    @property
    def weight(self) -> int:
        return sum(each.weight for each in self.commands)


class Batches:
    """``send`` takes commands, and gives for each the reply or the error; it raises when there are none.

    It may take ``seconds``.
    """

    def __init__(self, send: Callable[[Sequence[Command]], Awaitable[list[Any]]], seconds: float) -> None:
        self._send = send
        self._seconds = seconds
        self._waiting: deque[_Asked] = deque()
        self._under_way: dict[asyncio.Task[None], list[_Asked]] = {}
        self._due = False

    def ask(self, commands: Sequence[Command]) -> asyncio.Future[list[Any]]:
        """The replies. Raises what ``send`` raises, the first of the errors, StoreUnavailable once closed."""
        loop = asyncio.get_running_loop()
        asked = _Asked(commands, loop.create_future())
        assert asked.weight <= MAX_COMMANDS
        self._waiting.append(asked)
        if not self._due and len(self._under_way) < MAX_UNDER_WAY:
            self._due = True
            loop.call_soon(self._begin)  # with what others ask for in this turn of the event loop
        return asked.answered

    def close(self) -> None:
        for task, batch in self._under_way.items():
            task.cancel()
            _fail(batch, StoreUnavailable("the store was closed before it answered"))

    def _begin(self) -> None:
        self._due = False
        while self._waiting and len(self._under_way) < MAX_UNDER_WAY:
            batch = self._next()
            if batch:
                task = asyncio.create_task(self._carry(batch))
                self._under_way[task] = batch
                task.add_done_callback(self._over)

    def _next(self) -> list[_Asked]:
        batch: list[_Asked] = []
        left = MAX_COMMANDS
        while self._waiting and self._waiting[0].weight <= left:
            asked = self._waiting.popleft()
            if not asked.answered.done():  # else nobody waits any more
                left -= asked.weight
                batch.append(asked)
        return batch

    def _over(self, task: asyncio.Task[None]) -> None:
        del self._under_way[task]
        self._begin()

    async def _carry(self, batch: list[_Asked]) -> None:
        try:
            async with asyncio.timeout(self._seconds):
                replies = await self._send([command for asked in batch for command in asked.commands])
        except Exception as error:  # noqa: BLE001 - it is theirs who asked
            _fail(batch, error)
        else:
            _answer(batch, replies)


def _fail(batch: list[_Asked], error: Exception) -> None:
    for asked in batch:
        if not asked.answered.done():
            asked.answered.set_exception(error)


def _answer(batch: list[_Asked], replies: Sequence[Any]) -> None:
    begin = 0
    for asked in batch:
        own = list(replies[begin : begin + len(asked.commands)])
        begin += len(own)
        if asked.answered.done():
            continue
        error = next((reply for reply in own if isinstance(reply, Exception)), None)
        if error is None:
            asked.answered.set_result(own)
        else:
            asked.answered.set_exception(error)
