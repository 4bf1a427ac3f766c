"""One store's line to its Redis: sends commands, scripts and pipelines, again when that may help.

Every operation of this package may be repeated, so a lost reply is answered by sending it again
until ``patience`` is used up. redis-py's own retries are off: they nest (connect within command
within cluster), and their total would have no bound.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from redis.exceptions import NoScriptError

from store.batches import MAX_COMMANDS, Batches
from store.errors import StoreError, StoreUnavailable
from store.faults import FAILURES, translate
from store.scripts import Command

__all__ = ("Client", "Link", "Observe")

log = logging.getLogger(__name__)

T = TypeVar("T")

Observe = Callable[[float, str | None], None]
"""Told of every attempt: how many seconds it took, and the kind of its failure ("away" or "other")."""

# Two attempts that hang end within the patience, and leave a little of it.
_ATTEMPT = 0.45
_FIRST_PAUSE = 0.02
_LONGEST_PAUSE = 0.25


@dataclass(frozen=True, slots=True)
class Client:
    """A redis-py client, and what has to be closed along with it."""

    redis: Any
    """``redis.asyncio.Redis`` or ``RedisCluster``; their types agree on too little to be of use here."""
    also: tuple[Any, ...] = ()
    clustered: bool = False
    embedded: bool = False

    async def close(self) -> None:
        for part in (self.redis, *self.also):
            await part.aclose()

    async def refresh(self) -> None:
        """Forget what may be out of date about who serves what."""
        if self.clustered:
            await self.redis.nodes_manager.initialize()
        else:
            await self.redis.connection_pool.disconnect(inuse_connections=False)


class Link:
    """Bound to the event loop that first uses it. Does no I/O before that."""

    def __init__(
        self,
        connect: Callable[[], Client],
        *,
        where: str,
        patience: float,
        observe: Observe | None = None,
    ) -> None:
        self.connect = connect
        self.where = where
        """The store's address for messages: no credentials."""
        self.patience = patience
        self.observe = observe
        self._client: Client | None = None
        self._closed = False
        self._batches = Batches(self._pipe, _ATTEMPT * patience)

    @property
    def client(self) -> Client:
        if self._closed:
            raise StoreUnavailable(f"the connection to the store at {self.where} was closed")
        if self._client is None:
            self._client = self.connect()
        return self._client

    async def close(self) -> None:
        client, self._client, self._closed = self._client, None, True
        self._batches.close()
        if client is not None:
            await client.close()

    # -- sending -----------------------------------------------------------------------------

    async def send(self, *args: Any, **options: Any) -> Any:
        """One command."""
        return await self.run(Command(args, options))

    async def run(self, command: Command) -> Any:
        """One script."""
        if self.client.clustered or command.is_large:
            return await self.patiently(lambda: self._send(command))
        return (await self.patiently(lambda: self._batches.ask((command,))))[0]

    async def pipe(self, commands: Sequence[Command]) -> list[Any]:
        """Many at once, in one round trip (on a Cluster: one per node, side by side). Not atomic."""
        return await self.patiently(lambda: self._ask(commands)) if commands else []

    async def _send(self, command: Command) -> Any:
        redis = self.client.redis
        try:
            return await redis.execute_command(*command.args, **command.options)
        except NoScriptError:
            return await redis.execute_command(*command.as_text().args)

    async def _ask(self, commands: Sequence[Command]) -> list[Any]:
        # On a Cluster a node that is away would fail what others ask of all other nodes.
        if not self.client.clustered and _is_small(commands):
            return await self._batches.ask(commands)
        replies = await self._pipe(commands)
        for reply in replies:
            if isinstance(reply, FAILURES):
                raise reply
        return replies

    async def _pipe(self, commands: Sequence[Command]) -> list[Any]:
        """For each the reply, or the error."""
        if len(commands) == 1 and not commands[0].is_large:
            return [await self._send(commands[0])]
        commands = [each.as_text() if each.is_large else each for each in commands]
        replies = await self._pipe_once(commands)
        missing = [i for i, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        for i in missing:
            replies[i].with_traceback(None)  # its frames, in a cycle with it, would keep what was sent
        if missing:
            again = await self._pipe_once([commands[i].as_text() for i in missing])
            for i, reply in zip(missing, again, strict=True):
                replies[i] = reply
        return replies

    async def _pipe_once(self, commands: Sequence[Command]) -> list[Any]:
        pipe = self.client.redis.pipeline(transaction=False)
        for command in commands:
            # A copy, because redis-py takes options out of it.
            pipe.execute_command(*command.args, **dict(command.options))
        # Not raise_on_error: redis-py would put the failed command, secrets and all, into the message.
        replies: list[Any] = await pipe.execute(raise_on_error=False)
        return replies

    # -- patience ----------------------------------------------------------------------------

    async def patiently(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Run ``attempt`` until it works, fails for good, or ``patience`` is used up.

        There are always two attempts: when the event loop was blocked for longer than the
        patience, the first one may look late although the store answered at once.
        """
        clock = asyncio.get_running_loop().time
        deadline, longest, number = clock() + self.patience, _ATTEMPT * self.patience, 0
        while True:
            allowed = longest if number < 2 else min(longest, deadline - clock())
            begun = clock()
            try:
                async with asyncio.timeout(allowed):
                    answer = await attempt()
                self._tell(clock() - begun, None)
                return answer
            except FAILURES as failure:
                error, pause = translate(failure, self.where), _pause(number)
                self._tell(clock() - begun, error)
                # A subclass (no memory left) is not cured by waiting.
                if type(error) is not StoreUnavailable or (number and clock() + pause >= deadline):
                    raise error from failure
            log.debug("%s; next attempt in %.0f ms", error, pause * 1000)
            await self._refresh(deadline - clock())
            await asyncio.sleep(pause)
            number += 1

    def _tell(self, seconds: float, error: StoreError | None) -> None:
        if self.observe is not None:
            away = type(error) is StoreUnavailable
            self.observe(seconds, None if error is None else "away" if away else "other")

    async def _refresh(self, left: float) -> None:
        try:
            async with asyncio.timeout(max(0.0, left) / 4):
                await self.client.refresh()
        except FAILURES as failure:
            log.debug("%s", translate(failure, self.where))


def _is_small(commands: Sequence[Command]) -> bool:
    return sum(each.weight for each in commands) <= MAX_COMMANDS // 4 and not any(
        each.is_large for each in commands
    )


def _pause(number: int) -> float:
    """Jittered, so that replicas that lost the store together do not come back in step."""
    longest: float = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0**number)
    return longest * random.uniform(0.5, 1.0)
