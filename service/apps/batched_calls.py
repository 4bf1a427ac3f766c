"""Short calls of many sessions, some of them in one turn of a worker thread.

A call on a thread costs two switches of threads and a turn of the event loop, which is more than a short
callback takes. Where many sessions are told of one thing, sixteen of them share that. Each call has its own
context and its session's lock, and is over for its session as soon as the event loop has heard of it.

One that takes long must not hold up the others: what has not begun by then is taken back from the thread, and
from there on each session is told by itself.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextvars import Context
from functools import partial
from typing import Any, Protocol

from service.apps.execution import Execution
from service.apps.raised import as_exception
from service.apps.worker_pool import Job
from service.errors import AppCodeAbandoned

__all__ = ("Call", "Notified", "batches_end", "notify_in_batches")

BATCH_SIZE = 16
"""Calls in one turn of a thread. More would hold up the event loop for longer, and save little."""

SLOW_CALL_SECONDS = 0.02
"""After which calls that have not begun wait for no other one any longer."""


class Notified(Protocol):
    """Somebody who has to be told something."""

    def call(self) -> Call | None:
        """What tells it, now, on a thread beside others. None where it has to be told by itself."""

    def schedule(self) -> None:
        """Tell it by itself, soon."""


class Call:
    """``func()`` on a thread, in ``context``, which nobody else uses.

    ``ended`` is told on the event loop, in the same context, when it is over, or is not made after all.
    """

    __slots__ = ("_context", "_ended", "_func", "_unbegun", "error", "execution", "over", "result", "seconds")

    def __init__(
        self, execution: Execution, func: Callable[[], Any], context: Context, ended: Callable[[Call], None]
    ) -> None:
        self.execution = execution
        self.over = False
        """It was made."""
        self.seconds = 0.0
        self.result: Any = None
        self.error: Exception | None = None
        self._func, self._context, self._ended = func, context, ended
        self._unbegun = [None]
        """Taken out by who is first: the thread that makes the call, or the event loop that takes it back."""

    def take(self) -> bool:
        """Whether it has not begun; then it is the caller's."""
        try:
            self._unbegun.pop()
        except IndexError:
            return False
        return True

    def make(self) -> None:
        """On the thread."""
        began = time.monotonic()
        try:
            # A copy: code that does not return may still be in it when the event loop ends this.
            self.result = self._context.copy().run(self.execution.call_on_thread, self._func)
        except BaseException as error:  # noqa: BLE001 - it is the session's, as if it were called by itself
            self.error = as_exception(error)
        self.seconds = time.monotonic() - began
        self.over = True

    def end(self) -> None:
        """On the event loop: the session goes on."""
        self.execution.ended_on_thread(self.seconds)
        self._context.run(self._ended, self)


_under_way: set[asyncio.Task[Any]] = set()
"""Those that notify, of all event loops."""


async def batches_end(seconds: float) -> None:
    """Return when nobody is notified in batches on this event loop, after ``seconds`` in any case."""
    loop = asyncio.get_running_loop()
    if tasks := [each for each in tuple(_under_way) if each.get_loop() is loop]:
        await asyncio.wait(tasks, timeout=seconds)


async def notify_in_batches(told: Iterable[Notified]) -> None:
    """Tell all: those that can be told on a thread beside others so many at once, the others alone."""
    task = asyncio.current_task()
    assert task is not None
    _under_way.add(task)
    try:
        await _notify(deque(told))
    finally:
        _under_way.discard(task)


async def _notify(waiting: deque[Notified]) -> None:
    while waiting:
        calls: dict[Call, Notified] = {}
        while waiting and len(calls) < BATCH_SIZE:
            each = waiting.popleft()
            call = each.call()
            if call is None:
                each.schedule()
            else:
                calls[call] = each
        if left := await _make(list(calls)):
            # Perhaps more of them take long: nobody waits for another one from here on.
            for each in (*(calls[call] for call in left), *waiting):
                each.schedule()
            return
        await asyncio.sleep(0)  # others have their turn


async def _make(calls: list[Call]) -> list[Call]:
    """Make them on one thread; those that were taken back, as one before them takes long."""
    if not calls:
        return []
    try:
        job = calls[0].execution.share_thread(partial(_make_all, tuple(calls)))
    except AppCodeAbandoned:  # the server stops, and tells them so
        return _taken_back(calls)
    try:
        if not job.runs_at_once():
            await _through_or_slow(job, calls)
    finally:
        left = _taken_back(calls)
        _settle(calls, job)
    return left


def _make_all(calls: tuple[Call, ...]) -> None:
    """On the thread."""
    for call in calls:
        if call.take():
            call.make()


async def _through_or_slow(job: Job, calls: list[Call]) -> None:
    for call in calls:
        call.execution.begins_on_thread(job)
    begun = False
    while not (job.done() or begun):  # once it has begun it has that long, or longer
        begun = job.begun
        await asyncio.wait([job], timeout=SLOW_CALL_SECONDS)


def _taken_back(calls: list[Call]) -> list[Call]:
    """Those of ``calls`` that have not begun, and never will; they are none of those any more."""
    taken = [call for call in calls if call.take()]
    for call in taken:
        calls.remove(call)
        call.end()
    return taken


def _settle(calls: list[Call], job: Job) -> None:
    """End those that are over; the one that is not yet when it is, or when nobody waits for it any longer."""
    for call in tuple(calls):
        if job.done() and not call.over:
            call.error = AppCodeAbandoned("app code did not return in time")
        if call.over or call.error is not None:
            calls.remove(call)
            call.end()
    if calls:
        job.add_done_callback(partial(_settle, calls))
