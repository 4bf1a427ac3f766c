"""The lock of a session's Document, which knows whether the code that asks is the one that holds it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar

__all__ = ("DocumentLock",)

_held: ContextVar[tuple[object, ...]] = ContextVar("held_document_locks", default=())
"""Marks of the turns that the current code works in. Threads begin without any, but for those of
``asyncio.to_thread``, which work for the code that waits for them."""


class DocumentLock:
    """First come, first served. Each turn has a mark of its own, so what outlives its turn (a task that was
    begun in it) holds nothing any more.
    """

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._turn: object | None = None

    @property
    def taken(self) -> bool:
        """Whether anybody holds it."""
        return self._turn is not None or self._lock.locked()

    def locked(self) -> bool:
        """Whether the code that asks may change the Document.

        Panel (1.10) reads ``session._lock.locked()`` on its worker threads. Bokeh's own is true there while
        anybody holds it, and what two threads change at once is then lost, or sent in the wrong order.
        """
        turn = self._turn
        return turn is not None and turn in _held.get()

    async def __aenter__(self) -> None:
        await self._lock.acquire()
        self._begin()

    async def __aexit__(self, *exception: object) -> None:
        self.give_back()

    def take(self) -> bool:
        """Have it from here on, until :meth:`give_back`, if that needs no waiting."""
        taking = self._lock.acquire()
        try:
            taking.send(None)
        except StopIteration:
            self._begin()
            return True
        taking.close()  # somebody is about to have it
        return False

    def give_back(self) -> None:
        self._end()
        self._lock.release()

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """A turn that awaits nothing: on the event loop, where nobody else gets to run meanwhile.

        Whoever is in the middle of a turn goes on with that afterwards.
        """
        before = self._turn
        self._begin()
        try:
            yield
        finally:
            self._end()
            self._turn = before

    def begin_turn(self) -> None:
        """As at the beginning of :meth:`at_once`, where nobody has the lock."""
        assert self._turn is None
        self._begin()

    def end_turn(self) -> None:
        """It was over at once."""
        self._end()

    def pass_turn(self) -> None:
        """It belongs from here on to what has begun within :meth:`prolonged`, not to this code."""
        _held.set(_without(self._turn, _held.get()))

    @asynccontextmanager
    async def prolonged(self) -> AsyncIterator[None]:
        """The rest of such a turn, where it has to wait for something after all."""
        await self._lock.acquire()  # at once, as nobody has it
        try:
            yield
        finally:
            self.give_back()

    def _begin(self) -> None:
        self._turn = object()
        _held.set((*_held.get(), self._turn))

    def _end(self) -> None:
        turn, self._turn = self._turn, None
        _held.set(_without(turn, _held.get()))


def _without(turn: object, held: tuple[object, ...]) -> tuple[object, ...]:
    if held[-1:] == (turn,):  # nearly always
        return held[:-1]
    return tuple(each for each in held if each is not turn)
