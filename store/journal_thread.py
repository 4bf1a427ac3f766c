"""Journal writes of a store, on a thread with an event loop and connections of its own.

A round trip takes many turns of an event loop, and each may last as long as the code of all sessions that
is due in it. Where that is slow, journals would be late by seconds, and attempts time out though Redis
answers.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from store.contract import JournalWrite, PageRequest, SessionKey, Store, Written

__all__ = ("JournalThread",)

T = TypeVar("T")


class JournalThread:
    """:class:`store.contract.Journals`, from :meth:`start` to :meth:`close`.

    ``store`` is used on that thread alone, and closed with it. What its operations raise is raised here.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._loop: asyncio.AbstractEventLoop
        self._thread: threading.Thread

    def start(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="journals", daemon=True)
        self._thread.start()

    async def close(self) -> None:
        await self._there(self._store.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        await asyncio.to_thread(self._thread.join)
        self._loop.close()

    async def write_journals(self, replica: str, writes: Sequence[JournalWrite]) -> list[Written]:
        return await self._there(self._store.write_journals(replica, writes))

    async def reassert(self, key: SessionKey, replica: str, *, epoch: int, request: PageRequest) -> Written:
        return await self._there(self._store.reassert(key, replica, epoch=epoch, request=request))

    async def _there(self, work: Coroutine[Any, Any, T]) -> T:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))
