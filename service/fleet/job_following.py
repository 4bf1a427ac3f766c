"""Telling a session of its jobs: under its lock, wherever it lives by then, and of what it has missed.

As with :mod:`service.fleet.watching`, whose way this goes, what a session was told of is in its state.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from service.apps.contexts import AppSessionContext
from service.apps.frames import exc_info_of_app
from service.fleet.job_queue import AppJobs
from service.fleet.job_status import JobStatus, read_status
from service.fleet.watching import SessionWatcher
from store.contract import Store
from store.errors import RecordError, StoreError
from store.jobs import JobRecord, JobState

__all__ = ("JobFollower", "OnDone", "OnProgress", "follower_of")

log = logging.getLogger(__name__)

REPORTED_KEY = "fleet.jobs told"
"""Where a session's state has what it was told: of each job the version, and whether it was over."""

MAX_REPORTED_JOBS = 200
"""Jobs; the first ones go when there are more."""

RETRY_SECONDS = 1.0
"""After the store did not give a result."""


class FollowedJob(Protocol):
    """What app code has of a job."""

    @property
    def id(self) -> str: ...

    def knows(self, record: JobRecord | None) -> None: ...


OnProgress = Callable[[float, str], Awaitable[None] | None]
OnDone = Callable[[Any], Awaitable[None] | None]


@dataclass(slots=True)
class _JobCallback:
    """One call of ``on_progress`` or ``on_done``."""

    job: FollowedJob
    progress: OnProgress | None
    done: OnDone | None
    new: bool
    """It is no repetition of what the session's code has done before: it is told how things are, once."""

    def is_like(self, other: _JobCallback) -> bool:
        return (self.progress is None) == (other.progress is None)


def follower_of(context: AppSessionContext, jobs: AppJobs) -> JobFollower:
    """The session's; made if there is none yet."""
    for part in context.parts:
        if isinstance(part, JobFollower):
            return part
    follower = JobFollower(context, jobs)
    context.keep(follower)
    return follower


class JobFollower(SessionWatcher):
    """One session's callbacks on jobs."""

    def __init__(self, context: AppSessionContext, jobs: AppJobs) -> None:
        super().__init__(context, jobs.copy())
        self.repeated: set[str] = set()
        """Jobs whose submission was repeated, because a user's input was."""
        self.placing: set[str] = set()
        """Jobs that are being submitted."""
        self._jobs = jobs
        self._wishes: dict[str, list[_JobCallback]] = {}
        self._records: dict[str, JobRecord | None] = {}
        """Of jobs that are done and not told of yet."""
        self._reading: dict[str, asyncio.Task[None]] = {}
        self._store: Store | None = None

    def begin(self) -> None:
        if self._wishes:  # else nobody changes the session from outside
            super().begin()
        elif self._context.session is not None:
            self._loop = asyncio.get_running_loop()

    def add_callbacks(self, job: FollowedJob, progress: OnProgress | None, done: OnDone | None) -> None:
        new = self._context.session is not None and not self._context.repeating
        if new and not self._wishes and self._loop is not None:  # else begin() says it
            self._loop.call_soon_threadsafe(self._context.session.changed_from_outside)
        wishes = self._wishes.setdefault(job.id, [])
        wish = _JobCallback(job, progress, done, new)
        # A callback that is repeated asks again for what the code that builds the session has asked for.
        if not (self._context.repeating and any(wish.is_like(each) for each in wishes)):
            wishes.append(wish)

    # -- on the store's thread -------------------------------------------------------------------

    async def follow(self, store: Store, job_id: str) -> None:
        """Raises StoreError."""
        await self._jobs.values.load(store, self.copy)
        self._store = store
        self.copy.watchers.add(self)
        self._jobs.look_for_lost(self.copy)
        version, _ = self._told.get(job_id, (None, False))
        if version != self._version(job_id) or any(wish.new for wish in self._wishes[job_id]):
            self.note(job_id)

    def note(self, key: str) -> None:
        if key not in self._wishes:
            return
        if self._status(key).state == JobState.DONE:
            if key not in self._reading:
                self._reading[key] = asyncio.create_task(self._read_first(key))
        else:
            super().note(key)

    async def _read_first(self, key: str) -> None:
        """The callback wants the result, and must not wait. While the store is away nothing is told."""
        try:
            self._records[key] = await self._record(key)
            super().note(key)
        finally:
            del self._reading[key]

    async def _record(self, key: str) -> JobRecord | None:
        assert self._store is not None
        while self in self.copy.watchers:
            try:
                return await self._store.jobs.read(self._jobs.name(key))
            except RecordError as error:
                log.error("the result of a job cannot be read: %s", error)
                return None
            except StoreError as error:
                log.debug("the result of a job waits for the store: %s", error)
            await asyncio.sleep(RETRY_SECONDS)
        return None

    # -- under the session's lock ----------------------------------------------------------------

    def _tell(self) -> Awaitable[None] | None:
        with self._lock:
            keys, self._pending, self._scheduled = list(self._pending), {}, False
        calls = [call for key in keys for call in self._calls(key)]
        awaitables = [each for each in map(self._begun, calls) if each is not None]
        return self._await_all(awaitables) if awaitables else None

    def _calls(self, key: str) -> list[Callable[[], Awaitable[None] | None]]:
        """What is to be called now, which is noted as told."""
        status, version = self._status(key), self._version(key)
        if status.state == JobState.DONE and key not in self._records:
            return []  # it is told when its result is here
        before, was_over = self._told.get(key, (None, False))
        wishes = [wish for wish in self._wishes[key] if wish.new or not (was_over or before == version)]
        if not was_over:
            self._note_told(key, version, status.over)
        record = self._records.pop(key, None)
        for wish in wishes:
            wish.new = False
            if status.over:
                wish.job.knows(record)
        if status.over:
            return [partial(wish.done, wish.job) for wish in wishes if wish.done is not None]
        if status.state == JobState.QUEUED and not status.fraction:
            return []
        return [
            partial(wish.progress, status.fraction, status.text)
            for wish in wishes
            if wish.progress is not None
        ]

    def _begun(self, call: Callable[[], Awaitable[None] | None]) -> Awaitable[None] | None:
        try:
            result = call()
        except Exception as error:  # noqa: BLE001 - whatever it was, it is logged
            self._failed(error)
            return None
        return result if inspect.isawaitable(result) else None

    def _failed(self, error: Exception) -> None:
        facts = {"app": self.copy.name.app}
        log.error("a callback on a job failed", exc_info=exc_info_of_app(error), extra=facts)

    # -- details ---------------------------------------------------------------------------------

    @property
    def _told(self) -> dict[str, tuple[int | None, bool]]:
        return {
            key: (told[0], told[1]) for key, told in (self._context.state.hidden(REPORTED_KEY) or {}).items()
        }

    def _note_told(self, key: str, version: int | None, over: bool) -> None:
        told = {**{name: each for name, each in self._told.items() if name != key}, key: (version, over)}
        self._context.state.hide(
            REPORTED_KEY, {name: list(each) for name, each in list(told.items())[-MAX_REPORTED_JOBS:]}
        )

    def _status(self, key: str) -> JobStatus:
        entry = self.copy.current(key)
        return read_status(None if entry is None else entry.packed)

    def _version(self, key: str) -> int | None:
        entry = self.copy.current(key)
        return None if entry is None else entry.version
