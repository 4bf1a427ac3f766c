"""What a store owes the service of jobs: work that apps have handed over, and that workers take.

All of it is the matter of one app at a time. What becomes of a job is also a value of a shared dict,
:func:`statuses_of`, which replicas follow as any other (:meth:`store.contract.Store.read_shared`); it changes
together with the job. Statuses are opaque here.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from typing import Protocol

from store.contract import SharedName

__all__ = (
    "DueJob",
    "JobEnd",
    "JobName",
    "JobRecord",
    "JobRun",
    "JobState",
    "JobStore",
    "JobSubmission",
    "JobSubmitted",
    "Renewed",
    "statuses_of",
)


class JobState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def over(self) -> bool:
        return self not in (JobState.QUEUED, JobState.RUNNING)


@dataclass(frozen=True, slots=True)
class JobName:
    """Names one job of an app."""

    app: str
    id: str

    @property
    def tag(self) -> str:
        """Stands for it where the app does not."""
        text = f"{self.app}\0{self.id}".encode("utf-8", "surrogatepass")
        return "j" + blake2b(text, digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class JobSubmission:
    """A job as it is submitted."""

    name: JobName
    function: str
    """Its name, which is all that anybody learns of it from here."""
    arguments: bytes
    attempts: int
    """How often it may be begun."""
    time_limit: float
    """Seconds that each attempt may take. The job is kept so much longer."""
    retention: float
    """Seconds for which it is known when it is over."""


class JobSubmitted(StrEnum):
    OK = "ok"
    KNOWN = "known"
    """There is one of that name already. Nothing was changed."""
    WAITING = "waiting"
    """As many wait as may wait. Nothing was changed."""
    FULL = "full"
    """All jobs would have too many bytes, or be too many. Nothing was changed."""


@dataclass(frozen=True, slots=True)
class DueJob:
    """One that a worker may take."""

    name: JobName
    function: str
    attempt: int
    """How often it was begun so far."""


@dataclass(frozen=True, slots=True)
class JobRun:
    """A worker has it."""

    job: JobSubmission
    fence: int
    """Grows with each run of the job."""
    attempt: int
    """1 for the first."""
    exhausted: bool = False
    """It was begun as often as it may be, and is not begun again: what is left to do is to end it."""


class Renewed(StrEnum):
    OK = "ok"
    CANCELLED = "cancelled"
    STALE = "stale"
    """Another run has it."""
    GONE = "gone"
    """The store lost it; :meth:`JobStore.put_back` helps."""


class JobEnd(StrEnum):
    OK = "ok"
    CANCELLED = "cancelled"
    STALE = "stale"
    GONE = "gone"
    FULL = "full"
    """The results of all jobs would have too many bytes. Nothing was changed."""


@dataclass(frozen=True, slots=True)
class JobRecord:
    """What is known of a job. Times are wall-clock seconds, 0 for never."""

    name: JobName
    function: str
    state: JobState
    worker: str
    """That runs it, or has run it last."""
    attempt: int
    attempts: int
    submitted: float
    began: float
    ended: float
    error: str
    result: bytes | None = None
    """None where there is none, or it was not asked for."""


class JobStore(Protocol):
    """Every method may raise StoreUnavailable, and those that write StoreFull."""

    async def submit(self, job: JobSubmission, status: bytes) -> JobSubmitted:
        """Let workers take it. Atomic; where there is such a job already nothing happens.

        Jobs that are over are forgotten before their time where that makes room.
        """

    async def put_back(self, run: JobRun, worker: str, status: bytes, *, lease: float) -> bool:
        """A run goes on that the store has lost. Atomic, idempotent. False where it was not lost."""

    async def due(self, app: str, *, limit: int = 100, without: Collection[str] = ()) -> list[DueJob]:
        """Jobs that may be begun, longest first, but for those that cannot be read, and those ``without``."""

    async def begin(
        self, job: DueJob, worker: str, status: bytes, *, call: str, lease: float
    ) -> JobRun | None:
        """Take it for ``lease`` seconds. Atomic. None: somebody was faster, or it is gone.

        Repeated with the same ``call`` it answers the same.
        """

    async def renew(self, run: JobRun, status: bytes | None, *, lease: float) -> Renewed:
        """Keep the lease; a ``status`` replaces the last one. Atomic, idempotent, fenced."""

    async def end(
        self, run: JobRun, state: JobState, status: bytes, *, result: bytes = b"", error: str = ""
    ) -> JobEnd:
        """It is over, DONE or FAILED. Atomic, idempotent, fenced."""

    async def hand_back(
        self, run: JobRun, status: bytes, *, attempt: int, delay: float = 0.0, error: str = ""
    ) -> JobEnd:
        """It is to be run again after ``delay`` seconds, and counts as begun ``attempt`` times.

        As :meth:`end`.
        """

    async def cancel(self, name: JobName, status: bytes) -> JobState | None:
        """Let nobody run it, or end it, any more. Atomic. The state that it had; None where there is none."""

    async def read(self, name: JobName) -> JobRecord | None:
        """With its result. Raises RecordError when it cannot be read."""

    async def waiting(self, apps: Sequence[str]) -> list[int]:
        """How many jobs of each are queued or running, in order. One round trip."""

    async def all(self) -> list[JobRecord]:
        """Those of all apps, oldest first, without results and without those that cannot be read."""

    async def forget(self, name: JobName) -> bool:
        """Forget a job that is over, with its result. Atomic, idempotent. False where it is not over."""

    async def forget_lost(self, names: Sequence[JobName]) -> None:
        """Forget the statuses of those of these that there are no jobs of (any more)."""


def statuses_of(app: str) -> SharedName:
    """The shared dict of what becomes of an app's jobs. App code can have none without a name."""
    return SharedName(app, "")
