"""Jobs over Redis: one script per transition, on keys that have the slot of the app's statuses."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from store.errors import RecordError
from store.jobs import (
    DueJob,
    JobEnd,
    JobName,
    JobRecord,
    JobRun,
    JobState,
    JobSubmission,
    JobSubmitted,
    Renewed,
    statuses_of,
)
from store.keys import Keys
from store.link import Link
from store.scripts import Command, load
from store.values import StoredValues, field_of

__all__ = ("MAX_BYTES", "MAX_JOBS", "MAX_WAITING", "RedisJobs")

log = logging.getLogger(__name__)

MAX_WAITING = 1000
"""Jobs of an app that are queued or running."""

MAX_JOBS = 5000
"""Of an app, with those that are over."""

MAX_BYTES = 256 * 2**20
"""Of the arguments and results of an app's jobs."""

MAX_FORGETS = 20
"""How often one call makes room."""

INDEXED_SECONDS = 30 * 24 * 3600.0
"""After which an app is not asked about any more that nobody submits jobs to."""

LISTED = (
    "state", "worker", "attempt", "attempts", "submitted", "began", "ended", "app", "function", "error"
)  # fmt: skip


class RedisJobs:
    """Implements :class:`store.jobs.JobStore`."""

    def __init__(self, link: Link, keys: Keys, values: StoredValues) -> None:
        self._link = link
        self._keys = keys
        self._values = values

    async def submit(self, job: JobSubmission, status: bytes) -> JobSubmitted:
        return JobSubmitted((await self._submit(job, status, 0, 0, "", 0)).decode())

    async def put_back(self, run: JobRun, worker: str, status: bytes, *, lease: float) -> bool:
        return await self._submit(run.job, status, run.fence, run.attempt, worker, _ms(lease)) == b"ok"

    async def _submit(self, job: JobSubmission, status: bytes, *run: Any) -> bytes:
        name = job.name
        app = name.app.encode("utf-8", "surrogatepass")
        await self._link.send("ZADD", self._keys.jobs, _ms(time.time()), app)
        return await self._with_room(
            name, "job_submit", self._status(name, status),
            self._text(name, "app", name.app), self._text(name, "function", job.function),
            self._values.job(name.tag, "arguments", job.arguments),
            job.attempts, _ms(job.time_limit), _ms(job.retention), MAX_WAITING, MAX_JOBS, MAX_BYTES, *run,
        )  # fmt: skip

    async def due(self, app: str, *, limit: int = 100, without: Collection[str] = ()) -> list[DueJob]:
        _, due, *_ = self._keys.jobs_of(statuses_of(app).tag, "")
        (seconds, microseconds), ids = await self._link.pipe(
            [Command(("TIME",)), Command(("ZRANGE", due, 0, -1, "WITHSCORES"))]
        )
        now = int(seconds) * 1000 + int(microseconds) / 1000
        ready = [id_.decode() for id_, at in _pairs(ids) if float(at) <= now]
        names = [JobName(app, each) for each in ready if each not in without][:limit]
        found = await self._link.pipe(
            [Command(("HMGET", self._hash(name), "function", "attempt")) for name in names]
        )
        return [job for name, held in zip(names, found, strict=True) if (job := self._due(name, held))]

    def _due(self, name: JobName, held: Sequence[Any]) -> DueJob | None:
        function, attempt = held
        if function is None:
            return DueJob(name, "", 0)  # beginning it takes it off the list
        try:
            return DueJob(name, self._read_text(name, "function", function), int(attempt))
        except RecordError as error:
            log.error("skipping a job: %s", error)
            return None

    async def begin(
        self, job: DueJob, worker: str, status: bytes, *, call: str, lease: float
    ) -> JobRun | None:
        name = job.name
        reply = await self._run(
            name, "job_begin", self._status(name, status), worker, call, job.attempt, _ms(lease)
        )
        if reply[0] not in (b"run", b"exhausted"):
            return None
        held = await self._link.send("HMGET", self._hash(name), "attempts", "limit", "retention")
        if None in held:
            return None  # lost just now
        exhausted = reply[0] == b"exhausted"
        attempts, limit, retention = map(int, held)
        arguments = b"" if exhausted else self._values.read_job(name.tag, "arguments", reply[2])
        submission = JobSubmission(name, job.function, arguments, attempts, limit / 1000, retention / 1000)
        attempt = job.attempt if exhausted else job.attempt + 1
        return JobRun(submission, int(reply[1]), attempt, exhausted)

    async def renew(self, run: JobRun, status: bytes | None, *, lease: float) -> Renewed:
        name = run.job.name
        encoded = b"" if status is None else self._status(name, status)
        return Renewed((await self._run(name, "job_renew", encoded, run.fence, _ms(lease))).decode())

    async def end(
        self, run: JobRun, state: JobState, status: bytes, *, result: bytes = b"", error: str = ""
    ) -> JobEnd:
        name = run.job.name
        encoded = self._values.job(name.tag, "result", result) if result else b""
        return await self._end(run, state, status, encoded, self._text(name, "error", error), 0, 0)

    async def hand_back(
        self, run: JobRun, status: bytes, *, attempt: int, delay: float = 0.0, error: str = ""
    ) -> JobEnd:
        said = self._text(run.job.name, "error", error)
        return await self._end(run, JobState.QUEUED, status, b"", said, round(delay * 1000), attempt)

    async def _end(self, run: JobRun, state: JobState, status: bytes, *rest: Any) -> JobEnd:
        name = run.job.name
        reply = await self._with_room(
            name, "job_end", self._status(name, status), run.fence, state, *rest, MAX_BYTES
        )
        return JobEnd(reply.decode())

    async def cancel(self, name: JobName, status: bytes) -> JobState | None:
        had = await self._run(name, "job_cancel", self._status(name, status))
        return JobState(had.decode()) if had else None

    async def read(self, name: JobName) -> JobRecord | None:
        found = await self._link.send("HMGET", self._hash(name), *LISTED, "result")
        if found[0] is None:
            return None
        held = dict(zip((*LISTED, "result"), found, strict=True))
        return self._record(name, held, held["result"])

    async def waiting(self, apps: Sequence[str]) -> list[int]:
        due = [self._keys.jobs_of(statuses_of(app).tag, "")[1] for app in apps]
        return list(map(int, await self._link.pipe([Command(("ZCARD", key)) for key in due])))

    async def all(self) -> list[JobRecord]:
        listed = self._keys.jobs
        await self._link.send("ZREMRANGEBYSCORE", listed, "-inf", _ms(time.time() - INDEXED_SECONDS))
        found = await self._link.send("ZRANGE", listed, 0, -1)
        apps = [app.decode("utf-8", "surrogatepass") for app in found]
        kept = [self._keys.jobs_of(statuses_of(app).tag, "")[2] for app in apps]
        found = await self._link.pipe([Command(("ZRANGE", key, 0, -1)) for key in kept])
        names = [JobName(app, id_.decode()) for app, ids in zip(apps, found, strict=True) for id_ in ids]
        hashes = await self._link.pipe([Command(("HMGET", self._hash(name), *LISTED)) for name in names])
        records = (
            self._readable(name, dict(zip(LISTED, held, strict=True)))
            for name, held in zip(names, hashes, strict=True)
            if held[0] is not None
        )
        return sorted((each for each in records if each is not None), key=lambda each: each.submitted)

    async def forget(self, name: JobName) -> bool:
        return bool(await self._run(name, "job_forget"))

    async def forget_lost(self, names: Sequence[JobName]) -> None:
        found = await self._link.pipe([Command(("EXISTS", self._hash(name))) for name in names])
        await self._forget(name for name, there in zip(names, found, strict=True) if not there)

    # -- details -------------------------------------------------------------------------------

    async def _with_room(self, name: JobName, script: str, *args: Any) -> bytes:
        """What became of it; jobs that are over make room first."""
        for _ in range(MAX_FORGETS):
            outcome, *dispensable = await self._run(name, script, *args)
            if not dispensable:
                break
            await self._forget(JobName(name.app, each.decode()) for each in dispensable)
        return bytes(outcome)

    async def _forget(self, names: Iterable[JobName]) -> None:
        await self._link.pipe([self._command(name, "job_forget") for name in names])

    async def _run(self, name: JobName, script: str, *args: Any) -> Any:
        return await self._link.run(self._command(name, script, *args))

    def _command(self, name: JobName, script: str, *args: Any) -> Command:
        tag = statuses_of(name.app).tag
        keys = [*self._keys.shared(tag), *self._keys.jobs_of(tag, name.id)]
        return load(script)(keys, name.id, field_of(name.id), self._values.shared_name(tag, name.id), *args)

    def _hash(self, name: JobName) -> str:
        return self._keys.jobs_of(statuses_of(name.app).tag, name.id)[0]

    def _status(self, name: JobName, status: bytes) -> bytes:
        return self._values.shared(statuses_of(name.app).tag, name.id, status)

    def _text(self, name: JobName, field: str, text: str) -> bytes:
        return self._values.job(name.tag, field, text.encode("utf-8", "surrogatepass")) if text else b""

    def _read_text(self, name: JobName, field: str, data: bytes | None) -> str:
        if not data:
            return ""
        return self._values.read_job(name.tag, field, data).decode("utf-8", "surrogatepass")

    def _readable(self, name: JobName, held: Mapping[str, Any]) -> JobRecord | None:
        try:
            return self._record(name, held)
        except RecordError as error:
            log.error("skipping a job: %s", error)
            return None

    def _record(self, name: JobName, held: Mapping[str, Any], result: bytes | None = None) -> JobRecord:
        return JobRecord(
            name,
            self._read_text(name, "function", held["function"]),
            JobState(held["state"].decode()),
            (held["worker"] or b"").decode(),
            int(held["attempt"]),
            int(held["attempts"]),
            submitted=_seconds(held["submitted"]),
            began=_seconds(held["began"]),
            ended=_seconds(held["ended"]),
            error=self._read_text(name, "error", held["error"]),
            result=self._values.read_job(name.tag, "result", result) if result else None,
        )


def _pairs(found: Sequence[Any]) -> Iterable[tuple[bytes, Any]]:
    """Members with their scores: pairs already with some protocols, one list with others."""
    if found and isinstance(found[0], (list, tuple)):
        return [(member, score) for member, score in found]
    return list(zip(found[::2], found[1::2], strict=True))


def _seconds(data: bytes | None) -> float:
    return int(data or b"0") / 1000


def _ms(seconds: float) -> int:
    """Redis refuses an expiry of zero."""
    return max(1, round(seconds * 1000))
