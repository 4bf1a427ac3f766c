"""What app code has of jobs: submitting them, finding them again, reading and cancelling them."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from hashlib import blake2b
from typing import Any, ParamSpec

from bokeh.document import Document
from bokeh.io import curdoc

from service.apps.contexts import AppSessionContext, current_app
from service.fleet.app_calls import context_of, refuse_on_event_loop
from service.fleet.job_following import OnDone, OnProgress, follower_of
from service.fleet.job_functions import name_of_function, options_of
from service.fleet.job_queue import AppJobs
from service.fleet.job_status import JobStatus, pack_value, read_status, unpack_value
from service.fleet.local_copies import LocalCopy
from store.contract import Store
from store.jobs import JobRecord, JobState, JobSubmission

__all__ = ("Job", "asubmit", "asubmit_once", "find_job", "jobs", "submit", "submit_once")

P = ParamSpec("P")

MAX_ARGUMENT_BYTES = 2**20
"""Bytes, packed."""

MAX_KEY_LENGTH = 200
"""Characters."""

MAX_REMEMBERED_JOBS = 100
"""Jobs that a session remembers; the first ones go when there are more."""

MADE, COUNT = "fleet.jobs", "fleet.jobs count"
"""Where a session's state has what it has submitted, lists of id and digest, and how many that were."""


# -- submitting --------------------------------------------------------------------------------------


def submit(func: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> Job:
    """Let a worker of the fleet run ``func(*args, **kwargs)``, a function that is marked with ``@fleet.job``.

    It is run at least once: again, if its worker dies. Arguments and result are None, bool, int (64 bit),
    float, str, bytes, and lists and dicts of those; tuples become lists. Arguments have 1 MiB at most.

    Where a session moves, callbacks run once more for what its user entered; a job that such a callback
    submits is the one that it has submitted before.

    Waits for Redis; on an event loop (coroutines, ``--app-threads 0``, ``run_on_loop``) it raises
    RuntimeError: await :func:`asubmit` there. Raises FleetUnavailable when Redis does not answer, FleetFull
    when too many jobs wait, TypeError for a function that is no job and for other arguments, RuntimeError
    outside of an app that ``svc serve`` or ``svc worker`` runs.
    """
    refuse_on_event_loop("fleet.asubmit")
    with _Submission(func, args, kwargs) as order:
        if not order.known:
            order.jobs.thread.wait(order.place)
        return order.done()


async def asubmit(func: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> Job:
    """As :func:`submit`, for coroutines."""
    with _Submission(func, args, kwargs) as order:
        if not order.known:
            await order.jobs.thread.awaited(order.place)
        return order.done()


def submit_once(key: str, func: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> Job:
    """As :func:`submit`, unless there is a job of that ``key`` and function already: then it is that one.

    So a page can ask for it whenever it is built: who comes back finds the job, or its result, for as long
    as it is kept. What is somebody's own has their name in the key. A job that failed is found as well;
    :meth:`Job.forget` lets the next call begin anew.

    On an event loop it finds one that is there, and raises RuntimeError where it would have to submit it:
    await :func:`asubmit_once` there.
    """
    with _Submission(func, args, kwargs, key=_checked_key(key)) as order:
        if not order.exists():
            refuse_on_event_loop("fleet.asubmit_once")
            order.jobs.thread.wait(order.place)
        return order.done()


async def asubmit_once(key: str, func: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> Job:
    """As :func:`submit_once`, for coroutines."""
    with _Submission(func, args, kwargs, key=_checked_key(key)) as order:
        await order.jobs.thread.awaited(order.place)
        return order.done()


def find_job(job_id: str) -> Job:
    """The job with that :attr:`Job.id`. Of one that nobody knows (any more) the state is ``lost``."""
    return Job(_jobs_of_app(), job_id)


def jobs() -> list[Job]:
    """What this session has submitted, oldest first, wherever it was by then.

    For the code that builds the session, which follows them again when it has moved. Raises RuntimeError
    outside of a session.
    """
    context, app = context_of(None, "this"), _jobs_of_app()
    return [Job(app, job_id) for job_id, _ in _made(context)]


class _Submission:
    """One call of :func:`submit` or :func:`submit_once`."""

    def __init__(self, func: Callable[..., Any], args: Any, kwargs: Any, *, key: str = "") -> None:
        options = options_of(func)
        self.jobs = _jobs_of_app()
        function = name_of_function(func, self.jobs.app.imports)
        arguments = _packed([list(args), kwargs])
        context = curdoc().session_context
        self._context = context if isinstance(context, AppSessionContext) else None
        self._digest = _digest(function.encode(), arguments)
        self.known = "" if key else self._repeated()
        """The job that this very call has submitted before its session came here."""
        self._id = self.known or (_digest(b"key", function.encode(), key.encode()) if key else self._new_id())
        self._copy = self.jobs.copy()
        if self._context is not None:
            follower_of(self._context, self.jobs).placing.add(self._id)
        self._job = JobSubmission(
            self.jobs.name(self._id), function, arguments,
            options.attempts, options.time_limit, options.retention,
        )  # fmt: skip

    def __enter__(self) -> _Submission:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._context is not None:
            follower_of(self._context, self.jobs).placing.discard(self._id)

    def exists(self) -> bool:
        """Whether it is there already, as this replica knows. May wait for the store."""
        if not self._copy.loaded:
            self.jobs.thread.wait(lambda store: self.jobs.values.load(store, self._copy))
        return self._copy.current(self._id) is not None

    async def place(self, store: Store) -> None:
        await self.jobs.submit(store, self._copy, self._job)

    def done(self) -> Job:
        if self._context is not None and not self.known:
            made = _made(self._context)
            if all(job_id != self._id for job_id, _ in made):
                self._context.state.hide(MADE, [*made, [self._id, self._digest]][-MAX_REMEMBERED_JOBS:])
                self._context.state.hide(COUNT, _count(self._context) + 1)
        return Job(self.jobs, self._id, self._copy)

    def _repeated(self) -> str:
        if self._context is None or not self._context.repeating:
            return ""
        found = follower_of(self._context, self.jobs).repeated
        left = (each for each, digest in _made(self._context) if digest == self._digest and each not in found)
        job_id = next(left, "")
        found.add(job_id)
        return job_id

    def _new_id(self) -> str:
        if self._context is None:
            return secrets.token_hex(16)
        # The same where the session goes back to before it, as when its replica dies right now, and where
        # somebody tries again because Redis did not answer. Others are on their way at the same time.
        taken = follower_of(self._context, self.jobs).placing | {each for each, _ in _made(self._context)}
        count = _count(self._context)
        while (job_id := self._numbered(str(self._context.id), count)) in taken:
            count += 1
        return job_id

    def _numbered(self, session: str, number: int) -> str:
        return _digest(b"session", session.encode(), str(number).encode(), self._digest.encode())


def _count(context: AppSessionContext) -> int:
    """Jobs that the session has submitted."""
    return int(context.state.hidden(COUNT) or 0)


def _made(context: AppSessionContext) -> list[list[str]]:
    return list(context.state.hidden(MADE) or [])


# -- one job -----------------------------------------------------------------------------------------


class Job:
    """A job, seen from app code. Made by :func:`submit` and the like; what it says is a tenth of a second
    old at most, but for the first time that a replica reads it, which waits for Redis."""

    def __init__(self, jobs: AppJobs, job_id: str, copy: LocalCopy | None = None) -> None:
        self.id = job_id
        """Finds it again: :func:`find_job`. Who knows it can read the result and cancel the job."""
        self._jobs = jobs
        self._copy = copy or jobs.copy()
        self._record: JobRecord | None = None

    def __repr__(self) -> str:
        return f"<fleet.Job {self.id}>"

    @property
    def state(self) -> str:
        """``queued``, ``running``, ``done``, ``failed``, ``cancelled``, or ``lost`` where nobody knows it."""
        return str(self._status.state)

    @property
    def over(self) -> bool:
        """Whether nothing more will become of it."""
        return self._status.over

    @property
    def fraction(self) -> float:
        """How far it is, from 0 to 1, as it says itself: see :func:`progress`."""
        return self._status.fraction

    @property
    def text(self) -> str:
        """What it says of how far it is."""
        return self._status.text

    @property
    def attempt(self) -> int:
        """How often it was begun."""
        return self._status.attempt

    @property
    def error(self) -> str:
        """What it raised last, or why it failed; empty when nothing went wrong."""
        return self._status.error

    @property
    def result(self) -> Any:
        """What the function has returned; None while it is not ``done``.

        Waits for Redis if it was not read yet; in ``on_done`` it was. Raises FleetUnavailable.
        """
        if self._status.state != JobState.DONE:
            return None
        if self._record is None:
            self.knows(self._jobs.thread.wait(lambda store: store.jobs.read(self._jobs.name(self.id))))
        record = self._record
        return None if record is None or record.result is None else unpack_value(record.result)

    def knows(self, record: JobRecord | None) -> None:
        """What it has come to, which was just read."""
        self._record = record

    def cancel(self) -> bool:
        """Let nobody run it any more; its function is stopped (:class:`JobStopped`) within about a second.

        False where it was over already. Waits for Redis, and raises as :func:`submit` does.
        """
        refuse_on_event_loop("acancel")
        return self._jobs.thread.wait(self._cancel)

    async def acancel(self) -> bool:
        """As :meth:`cancel`, for coroutines."""
        return await self._jobs.thread.awaited(self._cancel)

    def forget(self) -> None:
        """Forget a job that is over, and its result. Waits for Redis as :meth:`cancel` does."""
        refuse_on_event_loop("aforget")
        self._jobs.thread.wait(self._forget)

    async def aforget(self) -> None:
        """As :meth:`forget`, for coroutines."""
        await self._jobs.thread.awaited(self._forget)

    def on_progress(self, callback: OnProgress, *, document: Document | None = None) -> None:
        """Call ``callback(fraction, text)`` under this session's lock when the job gets on, from now on.

        To be called each time that the app's code builds a session (for each of ``fleet.jobs()``), or by a
        callback; when the session has moved or slept, it is told how far the job is by then. Of what follows
        each other quickly only the last may be told. The callback may be a coroutine function.

        ``document`` is the session's; code on a thread that the app has begun must give it. Raises
        RuntimeError without one, FleetUnavailable when Redis does not answer.
        """
        self._follow(document, callback, None)

    def on_done(self, callback: OnDone, *, document: Document | None = None) -> None:
        """Call ``callback(job)`` under this session's lock when the job is over, whatever became of it.

        Once in the life of the session, also where that moves; at once if it is over already. Otherwise as
        :meth:`on_progress`.
        """
        self._follow(document, None, callback)

    def _follow(self, document: Document | None, progress: OnProgress | None, done: OnDone | None) -> None:
        follower = follower_of(context_of(document, "this"), self._jobs)
        follower.add_callbacks(self, progress, done)
        self._jobs.thread.wait(lambda store: follower.follow(store, self.id))

    async def _cancel(self, store: Store) -> bool:
        await self._jobs.values.load(store, self._copy)
        status = self._status_now
        cancelled = JobStatus(JobState.CANCELLED, status.fraction, status.text, status.attempt)
        had = await store.jobs.cancel(self._jobs.name(self.id), cancelled.packed())
        await self._jobs.refresh(store, self._copy)
        return had is not None and not had.over

    async def _forget(self, store: Store) -> None:
        await self._jobs.values.load(store, self._copy)
        await store.jobs.forget(self._jobs.name(self.id))
        await self._jobs.refresh(store, self._copy)

    @property
    def _status(self) -> JobStatus:
        copy = self._copy
        if not copy.loaded:
            self._jobs.thread.wait(lambda store: self._jobs.values.load(store, copy))
        return self._status_now

    @property
    def _status_now(self) -> JobStatus:
        entry = self._copy.current(self.id)
        return read_status(None if entry is None else entry.packed)


def _jobs_of_app() -> AppJobs:
    app = current_app.get()
    found = None if app is None else app.jobs
    if not isinstance(found, AppJobs):
        raise RuntimeError(
            "jobs belong to an app that svc serve or svc worker runs: submit them in the app's code"
        )
    return found


def _packed(arguments: Any) -> bytes:
    try:
        packed = pack_value(arguments)
    except TypeError as error:
        raise TypeError(f"these arguments cannot be given to a job: {error}") from None
    if len(packed) > MAX_ARGUMENT_BYTES:
        raise ValueError(
            f"the arguments of a job have {MAX_ARGUMENT_BYTES} bytes at most, not {len(packed)}: "
            "tell it where to find them"
        )
    return packed


def _checked_key(key: str) -> str:
    if not isinstance(key, str):
        raise TypeError(f"a key is text, not {type(key).__name__}")
    if not 0 < len(key) <= MAX_KEY_LENGTH:
        raise ValueError(f"a key has 1 to {MAX_KEY_LENGTH} characters, not {len(key)}")
    return key


def _digest(*parts: bytes) -> str:
    digest = blake2b(digest_size=16)
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()
