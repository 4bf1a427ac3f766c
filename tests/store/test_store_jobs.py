"""Jobs that workers take: what :class:`store.jobs.JobStore` promises of them."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from store import redis_jobs
from store.errors import RecordDamaged
from store.jobs import (
    DueJob,
    JobEnd,
    JobName,
    JobRun,
    JobState,
    JobSubmission,
    JobSubmitted,
    Renewed,
    statuses_of,
)
from store.redis_store import RedisStore

NAME = JobName("/äpp", "1")

calls = itertools.count()


def job(name: JobName = NAME, **options: Any) -> JobSubmission:
    options = {"attempts": 3, "time_limit": 60.0, "retention": 60.0, "arguments": b"arguments", **options}
    return JobSubmission(name, "work.compute", **options)


async def submitted(store: RedisStore, name: JobName = NAME, **options: Any) -> JobSubmission:
    assert await store.jobs.submit(job(name, **options), b"queued") is JobSubmitted.OK
    return job(name, **options)


async def taken(
    store: RedisStore, worker: str = "a", *, attempt: int = 0, name: JobName = NAME, lease: float = 30.0
) -> JobRun | None:
    due = DueJob(name, "work.compute", attempt)
    return await store.jobs.begin(due, worker, b"running", call=f"call {next(calls)}", lease=lease)


async def begun(store: RedisStore, worker: str = "a", **options: Any) -> JobRun:
    run = await taken(store, worker, **options)
    assert run is not None
    return run


async def status(store: RedisStore, name: JobName = NAME) -> bytes | None:
    (reading,) = await store.read_shared([(statuses_of(name.app), 0, "")])
    return {each.key: each.value for each in reading.changes}.get(name.id)


async def state(store: RedisStore, name: JobName = NAME) -> JobState | None:
    record = await store.jobs.read(name)
    return None if record is None else record.state


async def test_a_job_is_taken_once_and_its_result_is_kept(store: RedisStore) -> None:
    made = await submitted(store)
    assert await store.jobs.due("/äpp") == [DueJob(NAME, "work.compute", 0)]
    assert await store.jobs.due("/other") == []
    assert await status(store) == b"queued"

    run = await begun(store)

    assert (run.job, run.attempt, run.exhausted) == (made, 1, False)
    assert await store.jobs.due("/äpp") == []
    assert await taken(store, "b") is None
    assert await taken(store, "b", attempt=1) is None
    assert await status(store) == b"running"
    assert await store.jobs.renew(run, b"half", lease=30) is Renewed.OK
    assert await status(store) == b"half"
    assert await store.jobs.end(run, JobState.DONE, b"done", result=b"42") is JobEnd.OK
    assert await store.jobs.end(run, JobState.DONE, b"done", result=b"42") is JobEnd.OK
    record = await store.jobs.read(NAME)
    assert record is not None
    assert (record.state, record.result, record.worker, record.attempt) == (JobState.DONE, b"42", "a", 1)
    assert record.submitted <= record.began <= record.ended
    assert await status(store) == b"done"
    assert await store.jobs.waiting(["/äpp"]) == [0]


async def test_submitting_twice_is_submitting_once(store: RedisStore) -> None:
    await submitted(store)
    run = await begun(store)

    assert await store.jobs.submit(job(arguments=b"others"), b"queued") is JobSubmitted.KNOWN
    assert await status(store) == b"running"
    await store.jobs.end(run, JobState.DONE, b"done", result=b"42")
    assert await store.jobs.submit(job(), b"queued") is JobSubmitted.KNOWN
    assert await state(store) is JobState.DONE


async def test_a_repeated_call_begins_one_run(store: RedisStore) -> None:
    await submitted(store)
    due = DueJob(NAME, "work.compute", 0)
    first = await store.jobs.begin(due, "a", b"running", call="same", lease=30)
    again = await store.jobs.begin(due, "a", b"running", call="same", lease=30)

    assert first == again


async def test_a_worker_that_was_replaced_ends_nothing(
    store: RedisStore, until: Callable[..., Awaitable[Any]]
) -> None:
    await submitted(store)
    frozen = await begun(store, lease=0.1)

    second = await until(lambda: taken(store, "b", attempt=1))

    assert second.fence > frozen.fence
    assert second.attempt == 2
    assert await store.jobs.renew(frozen, b"late", lease=30) is Renewed.STALE
    assert await store.jobs.end(frozen, JobState.DONE, b"late", result=b"late") is JobEnd.STALE
    assert await store.jobs.hand_back(frozen, b"late", attempt=0) is JobEnd.STALE
    assert await status(store) == b"running"
    assert await store.jobs.end(second, JobState.DONE, b"done", result=b"right") is JobEnd.OK
    assert await store.jobs.end(frozen, JobState.DONE, b"late", result=b"late") is JobEnd.STALE
    record = await store.jobs.read(NAME)
    assert record is not None
    assert record.result == b"right"


async def test_a_job_is_begun_as_often_as_it_may_be(
    store: RedisStore, until: Callable[..., Awaitable[Any]]
) -> None:
    await submitted(store, attempts=2)
    await begun(store, lease=0.05)
    await until(lambda: taken(store, "b", attempt=1, lease=0.05))

    exhausted = await until(lambda: taken(store, "c", attempt=2))

    assert exhausted.exhausted
    assert await store.jobs.end(exhausted, JobState.FAILED, b"failed", error="died") is JobEnd.OK
    assert await store.jobs.due("/äpp") == []
    record = await store.jobs.read(NAME)
    assert record is not None
    assert (record.state, record.error) == (JobState.FAILED, "died")


async def test_what_was_handed_back_is_due_at_once(store: RedisStore) -> None:
    await submitted(store)
    run = await begun(store)

    assert await store.jobs.hand_back(run, b"queued", attempt=0) is JobEnd.OK

    assert await status(store) == b"queued"
    again = await begun(store, "b")
    assert (again.attempt, again.fence > run.fence) == (1, True)


async def test_what_failed_is_tried_again_later(store: RedisStore) -> None:
    await submitted(store)
    run = await begun(store)

    assert await store.jobs.hand_back(run, b"queued", attempt=1, delay=30, error="again") is JobEnd.OK

    assert await store.jobs.due("/äpp") == []
    record = await store.jobs.read(NAME)
    assert record is not None
    assert (record.state, record.error) == (JobState.QUEUED, "again")


async def test_a_cancelled_job_is_not_run(store: RedisStore) -> None:
    await submitted(store)
    assert await store.jobs.cancel(NAME, b"cancelled") is JobState.QUEUED

    assert await store.jobs.due("/äpp") == []
    assert await taken(store) is None
    assert await status(store) == b"cancelled"
    assert await store.jobs.cancel(NAME, b"cancelled") is JobState.CANCELLED
    assert await store.jobs.cancel(JobName("/äpp", "other"), b"cancelled") is None


async def test_who_runs_a_cancelled_job_finds_out(store: RedisStore) -> None:
    await submitted(store)
    run = await begun(store)
    assert await store.jobs.cancel(NAME, b"cancelled") is JobState.RUNNING

    assert await store.jobs.renew(run, b"half", lease=30) is Renewed.CANCELLED
    assert await store.jobs.end(run, JobState.DONE, b"done", result=b"42") is JobEnd.CANCELLED
    assert await status(store) == b"cancelled"


async def test_a_run_that_the_store_has_lost_is_put_back(store: RedisStore, raw: Any) -> None:
    await submitted(store)
    run = await begun(store)
    await raw("FLUSHALL")

    assert await store.jobs.renew(run, None, lease=30) is Renewed.GONE
    assert await store.jobs.end(run, JobState.DONE, b"done") is JobEnd.GONE
    assert await store.jobs.put_back(run, "a", b"running", lease=30)
    assert not await store.jobs.put_back(run, "a", b"running", lease=30)
    assert await store.jobs.due("/äpp") == []
    assert await store.jobs.renew(run, None, lease=30) is Renewed.OK
    assert await store.jobs.end(run, JobState.DONE, b"done", result=b"42") is JobEnd.OK
    assert await state(store) is JobState.DONE


async def test_a_run_that_is_put_back_had_its_place(
    store: RedisStore, raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await submitted(store)
    run = await begun(store)
    await raw("FLUSHALL")
    for limit in ("MAX_WAITING", "MAX_JOBS", "MAX_BYTES"):
        monkeypatch.setattr(redis_jobs, limit, 0)

    assert await store.jobs.put_back(run, "a", b"running", lease=30)

    assert [each.name for each in await store.jobs.all()] == [NAME]


async def test_who_runs_what_was_cancelled_and_forgotten_does_not_put_it_back(store: RedisStore) -> None:
    await submitted(store)
    old = await begun(store)
    await store.jobs.cancel(NAME, b"cancelled")
    assert await store.jobs.forget(NAME)

    assert await store.jobs.renew(old, b"half", lease=30) is Renewed.CANCELLED
    assert await store.jobs.end(old, JobState.DONE, b"done", result=b"42") is JobEnd.CANCELLED
    assert await status(store) is None
    assert await store.jobs.all() == []
    await submitted(store, arguments=b"others")
    assert await store.jobs.renew(old, b"half", lease=30) is Renewed.STALE
    new = await begun(store)
    assert (new.job.arguments, new.attempt, new.fence > old.fence) == (b"others", 1, True)


async def test_what_is_tried_again_is_kept_until_then(
    store: RedisStore, until: Callable[..., Awaitable[Any]]
) -> None:
    await submitted(store, time_limit=0.05, retention=0.05)
    run = await begun(store)

    assert await store.jobs.hand_back(run, b"queued", attempt=1, delay=0.5) is JobEnd.OK

    again = await until(lambda: taken(store, attempt=1))
    assert again.attempt == 2
    assert await status(store) == b"running"


async def test_how_many_wait_is_said_of_each_app(store: RedisStore) -> None:
    await submitted(store)
    await submitted(store, JobName("/äpp", "2"))
    await submitted(store, JobName("/other", "1"))
    await begun(store)

    assert await store.jobs.waiting(["/other", "/none", "/äpp"]) == [1, 0, 2]
    assert await store.jobs.waiting([]) == []


async def test_so_many_may_wait(store: RedisStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_jobs, "MAX_WAITING", 2)
    await submitted(store)
    await submitted(store, JobName("/äpp", "2"))
    await submitted(store, JobName("/other", "1"))

    third = job(JobName("/äpp", "3"))

    assert await store.jobs.submit(third, b"queued") is JobSubmitted.WAITING
    await store.jobs.cancel(NAME, b"cancelled")
    assert await store.jobs.submit(third, b"queued") is JobSubmitted.OK


async def test_what_is_over_makes_room(store: RedisStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_jobs, "MAX_BYTES", 700)
    big = JobName("/äpp", "big")
    await submitted(store, retention=30)
    run = await begun(store)
    await store.jobs.end(run, JobState.DONE, b"done", result=bytes(400))

    assert await store.jobs.submit(job(big, arguments=bytes(400)), b"queued") is JobSubmitted.OK

    assert await state(store) is None
    assert await status(store) is None
    assert await store.jobs.submit(job(arguments=bytes(350)), b"queued") is JobSubmitted.FULL
    run = await begun(store, name=big)
    assert await store.jobs.end(run, JobState.DONE, b"done", result=bytes(1000)) is JobEnd.FULL
    assert await state(store, big) is JobState.RUNNING
    assert await store.jobs.end(run, JobState.FAILED, b"failed", error="too much") is JobEnd.OK
    assert await store.jobs.submit(job(arguments=bytes(350)), b"queued") is JobSubmitted.OK


async def test_what_nobody_asks_for_is_forgotten(
    store: RedisStore, until: Callable[..., Awaitable[Any]]
) -> None:
    await submitted(store, retention=0.1)
    run = await begun(store)
    await store.jobs.end(run, JobState.DONE, b"done", result=b"42")

    async def gone() -> bool:
        return await state(store) is None and await status(store) is None

    assert await until(gone)


async def test_statuses_without_a_job_are_forgotten(store: RedisStore, raw: Any) -> None:
    await submitted(store)
    await submitted(store, JobName("/äpp", "2"))
    await raw("DEL", store._keys.jobs_of(statuses_of("/äpp").tag, "1")[0])

    await store.jobs.forget_lost([NAME, JobName("/äpp", "2")])

    assert await status(store) is None
    assert await status(store, JobName("/äpp", "2")) == b"queued"


async def test_all_are_listed(store: RedisStore) -> None:
    assert await store.jobs.all() == []
    await submitted(store)
    run = await begun(store)
    await store.jobs.end(run, JobState.FAILED, b"failed", error="ValueError: nö")
    await asyncio.sleep(0.002)  # by the clock that they are sorted by
    await submitted(store, JobName("/other", "2"))

    failed, queued = await store.jobs.all()

    assert (failed.name, failed.function, failed.state) == (NAME, "work.compute", JobState.FAILED)
    assert (failed.error, failed.worker, failed.attempts) == ("ValueError: nö", "a", 3)
    assert (queued.name, queued.state) == (JobName("/other", "2"), JobState.QUEUED)


async def test_a_result_that_was_put_elsewhere_is_not_read(store: RedisStore, raw: Any) -> None:
    if not store._encryption.writes:
        pytest.skip("only encrypted values know where they belong")
    other = JobName("/äpp", "2")
    for name in (NAME, other):
        await submitted(store, name)
        await store.jobs.end(await begun(store, name=name), JobState.DONE, b"done", result=name.id.encode())
    first, second = (store._keys.jobs_of(statuses_of("/äpp").tag, name.id)[0] for name in (NAME, other))
    await raw("HSET", first, "result", await raw("HGET", second, "result"))

    with pytest.raises(RecordDamaged):
        await store.jobs.read(NAME)
