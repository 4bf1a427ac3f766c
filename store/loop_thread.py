"""A thread with an event loop of its own, for what must not wait for the server's."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

__all__ = ("LoopThread",)

T = TypeVar("T")

STOP_SECONDS = 2.0
"""For what is under way at the end, and for what ends with it; then nobody waits any longer."""


class LoopThread:
    """Lives from :meth:`start` to :meth:`stop`, at whose end it awaits ``last()``."""

    def __init__(self, name: str, last: Callable[[], Awaitable[None]]) -> None:
        self._last = last
        self._loop: asyncio.AbstractEventLoop
        self._thread = threading.Thread(target=self._live, name=name, daemon=True)

    def start(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread.start()

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run ``work`` there. On any thread."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def stop(self) -> None:
        """Call off what is under way. Waits until the thread has ended, but not for ever."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(STOP_SECONDS)

    def _live(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.run_until_complete(self._end())
            self._loop.close()

    async def _end(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=STOP_SECONDS / 2)
        await self._last()
