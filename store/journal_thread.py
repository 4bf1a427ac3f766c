"""Journal writes of a store, on a thread with an event loop and connections of its own.

A round trip takes many turns of an event loop, and each may last as long as the code of all sessions that
is due in it. Where that is slow, journals would be late by seconds, and attempts time out though Redis
answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from store.contract import JournalWrite, PageRequest, SessionKey, Store, Written
from store.loop_thread import LoopThread

__all__ = ("JournalThread",)

T = TypeVar("T")


class JournalThread:
    """:class:`store.contract.Journals`, from :meth:`start` to :meth:`close`.

    ``store`` is used on that thread alone, and closed with it. What its operations raise is raised here.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._thread = LoopThread("journals", store.close)

    def start(self) -> None:
        self._thread.start()

    async def close(self) -> None:
        await asyncio.to_thread(self._thread.stop)

    async def write_journals(self, replica: str, writes: Sequence[JournalWrite]) -> list[Written]:
        return await self._there(self._store.write_journals(replica, writes))

    async def reassert(self, key: SessionKey, replica: str, *, epoch: int, request: PageRequest) -> Written:
        return await self._there(self._store.reassert(key, replica, epoch=epoch, request=request))

    async def _there(self, work: Coroutine[Any, Any, T]) -> T:
        return await asyncio.wrap_future(self._thread.submit(work))
