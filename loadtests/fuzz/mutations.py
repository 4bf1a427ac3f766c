"""Small damage to bytes and to JSON, all of it decided by one source of chance."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

__all__ = ("NASTY_BYTES", "NASTY_VALUES", "altered", "mutated")

NASTY_BYTES: Sequence[bytes] = [
    b"\0", b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"%00", b"%", b"..", b"//", b"\r\n", b"\r\n\r\n", b"[",
    b"{",
    b'"', b";", b",", b"=", b"\x80", b"\x7f", b"-1", b"0", b"99999999999999999999", b"1e999", b"NaN", b"null",
    b"../" * 20, b"A" * 300, "\u202e".encode(), b"\\", b"'", b"*", b"http://[bad", b"javascript:1",
]  # fmt: skip

NASTY_VALUES: Sequence[Any] = [
    None, True, False, 0, -1, 1.5, 2**31, 2**53 + 1, 2**64, -(2**80), 1e308, "", "a", "\0", "\ud800",
    "x" * 5000,
    [], {}, [[]], [None], {"": None}, {"id": "nobody"}, {"id": None}, {"id": []}, {"type": "object"},
    {"type": "object", "name": "os.system", "id": "p1"}, {"type": "object", "name": "Slider", "id": "x"},
    {"type": "number", "value": "nan"}, {"type": "number", "value": "+inf"}, {"type": "number", "value": []},
    {"type": "map", "entries": [["a"]]}, {"type": "map", "entries": 1}, {"type": "set", "entries": [[]]},
    {"type": "bytes", "data": "!"}, {"type": "bytes", "data": {"id": "nobody"}}, {"type": "symbol",
    "name": "x"},
    {"type": "slice", "start": 0, "stop": "x", "step": None}, {"type": "value", "value": 1},
    {"type": "field"},
    {"type": "ndarray", "array": {"type": "bytes", "data": "AAAA"}, "shape": [-1], "dtype": "float64",
     "order": "little"},
    {"type": "ndarray", "array": [1, 2], "shape": [10**12], "dtype": "object", "order": "little"},
    {"type": "ndarray", "array": {"type": "bytes", "data": ""}, "shape": [], "dtype": "nothing",
    "order": "big"},
    {"type": "typed_array", "array": {"type": "bytes", "data": "AAAAAAAAAAA="}, "dtype": "float64",
     "order": "little"},
]  # fmt: skip


def mutated(data: bytes, rng: random.Random) -> bytes:
    """``data`` with one to four changes: bits, bytes, pieces that are missing, doubled, moved or added."""
    found = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        rng.choice(_CHANGES)(found, rng)
    return bytes(found)


def altered(value: Any, rng: random.Random) -> Any:
    """A copy of a JSON value in which one place, anywhere, has something else or nothing."""
    found = copy.deepcopy(value)
    places = list(_places(found))
    if not places:
        return rng.choice(NASTY_VALUES)
    holder, key = rng.choice(places)
    kind = rng.random()
    if kind < 0.2 and isinstance(holder, dict):
        del holder[key]
    elif kind < 0.3 and isinstance(holder, list):
        holder.extend([holder[key]] * rng.choice((1, 2, 50)))
    elif kind < 0.4:
        holder[key] = copy.deepcopy(rng.choice(places)[0])
    else:
        holder[key] = copy.deepcopy(rng.choice(NASTY_VALUES))
    return found


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """(container, key or index) of everything within."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in items:
        yield value, key
        yield from _places(child)


def _flip(data: bytearray, rng: random.Random) -> None:
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _overwrite(data: bytearray, rng: random.Random) -> None:
    if data:
        data[rng.randrange(len(data))] = rng.randrange(256)


def _cut(data: bytearray, rng: random.Random) -> None:
    begin, end = _stretch(data, rng)
    del data[begin:end]


def _double(data: bytearray, rng: random.Random) -> None:
    begin, end = _stretch(data, rng)
    data[end:end] = bytes(data[begin:end]) * rng.choice((1, 1, 7))


def _insert(data: bytearray, rng: random.Random) -> None:
    at = rng.randint(0, len(data))
    data[at:at] = rng.choice(NASTY_BYTES)


def _end_early(data: bytearray, rng: random.Random) -> None:
    del data[rng.randint(0, len(data)) :]


def _stretch(data: bytearray, rng: random.Random) -> tuple[int, int]:
    begin = rng.randint(0, len(data))
    return begin, min(len(data), begin + rng.randint(1, 40))


_CHANGES: Sequence[Callable[[bytearray, random.Random], None]] = (
    _flip, _flip, _overwrite, _cut, _double, _insert, _insert, _end_early,
)  # fmt: skip
