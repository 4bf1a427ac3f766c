"""Work that runs beside everything else, and whose failures are logged rather than lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterable
from contextlib import asynccontextmanager
from contextvars import copy_context
from typing import Any

__all__ = ("begin", "beside", "end", "ends_within", "spawn")

log = logging.getLogger(__name__)

RECANCEL_SECONDS = 0.1
"""Seconds after which a task that did not end is cancelled again."""

_tasks: set[asyncio.Task[Any]] = set()
"""asyncio keeps only weak references to tasks."""


def spawn(work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    """Run ``work`` on the current event loop, and log what it raises."""
    task = asyncio.get_running_loop().create_task(work)
    _tasks.add(task)
    task.add_done_callback(_finished)
    return task


def begin(work: Coroutine[Any, Any, None]) -> asyncio.Task[None] | None:
    """Run ``work`` as far as it goes without waiting; the task that goes on with it, if it has to.

    Until then it is no task. Raises what it raises in that part. (From Python 3.12 on there are eager tasks.)
    """
    context = copy_context()
    try:
        waits_for = context.run(work.send, None)
    except StopIteration:
        return None
    task = asyncio.get_running_loop().create_task(_go_on(work, waits_for), context=context)
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
    return task


async def _go_on(work: Coroutine[Any, Any, None], waits_for: Any) -> None:
    await _Started(work, waits_for)


class _Started:
    """Awaits a coroutine that waits for something already."""

    def __init__(self, work: Coroutine[Any, Any, None], waits_for: Any) -> None:
        self._work = work
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, None]:
        step: Callable[[Any], Any] = self._work.send
        try:
            argument: Any = yield self._waits_for
        except GeneratorExit:
            self._work.close()
            raise
        except BaseException as error:  # noqa: BLE001 - it is for the coroutine to deal with
            step, argument = self._work.throw, error
        while True:
            try:
                waits_for = step(argument)
            except StopIteration:
                return
            try:
                step, argument = self._work.send, (yield waits_for)
            except GeneratorExit:
                self._work.close()
                raise
            except BaseException as error:  # noqa: BLE001 - as above
                step, argument = self._work.throw, error


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel ``tasks``; return when they have ended.

    Cancels until they do: a library on the way may swallow a cancellation (the embedded store's does now
    and then, with Python 3.11), and a loop that goes on would keep the server from stopping.
    """
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=RECANCEL_SECONDS)


async def ends_within(seconds: float, work: Coroutine[Any, Any, None]) -> bool:
    """Whether ``work`` ended in time. Else it is cancelled, and a thread that goes on is not waited for.

    Raises what it raises.
    """
    task = asyncio.get_running_loop().create_task(work)
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
    await asyncio.wait([task], timeout=seconds)
    if task.done():
        task.result()
        return True
    task.cancel()
    return False


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
