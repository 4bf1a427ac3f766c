"""One attempt at a job: its lease is renewed while its function runs, and its end is written, fenced.

On the store's thread; the function runs on a thread of its own, or on the app's event loop.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from functools import partial
from typing import Any

from service.apps.app import App
from service.apps.execution import is_coroutine_function
from service.apps.frames import exc_info_of_app
from service.fleet.job_functions import JobOptions
from service.fleet.job_runs import CurrentJob, JobThread, as_coroutine
from service.fleet.job_status import MAX_TEXT_LENGTH, JobStatus, pack_value, unpack_value
from service.limits import MAX_RESULT_BYTES
from service.timings import JOB_LEASE_SECONDS, JOB_RENEW_SECONDS
from store.contract import Store
from store.errors import RecordError, StoreError
from store.jobs import JobEnd, JobRun, JobState, Renewed

__all__ = ("Attempt",)

log = logging.getLogger(__name__)

PROGRESS_SECONDS = 0.1
"""Between two writes of how far it is."""

STOPPING_SECONDS = 5.0
"""How long a function that was told to stop may go on before it counts as stuck."""

LEAVING_SECONDS = 1.0
"""The same where its process ends."""

WRITE_SECONDS = 600.0
"""How long an end is kept that the store does not take."""

MAX_PAUSE_SECONDS = 60.0
"""Before what has failed is tried again."""

CANCELLED_REASON = "the job was cancelled"
REPLACED_REASON = "another worker runs the job by now"
TIME_LIMIT_REASON = "it took longer than its time limit of {:g} s"
WORKER_STOPPING_REASON = "the worker stops"


class Attempt:
    """``ended`` is told the outcome and the seconds; ``stuck`` is called where the function does not stop."""

    def __init__(
        self,
        app: App,
        loop: asyncio.AbstractEventLoop,
        worker: str,
        run: JobRun,
        func: Callable[..., Any],
        options: JobOptions,
        ended: Callable[[str, float], None],
        stuck: Callable[[], None],
    ) -> None:
        self._app = app
        self._loop = loop
        self._worker = worker
        self._run = run
        self._func = func
        self._options = options
        self._ended = ended
        self._stuck = stuck
        self._changed = asyncio.Event()
        """How far it is, or why it shall stop."""
        own = asyncio.get_running_loop()
        self._current = CurrentJob(
            run.job.name.id, run.fence, run.attempt, partial(own.call_soon_threadsafe, self._changed.set)
        )
        self._interrupt: Callable[[], Any] = lambda: None
        self._told_to_stop = 0.0
        self._written: tuple[float, str] = (0.0, "")
        self._away = False
        self._facts = {"app": run.job.name.app}
        self._name = f"{run.job.function} {run.job.name.id[:8]}"

    def hand_back(self) -> None:
        """The process ends: let another worker begin it again, at once."""
        self._stop(WORKER_STOPPING_REASON)

    async def live(self, store: Store) -> None:
        began = time.monotonic()
        outcome = "lost"
        try:
            work = self._start()
            work.add_done_callback(_look)  # what a stopped function raises is nobody's business
            await self._renew_while(store, work, began)
            outcome = await self._end(store, work)
        finally:
            self._ended(outcome, time.monotonic() - began)

    # -- the function --------------------------------------------------------------------------

    def _start(self) -> asyncio.Future[Any]:
        try:
            args, kwargs = unpack_value(self._run.job.arguments)
        except (RecordError, TypeError, ValueError) as error:  # nobody of us has written them
            work = asyncio.get_running_loop().create_future()
            work.set_exception(error)
            return work
        return asyncio.wrap_future(self._begin(args, kwargs))

    def _begin(self, args: list[Any], kwargs: dict[str, Any]) -> Future[Any]:
        if is_coroutine_function(self._func):
            coroutine = self._app.run(as_coroutine(self._current, self._func), *args, **kwargs)
            future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
            self._interrupt = future.cancel
            return future
        thread = JobThread(self._current, self._app.own_call(self._func, *args, **kwargs))
        self._interrupt = thread.stop
        thread.start()
        return thread.future

    def _stop(self, why: str) -> None:
        if not self._current.stopped:
            self._current.stopped = why
            self._told_to_stop = time.monotonic()
            self._interrupt()
            self._changed.set()

    # -- while it runs -------------------------------------------------------------------------

    async def _renew_while(self, store: Store, work: asyncio.Future[Any], began: float) -> None:
        deadline = began + self._options.time_limit
        while not work.done():
            changed = asyncio.ensure_future(self._changed.wait())
            left = (
                JOB_RENEW_SECONDS
                if self._current.stopped
                else min(JOB_RENEW_SECONDS, deadline - time.monotonic())
            )
            await asyncio.wait([work, changed], timeout=max(0.0, left), return_when=asyncio.FIRST_COMPLETED)
            changed.cancel()
            self._changed.clear()
            if work.done():
                return
            if time.monotonic() >= deadline:
                self._stop(TIME_LIMIT_REASON.format(self._options.time_limit))
            await self._renew(store)
            if self._is_stuck():
                return
            await asyncio.wait([work], timeout=PROGRESS_SECONDS)

    def _is_stuck(self) -> bool:
        """Whether nobody waits for the function any more."""
        stops = self._current.stopped is WORKER_STOPPING_REASON
        patience = LEAVING_SECONDS if stops else STOPPING_SECONDS
        if not self._told_to_stop or time.monotonic() - self._told_to_stop < patience:
            return False
        if stops:  # it ends with the process
            return True
        log.error("the job %s goes on although it was told to stop: %s", self._name, self._current.stopped,
                  extra=self._facts)  # fmt: skip
        self._stuck()
        return True

    async def _renew(self, store: Store) -> None:
        reported = self._current.reported
        status = self._status(JobState.RUNNING).packed() if reported != self._written else None
        try:
            found = await store.jobs.renew(self._run, status, lease=JOB_LEASE_SECONDS)
            if found is Renewed.GONE:
                log.warning("the store lost the job %s: putting it back", self._name, extra=self._facts)
                await self._put_back(store)
        except StoreError as error:
            self._note(error)
            return
        self._note(None)
        self._written = reported
        if found is Renewed.CANCELLED:
            self._stop(CANCELLED_REASON)
        elif found is Renewed.STALE:
            self._stop(REPLACED_REASON)

    async def _put_back(self, store: Store) -> None:
        status = self._status(JobState.RUNNING).packed()
        await store.jobs.put_back(self._run, self._worker, status, lease=JOB_LEASE_SECONDS)

    # -- how it ends ---------------------------------------------------------------------------

    async def _end(self, store: Store, work: asyncio.Future[Any]) -> str:
        """The outcome, as it is counted."""
        why = self._current.stopped
        if why in (CANCELLED_REASON, REPLACED_REASON):
            log.info("the job %s was stopped: %s", self._name, why, extra=self._facts)
            return "cancelled" if why is CANCELLED_REASON else "lost"
        if why and not (work.done() and _is_result(work)):
            return await (self._give_back(store) if why is WORKER_STOPPING_REASON else self._fail(store, why))
        if not _is_result(work):
            return await self._failed(store, _error_of(work))
        return await self._succeed(store, work.result())

    async def _succeed(self, store: Store, result: Any) -> str:
        try:
            packed = pack_value(result)
        except TypeError as error:
            return await self._fail(store, f"its result cannot be kept: {error}")
        if len(packed) > MAX_RESULT_BYTES:
            return await self._fail(
                store, f"its result has {len(packed)} bytes, more than {MAX_RESULT_BYTES}"
            )
        status = JobStatus(JobState.DONE, 1.0, self._current.reported[1], self._run.attempt)
        ended = await self._write(
            store, lambda: store.jobs.end(self._run, JobState.DONE, status.packed(), result=packed)
        )
        if ended is JobEnd.FULL:
            return await self._fail(store, "its result is too much beside those of the app's other jobs")
        return "done" if ended is JobEnd.OK else "lost"

    async def _failed(self, store: Store, error: BaseException) -> str:
        text = f"{type(error).__name__}: {error}"
        again = isinstance(error, self._options.retry) and self._run.attempt < self._run.job.attempts
        level = logging.WARNING if again else logging.ERROR
        log.log(level, "the job %s failed", self._name, exc_info=exc_info_of_app(error), extra=self._facts)
        if not again:
            return await self._fail(store, text)
        pause = min(2.0**self._run.attempt, MAX_PAUSE_SECONDS)
        return await self._give_back(store, self._run.attempt, pause, text)

    async def _give_back(
        self, store: Store, attempt: int | None = None, delay: float = 0.0, error: str = ""
    ) -> str:
        """It is run again; what only its worker is to blame for does not count."""
        counts = self._run.attempt - 1 if attempt is None else attempt
        status = JobStatus(JobState.QUEUED, *self._current.reported, counts, _short(error))
        await self._write(
            store,
            lambda: store.jobs.hand_back(
                self._run, status.packed(), attempt=counts, delay=delay, error=_short(error)
            ),
        )
        return "handed_back" if attempt is None else "retried"

    async def _fail(self, store: Store, error: str) -> str:
        status = self._status(JobState.FAILED, _short(error)).packed()
        ended = await self._write(
            store, lambda: store.jobs.end(self._run, JobState.FAILED, status, error=_short(error))
        )
        return "failed" if ended is JobEnd.OK else "lost"

    async def _write(self, store: Store, write: Callable[[], Coroutine[Any, Any, JobEnd]]) -> JobEnd:
        """Until the store has it: hours of work may hang on it. Only who has the run can write it."""
        deadline = time.monotonic() + WRITE_SECONDS
        while True:
            try:
                ended = await write()
                if ended is not JobEnd.GONE:
                    return ended
                await self._put_back(store)
            except StoreError as error:
                if time.monotonic() > deadline:
                    raise
                self._note(error)
            await asyncio.sleep(PROGRESS_SECONDS)

    def _status(self, state: JobState, error: str = "") -> JobStatus:
        return JobStatus(state, *self._current.reported, self._run.attempt, error)

    def _note(self, error: StoreError | None) -> None:
        if error is not None and not self._away:
            log.warning("the job %s waits for the store: %s", self._name, error, extra=self._facts)
        self._away = error is not None


def _look(work: asyncio.Future[Any]) -> None:
    if not work.cancelled():
        work.exception()


def _is_result(work: asyncio.Future[Any]) -> bool:
    return not work.cancelled() and work.exception() is None


def _error_of(work: asyncio.Future[Any]) -> BaseException:
    return asyncio.CancelledError() if work.cancelled() else work.exception() or RuntimeError()


def _short(error: str) -> str:
    return " ".join(error.split())[:MAX_TEXT_LENGTH]
