"""Commands with large values are the bytes that redis-py makes of them, and are written a slice at a time."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Connection

from store.pieces import LARGE, SLICE, Pieces, sending_pieces

SIZES = st.sampled_from([0, 1, 6000, LARGE, LARGE + 1, SLICE * 2 + 1])
PARTS = SIZES.map(bytes) | SIZES.map(lambda size: memoryview(bytes(size)))
ARGS = st.lists(st.one_of(
    st.integers(), st.text(max_size=5), SIZES.map(bytes),
    st.lists(PARTS, max_size=4).map(lambda parts: Pieces(tuple(parts))),
), max_size=5)  # fmt: skip


def plain(args: list[Any]) -> list[Any]:
    return [bytes(arg) if isinstance(arg, Pieces) else arg for arg in args]


@given(ARGS)
def test_a_command_is_packed_as_redis_py_does(args: list[Any]) -> None:
    ours, theirs = sending_pieces(Connection)(), Connection()
    packed = ours.pack_command("EVALSHA", *args)
    several = ours.pack_commands([("EVALSHA", *args), ("PING",)])

    assert b"".join(packed) == b"".join(theirs.pack_command("EVALSHA", *plain(args)))
    assert b"".join(several) == b"".join(theirs.pack_commands([("EVALSHA", *plain(args)), ("PING",)]))


def test_large_parts_are_not_copied() -> None:
    column = bytes(SLICE)
    packed = sending_pieces(Connection)().pack_commands([("SET", "x", Pieces((b"head", column, b"tail")))])

    assert any(part is column for part in packed)


class Writer:
    """Notes what is written, and how much of it at most before somebody waits."""

    def __init__(self) -> None:
        self.written = bytearray()
        self.most = self._since = 0

    def write(self, data: memoryview) -> None:
        self.written += data
        self._since += len(data)
        self.most = max(self.most, self._since)

    def writelines(self, parts: list[bytes]) -> None:
        self.write(memoryview(b"".join(parts)))

    async def drain(self) -> None:
        self._since = 0


async def test_what_is_large_waits_for_the_socket_in_between() -> None:
    connection, writer = sending_pieces(Connection)(), Writer()
    connection._writer = writer  # type: ignore[assignment]
    parts = [b"*3 ", bytes(range(256)) * 10_000, b" ", memoryview(bytes(SLICE + 1)), b""]
    await connection._send_packed_command(parts)
    large = bytes(writer.written)
    await connection._send_packed_command([b"small", b"er"])

    assert large == b"".join(parts)
    assert bytes(writer.written) == large + b"smaller"
    assert writer.most <= SLICE
    del connection._writer
