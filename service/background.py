"""Work that runs beside everything else, and whose failures are logged rather than lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any

__all__ = ("beside", "end", "spawn")

log = logging.getLogger(__name__)

AGAIN = 0.1
"""Seconds after which a task that did not end is cancelled again."""

_tasks: set[asyncio.Task[Any]] = set()
"""asyncio keeps only weak references to tasks."""


def spawn(work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    """Run ``work`` on the current event loop, and log what it raises."""
    task = asyncio.get_running_loop().create_task(work)
    _tasks.add(task)
    task.add_done_callback(_finished)
    return task


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel ``tasks``; return when they have ended.

    Cancels until they do: a library on the way may swallow a cancellation (the embedded store's does now
    and then, with Python 3.11), and a loop that goes on would keep the server from stopping.
    """
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=AGAIN)


@asynccontextmanager
async def beside(*work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """``work`` runs beside what is inside."""
    tasks = [spawn(each) for each in work]
    try:
        yield
    finally:
        await end(tasks)


def _finished(task: asyncio.Task[Any]) -> None:
    _tasks.discard(task)
    if not task.cancelled() and task.exception() is not None:
        log.error("background work failed", exc_info=task.exception())
