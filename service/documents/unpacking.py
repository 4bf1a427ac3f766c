"""Bounds on what compressed data becomes: a message's arrays, and a stored record.

BokehJS and Bokeh put arrays into JSON gzipped, where 400 KB can stand for 600 MB.
"""

from __future__ import annotations

import base64
import zlib
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from bokeh.core.serialization import Deserializer

from service.errors import MessageTooBig

__all__ = ("MAX_RECORD_BYTES", "inflate", "install", "unpacked_at_most")

MAX_RECORD_BYTES = 256 * 1024 * 1024
"""The JSON of a Document in the store, unpacked; larger ones are not written."""

_GZIP = zlib.MAX_WBITS | 16

bokeh_decode_bytes = Deserializer._decode_bytes


@dataclass(slots=True)
class _Budget:
    most: int
    left: int


_budget: ContextVar[_Budget | None] = ContextVar("unpacking_budget", default=None)


def unpacked_at_most(max_bytes: int) -> _Unpacking:
    """All compressed arrays that are decoded inside make no more than ``max_bytes`` together.

    One that would raises :class:`service.errors.MessageTooBig`.
    """
    return _Unpacking(_Budget(max_bytes, max_bytes))


class _Unpacking:
    """A context manager by hand: a generator would cost each patch more."""

    __slots__ = ("_budget", "_token")

    def __init__(self, budget: _Budget) -> None:
        self._budget = budget

    def __enter__(self) -> None:
        self._token = _budget.set(self._budget)

    def __exit__(self, *exception: object) -> None:
        _budget.reset(self._token)
        self._budget.most = 0  # tasks that began inside have it, too: there is no bound for what they do


def inflate(data: bytes, *, most: int, wbits: int = zlib.MAX_WBITS) -> bytes:
    """Raises zlib.error for what is damaged, and ValueError when there would be more than ``most`` bytes."""
    parts: list[bytes] = []
    left = most
    while data:
        unpacker = zlib.decompressobj(wbits)
        parts.append(unpacker.decompress(data, left + 1))
        left -= len(parts[-1])
        if left < 0:
            raise ValueError(f"it has more than {most} bytes when unpacked")
        if not unpacker.eof:
            raise zlib.error("incomplete or truncated stream")
        data = unpacker.unused_data  # gzip allows for another member
    return b"".join(parts)


def _decode_bytes(self: Deserializer, obj: Any) -> Any:
    """Bokeh's own (3.9 and 3.10) unpacks all there is."""
    budget, data = _budget.get(), obj.get("data")
    if budget is None or not budget.most or not isinstance(data, str):
        return bokeh_decode_bytes(self, obj)
    try:
        unpacked = inflate(base64.b64decode(data), most=budget.left, wbits=_GZIP)
    except zlib.error as error:
        self.error(f"damaged gzip data: {error}")
    except ValueError as error:
        raise MessageTooBig(f"message is over {budget.most} bytes unpacked") from error
    budget.left -= len(unpacked)
    return unpacked


def install() -> None:
    """Bound what is unpacked where :func:`unpacked_at_most` says so. Idempotent."""
    Deserializer._decode_bytes = _decode_bytes  # type: ignore[method-assign]
