"""What is copied out of an app's arrays, which it may write into afterwards: once, for clients and journal.

A copy is made as soon as the value before is gone, and before any code of the app runs: of a large column
there are then two at a time, not three.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from threading import local
from typing import Any

import numpy as np
from bokeh.core.serialization import Buffer
from bokeh.document import Document

__all__ = ("Copies", "copied", "copy_of", "replacing", "soon")

_LARGE = 64 * 1024


class Copies:
    """The buffers of one change as pairs of id and payload."""

    def __init__(self, buffers: Sequence[Buffer]) -> None:
        self._buffers = buffers
        self._made: list[bytes | memoryview] | None = None

    def __len__(self) -> int:
        return len(self._buffers)

    def __iter__(self) -> Iterator[tuple[str, bytes | memoryview]]:
        return ((buffer.id, data) for buffer, data in zip(self._buffers, self.make(), strict=True))

    def make(self) -> list[bytes | memoryview]:
        """The payloads, which do not change from here on."""
        if self._made is None:
            self._made = [copied(buffer.data) for buffer in self._buffers]
        return self._made

    def of(self, array: np.ndarray[Any, Any]) -> bytes | memoryview | None:
        """The copy of this very array, if there is one of just its bytes."""
        for buffer, data in zip(self._buffers, self.make(), strict=True):
            source: object = buffer.data.obj if isinstance(buffer.data, memoryview) else None
            if source is array:
                return data
        return None


def copied(data: bytes | memoryview) -> bytes | memoryview:
    """What ``data`` holds now."""
    if isinstance(data, bytes):
        return data
    if data.nbytes <= _LARGE:
        return data.tobytes()
    return copy_of(np.frombuffer(data, np.uint8)) if data.c_contiguous and data.nbytes else data.tobytes()


def copy_of(array: np.ndarray[Any, Any]) -> bytes | memoryview:
    """The bytes of ``array`` as they are now, in C order.

    Many are held by an array again: such a block is as large as the app's own, so that each fits where the
    other was freed. Bytes are a little larger, for which malloc asks the system, while a gap remains.
    """
    if array.nbytes <= _LARGE:
        return array.tobytes()
    return array.copy(order="C").reshape(-1).view(np.uint8).data.toreadonly()


class _Replacing(local):
    """By thread: how many values are being replaced, one within the other, and what to copy thereafter."""

    depth = 0
    waiting: tuple[Copies, ...] = ()


_now = _Replacing()


class _Around:
    """A context manager by hand: every change of columns goes through it."""

    def __enter__(self) -> None:
        _now.depth += 1

    def __exit__(self, *exception: object) -> None:
        _now.depth -= 1
        if _now.waiting:
            waiting, _now.waiting = _now.waiting, ()
            for copies in waiting:
                copies.make()


replacing = _Around()
"""Around what replaces a value and tells of it: inside, the old value is still in use."""


def soon(copies: Copies, document: Document) -> Copies:
    """Make them when the value that is being replaced is gone, or at once where none is.

    At once, too, where others listen to the Document (bokeh 3.9), who may change the arrays before that.
    """
    if _now.depth and len(document.callbacks._change_callbacks) == 1:
        _now.waiting += (copies,)
    else:
        copies.make()
    return copies
