"""Connections to Redis that send what is large slice by slice.

asyncio (before Python 3.12) puts all parts of a command together into one more copy, and makes
another of what the socket does not take at once: for a column of 10 MB that is most of the cost.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from redis.asyncio.connection import Connection, UnixDomainSocketConnection

__all__ = ("PlainConnection", "UnixConnection")

SLICE = 512 * 1024
"""Bytes."""


class _Slicing:
    async def send_packed_command(
        self, command: bytes | str | Iterable[Any], check_health: bool = True
    ) -> None:
        send: Any = super().send_packed_command  # type: ignore[misc]
        parts = [command] if isinstance(command, bytes | str) else list(command)
        if all(len(part) <= SLICE for part in parts):
            await send(parts if parts else command, check_health=check_health)
            return
        for batch in _batches(parts):
            await send(batch, check_health=check_health)
            check_health = False  # not between two halves of a command


def _batches(parts: Iterable[Any]) -> Iterator[list[Any]]:
    """All of ``parts`` in order: small ones together, of large ones a slice at a time."""
    small: list[Any] = []
    for part in parts:
        if len(part) <= SLICE:
            small.append(part)
            continue
        if small:
            yield small
            small = []
        view = memoryview(part)
        for at in range(0, len(view), SLICE):
            yield [view[at : at + SLICE]]
    if small:
        yield small


class PlainConnection(_Slicing, Connection):
    """Over TCP."""


class UnixConnection(_Slicing, UnixDomainSocketConnection):
    """Over a Unix socket."""
