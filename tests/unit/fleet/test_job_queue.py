"""Taking jobs from the store while the process that takes them is about to end."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from service.apps.loading import load_apps
from service.fleet.job_queue import Jobs
from service.fleet.job_status import pack_value
from service.fleet.local_copies import SharedValues
from service.fleet.store_thread import StoreThread
from service.metrics import Metrics
from store.connect import open_store
from store.jobs import JobName, JobState, JobSubmission
from store.redis_jobs import RedisJobs

WORK = """
import time
from service import fleet

@fleet.job
def runs():
    while True:
        time.sleep(0.01)
"""


async def test_what_was_just_taken_is_handed_back_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "main.py").write_text("")
    (tmp_path / "work.py").write_text(WORK)
    (app,) = load_apps([str(tmp_path)], []).values()
    store = open_store(None)
    taking, may_take = threading.Event(), threading.Event()
    begin = RedisJobs.begin

    async def slow(self: RedisJobs, *args: Any, **options: Any) -> Any:
        run = await begin(self, *args, **options)
        taking.set()
        await asyncio.to_thread(may_take.wait)
        return run

    monkeypatch.setattr(RedisJobs, "begin", slow)
    thread = StoreThread(store.twin)
    jobs = Jobs(thread, "a", slots=1, counts=Metrics(version="1"))
    jobs.of(app, SharedValues(thread, interval=1))
    name = JobName(app.path, "1")
    try:
        await store.jobs.submit(JobSubmission(name, "work:runs", pack_value([[], {}]), 3, 60, 60), b"queued")
        jobs.needed()
        await asyncio.to_thread(taking.wait)

        jobs.stop()
        ended = asyncio.create_task(jobs.ended(0))
        await asyncio.sleep(0)
        await asyncio.wrap_future(thread.submit(lambda _: asyncio.sleep(0)))  # it has looked what runs
        may_take.set()
        await ended

        record = await store.jobs.read(name)
        assert record is not None
        assert (record.state, record.attempt) == (JobState.QUEUED, 0)
    finally:
        may_take.set()
        await asyncio.to_thread(thread.close)
        await store.close()
