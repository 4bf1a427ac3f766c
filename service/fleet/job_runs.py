"""One run of a job's function in this process: what it sees of itself, and how it is stopped."""

from __future__ import annotations

import ctypes
import inspect
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import ContextVar
from typing import Any

from service.fleet.job_status import MAX_TEXT_LENGTH

__all__ = ("CurrentJob", "JobStopped", "JobThread", "as_coroutine", "current_job", "progress")


class JobStopped(BaseException):
    """Raised in the function of a job that was cancelled, took too long, or whose worker stops.

    On its thread between two steps of Python code, not while that is in C code; and by ``fleet.progress()``.
    No Exception, so that ``except Exception`` does not stop it.
    """


class CurrentJob:
    """The job whose function runs: see :func:`current_job`. Its methods can be called on any thread."""

    def __init__(self, job_id: str, fence: int, attempt: int, changed: Callable[[], object]) -> None:
        self.id = job_id
        """The same for each attempt: an idempotency key for what the job does elsewhere."""
        self.fence = fence
        """Grows with each run of the job. What the run writes elsewhere should carry it, and be refused there
        once something with a higher one was written: a worker that was frozen goes on without knowing that it
        was replaced."""
        self.attempt = attempt
        """1 for the first."""
        self.stopped = ""
        """Why the run is to end; empty while it is not."""
        self.reported: tuple[float, str] = (0.0, "")
        self._changed = changed

    def progress(self, fraction: float, text: str = "") -> None:
        """See :func:`progress`."""
        if self.stopped:
            raise JobStopped(self.stopped)
        if not 0 <= fraction <= 1:
            raise ValueError(f"progress is between 0 and 1, not {fraction!r}")
        reported = float(fraction), str(text)[:MAX_TEXT_LENGTH]
        if reported != self.reported:
            self.reported = reported
            self._changed()


_current: ContextVar[CurrentJob | None] = ContextVar("current_job", default=None)


def current_job() -> CurrentJob:
    """The job whose function calls this. Raises RuntimeError elsewhere.

    On a thread of your own it is not known: ask before you start it, and hand it on.
    """
    found = _current.get()
    if found is None:
        raise RuntimeError("this is no job: only a function that a worker runs, on its own thread, can ask")
    return found


def progress(fraction: float, text: str = "") -> None:
    """Say how far the job is (0 to 1), from inside of its function. Costs a microsecond; what sessions see
    of it is a tenth of a second older at times.

    Raises JobStopped when the job is to end, ValueError for other numbers, RuntimeError outside of a job.
    """
    current_job().progress(fraction, text)


class JobThread:
    """Runs ``call`` on a thread of its own; what comes of it is in ``future``."""

    def __init__(self, current: CurrentJob, call: Callable[[], Any]) -> None:
        self.future: Future[Any] = Future()
        self._current = current
        self._call = call
        self._lock = threading.Lock()
        self._running = False
        self._thread = threading.Thread(target=self._run, name=f"svc job {current.id[:8]}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Raise JobStopped there, between two steps of Python code."""
        with self._lock:
            if self._running and self._thread.ident is not None:
                ident = ctypes.c_ulong(self._thread.ident)
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, ctypes.py_object(JobStopped))

    def _run(self) -> None:
        try:
            self._settle()
        except JobStopped as error:  # it was raised here, just after the function has ended
            if not self.future.done():
                self.future.set_exception(error)

    def _settle(self) -> None:
        try:
            try:
                result = self._work()
            finally:
                with self._lock:
                    self._running = False
        except BaseException as error:  # noqa: BLE001 - it is looked at where the result is awaited
            self.future.set_exception(error)
        else:
            self.future.set_result(result)

    def _work(self) -> Any:
        _current.set(self._current)
        with self._lock:
            self._running = True
        if self._current.stopped:
            raise JobStopped(self._current.stopped)
        return self._call()


def as_coroutine(current: CurrentJob, func: Callable[..., Any]) -> Callable[..., Any]:
    """``func``, which is a coroutine function, knowing of the job."""

    async def call(*args: Any, **kwargs: Any) -> Any:
        _current.set(current)
        result = func(*args, **kwargs)
        return await result if inspect.isawaitable(result) else result

    return call
