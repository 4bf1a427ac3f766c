"""Large values on their way to Redis without being copied: in pieces, a slice at a time.

redis-py wants one string of bytes per value, and asyncio (until Python 3.12) joins all that is
written at once and copies what the socket does not take: three more copies of a large column.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

__all__ = ("LARGE", "Pieces", "packing_pieces", "sending_pieces")

LARGE = 64 * 1024
"""Bytes from which it pays not to copy."""

SLICE = 512 * 1024
"""Bytes given to the transport at a time; it copies what of these the socket does not take at once."""

T = TypeVar("T")
Part = bytes | memoryview


@dataclass(frozen=True, slots=True)
class Pieces:
    """One value: ``parts`` one after the other. They must not change, so that they can be sent again."""

    parts: tuple[Part, ...]

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def __bytes__(self) -> bytes:
        return b"".join(self.parts)


class _Packing:
    """Makes commands with :class:`Pieces` among their arguments."""

    encoder: Any

    def pack_command(self, *args: Any) -> list[Part]:
        if any(type(arg) is Pieces for arg in args):
            return _packed(args, self.encoder.encode)
        packed: list[Part] = super().pack_command(*args)  # type: ignore[misc]
        return packed


class _Sending(_Packing):
    """Sends what is large slice by slice, waiting for the socket in between (redis-py 8)."""

    _writer: Any

    async def _send_packed_command(self, command: Iterable[Part]) -> None:
        parts = list(command)
        if all(len(part) <= LARGE for part in parts):
            self._writer.writelines(parts)  # as redis-py does
            await self._writer.drain()
            return
        for part in parts:
            for at in range(0, len(part), SLICE):
                self._writer.write(memoryview(part)[at : at + SLICE])
                await self._writer.drain()


def packing_pieces(connection: type[T]) -> type[T]:
    """The class of redis-py's (asyncio) connections, able to take :class:`Pieces`."""
    return type(connection.__name__, (_Packing, connection), {})


def sending_pieces(connection: type[T]) -> type[T]:
    """As :func:`packing_pieces`, for connections with a socket."""
    return type(connection.__name__, (_Sending, connection), {})


def _packed(args: Iterable[Any], encode: Callable[[Any], Part]) -> list[Part]:
    """A command in Redis's protocol; large parts are left as they are."""
    values = [arg.parts if type(arg) is Pieces else (encode(arg),) for arg in args]
    packed: list[Part] = []
    small: list[Part] = [b"*%d\r\n" % len(values)]
    for parts in values:
        small.append(b"$%d\r\n" % sum(map(len, parts)))
        for part in parts:
            if len(part) > LARGE:
                packed += [b"".join(small), part]
                small = []
            else:
                small.append(part)
        small.append(b"\r\n")
    return [*packed, b"".join(small)]
