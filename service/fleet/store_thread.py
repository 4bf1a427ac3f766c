"""A thread with an event loop for what app code asks the store while it waits, begun when first asked.

So code on any thread can wait for the store, and a replica whose apps share nothing pays nothing.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextvars import Context
from typing import Any, TypeVar

from service.errors import FleetUnavailable
from store.contract import Store
from store.errors import StoreError
from store.loop_thread import LoopThread

__all__ = ("StoreThread", "on_event_loop")

T = TypeVar("T")

MAX_WAIT_SECONDS = 10.0
"""How long app code waits at most; the store gives up earlier, unless many write the same value."""

MAX_LOOP_WAIT_SECONDS = 1.0
"""The same for code on an event loop, which reads something for the first time."""

STOPPING_MESSAGE = "this replica stops, and shares nothing any more"


def on_event_loop() -> bool:
    """Whether this thread runs an event loop, which must not wait."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


class StoreThread:
    """``open_store`` gives a store for another event loop, which is closed with it."""

    def __init__(self, open_store: Callable[[], Store]) -> None:
        self._open_store = open_store
        self._lock = threading.Lock()
        self._thread: LoopThread | None = None
        self._store: Store | None = None
        self._closed = False

    @property
    def begun(self) -> bool:
        return self._thread is not None

    def submit(self, work: Callable[[Store], Coroutine[Any, Any, T]]) -> Future[T]:
        """Run ``work`` there. Raises FleetUnavailable once it is closed."""
        with self._lock:
            if self._closed:
                raise FleetUnavailable(STOPPING_MESSAGE)
            thread = self._thread or self._begin()
            # Whoever else hears of it there must not take it for code of the session that has asked.
            return Context().run(thread.submit, self._told(work))

    def wait(self, work: Callable[[Store], Coroutine[Any, Any, T]]) -> T:
        """The result of ``work``; this thread waits for it. Raises what that raises, and FleetUnavailable."""
        future = self.submit(work)
        patience = MAX_LOOP_WAIT_SECONDS if on_event_loop() else MAX_WAIT_SECONDS
        try:
            return future.result(patience)
        except FutureTimeout:
            future.cancel()
            raise FleetUnavailable(f"not done within {patience:g} s") from None
        except CancelledError:
            raise FleetUnavailable(STOPPING_MESSAGE) from None

    async def awaited(self, work: Callable[[Store], Coroutine[Any, Any, T]]) -> T:
        """As :meth:`wait`, for coroutines."""
        task = asyncio.current_task()
        try:
            async with asyncio.timeout(MAX_WAIT_SECONDS):
                return await asyncio.wrap_future(self.submit(work))
        except TimeoutError:
            raise FleetUnavailable(f"not done within {MAX_WAIT_SECONDS:g} s") from None
        except asyncio.CancelledError:
            if task is not None and task.cancelling():
                raise
            raise FleetUnavailable(STOPPING_MESSAGE) from None

    def close(self) -> None:
        """What is under way is called off. Waits until the thread has ended, but not for ever."""
        with self._lock:
            self._closed = True
        if self._thread is not None:
            self._thread.stop()

    async def _told(self, work: Callable[[Store], Awaitable[T]]) -> T:
        assert self._store is not None
        try:
            return await work(self._store)
        except StoreError as error:
            raise FleetUnavailable(str(error)) from error

    def _begin(self) -> LoopThread:
        self._store = self._open_store()
        self._thread = LoopThread("fleet values", self._store.close)
        self._thread.start()
        return self._thread
