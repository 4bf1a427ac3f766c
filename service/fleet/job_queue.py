"""Jobs: work of apps that outlives the page, the session and the replica that asked for it.

A job lies in the store. Each process that runs jobs asks what is due when it has room for one; the first gets
a lease with a fencing number, which it renews while the function runs. Whoever dies does not, and the next to
ask begins the job again, with a higher number.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import Future
from contextlib import asynccontextmanager
from typing import Any, Protocol

from service.apps.app import App
from service.background import beside
from service.errors import FleetFull
from service.fleet.job_attempts import Attempt
from service.fleet.job_functions import (
    any_imported,
    any_in_directory,
    find_function,
    imported_function,
    options_of,
)
from service.fleet.job_status import JobStatus, read_status
from service.fleet.local_copies import LocalCopy, SharedValues
from service.fleet.store_thread import StoreThread
from service.timings import JOB_LEASE_SECONDS
from store.contract import Store
from store.errors import StoreError
from store.jobs import DueJob, JobName, JobState, JobSubmission, JobSubmitted, statuses_of

__all__ = ("AppJobs", "JobCounts", "Jobs")

log = logging.getLogger(__name__)

POLL_SECONDS = 0.5
"""Between looks at what is due, where jobs are used."""

LOOK_SECONDS = 5.0
"""Between looks whether others have submitted jobs, where none was here; between those for lost ones."""

UNKNOWN_SECONDS = 30.0
"""Before a job is looked at again whose function was not here, or could not be imported."""

AWAY_SECONDS = 2.0
"""After the store did not answer."""

HAND_BACK_SECONDS = 3.0
"""Of the time to drain: what is left for handing back what did not end."""


class JobCounts(Protocol):
    """Who counts."""

    def job_ended(self, app: str, outcome: str, seconds: float) -> None: ...

    def job_begun_again(self, app: str) -> None: ...

    def jobs_run(self, number: int) -> None: ...

    def jobs_seen(self, app: str, unfinished: int) -> None: ...


class Jobs:
    """The jobs of a process. ``slots``: how many it runs at once; with 0 others run them.

    ``stuck`` is called when a function goes on although it was told to stop.
    """

    def __init__(
        self,
        thread: StoreThread,
        worker: str,
        *,
        slots: int,
        counts: JobCounts,
        in_fleet: bool = True,
        stuck: Callable[[], None] = lambda: None,
    ) -> None:
        self.thread = thread
        self._worker = worker
        self._slots = slots
        self._counts = counts
        self._in_fleet = in_fleet
        self._stuck = stuck
        self._apps: dict[str, AppJobs] = {}
        self._running: dict[Attempt, asyncio.Task[None]] = {}
        """On the store's thread."""
        self._stopping = self._away = False
        self._polling: Future[None] | None = None
        """Looks at what is due, once there may be something."""
        self._lock = threading.Lock()
        self._wakes: Callable[[], object] = lambda: None
        self._unknown: dict[str, float] = {}
        """Jobs whose functions are not here, and until when they are left to others."""
        self._said: set[str] = set()
        """Functions that are not here, as the log says."""

    def of(self, app: App, values: SharedValues) -> AppJobs:
        """Those of ``app``, whose code runs by this event loop."""
        found = self._apps[app.path] = AppJobs(self, app, values, asyncio.get_running_loop())
        return found

    # -- of the process, on its event loop -----------------------------------------------------

    @asynccontextmanager
    async def looking(self, store: Store) -> AsyncIterator[None]:
        """A process that nobody has submitted a job in looks now and then whether others have."""
        if not self._slots or not self._in_fleet:
            yield
            return
        async with beside(self._look(store)):
            yield

    async def _look(self, store: Store) -> None:
        spaces = [app.app.imports for app in self._apps.values()]
        have_jobs = await asyncio.to_thread(lambda: any(map(any_in_directory, spaces)))
        while self._polling is None:
            try:
                # Where no app has any, the store is not asked.
                if (have_jobs or any_imported()) and any(await store.jobs.waiting([*self._apps])):
                    self.needed()
            except StoreError as error:
                log.debug("cannot look for jobs: %s", error)
            await asyncio.sleep(LOOK_SECONDS)

    def needed(self) -> None:
        """There are jobs. On any thread."""
        with self._lock:
            if self._slots and self._polling is None and not self._stopping:
                self._polling = self.thread.submit(self._poll)
        self._wakes()

    def stop(self) -> None:
        """From here on no job begins here, but for one that is being taken from the store."""
        self._stopping = True
        self._wakes()

    async def ended(self, seconds: float) -> None:
        """Wait for what runs; what does not end in time is handed back."""
        if (polling := self._polling) is None:
            return
        patience = max(0.0, seconds - HAND_BACK_SECONDS) if self._in_fleet else 0.0
        await asyncio.wrap_future(self.thread.submit(lambda _: self._drain(polling, patience)))

    async def _drain(self, polling: Future[None], patience: float) -> None:
        # What it has just taken would otherwise begin after this, and end with the process.
        await asyncio.wait([asyncio.wrap_future(polling)], timeout=HAND_BACK_SECONDS)
        if self._running and patience:
            log.info("waiting for %d jobs", len(self._running))
            await asyncio.wait(self._running.values(), timeout=patience)
        if left := dict(self._running):
            then = "other workers begin them again" if self._in_fleet else "without --redis they are lost"
            log.warning("%d jobs did not end: %s", len(left), then)
            for each in left:
                each.hand_back()
            await asyncio.wait(left.values(), timeout=HAND_BACK_SECONDS)

    # -- on the store's thread -----------------------------------------------------------------

    async def _poll(self, store: Store) -> None:
        wake = asyncio.Event()
        loop = asyncio.get_running_loop()
        self._wakes = lambda: loop.is_closed() or loop.call_soon_threadsafe(wake.set)
        while not self._stopping:
            pause = await self._try_to_begin(store)
            try:
                async with asyncio.timeout(pause):
                    await wake.wait()
            except TimeoutError:
                pass
            wake.clear()

    async def _try_to_begin(self, store: Store) -> float:
        """How many seconds there is nothing to do then."""
        try:
            apps = list(self._apps.values())
            waiting = await store.jobs.waiting([app.app.path for app in apps])
            for app, number in zip(apps, waiting, strict=True):
                self._counts.jobs_seen(app.app.path, number)
                if number:
                    await self._begin_due(store, app)
        except StoreError as error:
            self._note(True, f"no job is begun, as the store is away: {error}")
            return AWAY_SECONDS
        except Exception:
            # Whatever it is, it must not stop here: nobody would begin again.
            log.exception("looking for jobs failed")
            return AWAY_SECONDS
        self._note(False, "the store is back: jobs are begun again")
        return POLL_SECONDS

    def _note(self, away: bool, text: str) -> None:
        if away != self._away:
            self._away = away
            log.log(logging.WARNING if away else logging.INFO, text)

    async def _begin_due(self, store: Store, app: AppJobs) -> None:
        if len(self._running) >= self._slots:
            return
        now = time.monotonic()
        self._unknown = {job: until for job, until in self._unknown.items() if until > now}
        for each in await store.jobs.due(app.app.path, without=self._unknown):
            func = await self._find(app, each) if each.function else None
            if self._stopping or len(self._running) >= self._slots:
                return
            if func is not None or not each.function:
                await self._begin(store, app, each, func)

    async def _find(self, app: AppJobs, job: DueJob) -> Callable[..., Any] | None:
        """One that is unknown here may be known to a worker with another version of the app."""
        try:
            if (func := await app.find(job.function)) is not None:
                return func
            why = "there is no such function with @fleet.job in the app's modules"
        except Exception as error:  # noqa: BLE001 - of the app's module, which is not ours
            why = f"importing its module failed: {type(error).__name__}: {error}"
        if job.function not in self._said:
            self._said.add(job.function)
            log.error(
                "this process cannot run the job %s: %s", job.function, why, extra={"app": app.app.path}
            )
        self._unknown[job.name.id] = time.monotonic() + UNKNOWN_SECONDS
        return None

    async def _begin(self, store: Store, app: AppJobs, due: DueJob, func: Callable[..., Any] | None) -> None:
        status = JobStatus(JobState.RUNNING, attempt=due.attempt + 1)
        call = secrets.token_hex(8)
        run = await store.jobs.begin(due, self._worker, status.packed(), call=call, lease=JOB_LEASE_SECONDS)
        if run is None:
            return
        if run.exhausted:
            error = f"it was begun {run.attempt} times, and its worker has died each time"
            failed = JobStatus(JobState.FAILED, attempt=run.attempt, error=error)
            await store.jobs.end(run, JobState.FAILED, failed.packed(), error=error)
            self._counts.job_ended(app.app.path, "failed", 0.0)
            return
        if run.attempt > 1:
            self._counts.job_begun_again(app.app.path)
        assert func is not None  # else there was nothing to run

        def ended(outcome: str, seconds: float) -> None:
            self._counts.job_ended(app.app.path, outcome, seconds)

        attempt = Attempt(app.app, app.loop, self._worker, run, func, options_of(func), ended, self._stuck)
        task = asyncio.create_task(attempt.live(store))
        self._running[attempt] = task
        self._counts.jobs_run(len(self._running))
        task.add_done_callback(lambda done: self._over(attempt, done))

    def _over(self, attempt: Attempt, task: asyncio.Task[None]) -> None:
        del self._running[attempt]
        self._counts.jobs_run(len(self._running))
        if not task.cancelled() and task.exception() is not None:
            log.error("a job could not be ended", exc_info=task.exception())
        self._wakes()


class AppJobs:
    """The jobs of one app, as this process sees them."""

    def __init__(self, jobs: Jobs, app: App, values: SharedValues, loop: asyncio.AbstractEventLoop) -> None:
        self.jobs = jobs
        self.app = app
        self.values = values
        self.loop = loop
        self._looks_for_lost = False

    @property
    def thread(self) -> StoreThread:
        return self.jobs.thread

    def copy(self) -> LocalCopy:
        """Of what becomes of them. To be held on to by whoever follows it."""
        return self.values.copy(statuses_of(self.app.path))

    def name(self, job_id: str) -> JobName:
        return JobName(self.app.path, job_id)

    # -- on the store's thread -----------------------------------------------------------------

    async def find(self, function: str) -> Callable[..., Any] | None:
        """See :func:`find_function`. Importing runs code of the app, which leases must not wait for."""
        found = imported_function(function, self.app.imports)
        if found is None:
            work = self.app.run(find_function, function, self.app.imports)
            found = await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self.loop))
        return found

    async def submit(self, store: Store, copy: LocalCopy, job: JobSubmission) -> None:
        """Raises StoreError, FleetFull."""
        await self.values.load(store, copy)
        submitted = await store.jobs.submit(job, JobStatus(JobState.QUEUED).packed())
        if submitted is JobSubmitted.WAITING:
            raise FleetFull("too many jobs of this app wait already: are there workers that run them?")
        if submitted is JobSubmitted.FULL:
            raise FleetFull("the jobs of this app have too many bytes, and none of them is over")
        await self.refresh(store, copy)
        self.jobs.needed()

    async def refresh(self, store: Store, copy: LocalCopy) -> None:
        """What was just done can be seen in the copy. Raises StoreError."""
        await self.values.look(store, copy)

    def look_for_lost(self, copy: LocalCopy) -> None:
        """While somebody follows them: tell of jobs that the store has lost, though not their statuses."""
        if not self._looks_for_lost:
            self._looks_for_lost = True
            self.thread.submit(lambda store: self._look_for_lost(store, copy))

    async def _look_for_lost(self, store: Store, copy: LocalCopy) -> None:
        suspects: set[str] = set()
        try:
            while copy.watchers:
                await asyncio.sleep(LOOK_SECONDS)
                unfinished = {key for key in [*copy.entries] if not _status(copy, key).over}
                # Twice: whoever runs one puts it back first.
                if lost := suspects & unfinished:
                    await self._forget_lost(store, lost)
                suspects = unfinished
        finally:
            self._looks_for_lost = False

    async def _forget_lost(self, store: Store, ids: Iterable[str]) -> None:
        try:
            await store.jobs.forget_lost([self.name(each) for each in sorted(ids)])
        except StoreError as error:
            log.debug("cannot look for lost jobs: %s", error)


def _status(copy: LocalCopy, job_id: str) -> JobStatus:
    entry = copy.current(job_id)
    return read_status(None if entry is None else entry.packed)
