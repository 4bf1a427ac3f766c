"""`svc worker` and a Redis that is not there yet, or never."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from devfleet.ports import free_port
from devfleet.redis_server import RedisServer
from harness.jobs import JobsApp, Worker

from service import job_worker
from service.errors import ConfigError
from service.settings import Settings


@pytest.fixture
def early(tmp_path: Path) -> Iterator[Worker]:
    worker = Worker(JobsApp(tmp_path).path, f"redis://127.0.0.1:{free_port()}/0")
    worker.start()
    yield worker
    worker.stop()


def test_one_that_comes_late_is_waited_for(early: Worker) -> None:
    reported = early.wait_line(r"waiting for the store.*127\.0\.0\.1:(\d+)")
    redis = RedisServer()
    redis.port = int(reported[1])
    with redis:
        early.wait_line("the store is there")
        early.ready()
        assert early.stop() == 0
    assert len(early.matching("waiting for the store")) == 1


def test_one_that_never_answers_ends_it_with_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_worker, "NEVER_SECONDS", 0.0)
    app = JobsApp(tmp_path).path

    with pytest.raises(ConfigError, match=r"--redis: no answer within 0 s: .*127\.0\.0\.1"):
        job_worker.run(Settings(apps=[str(app)], redis=f"redis://127.0.0.1:{free_port()}/0"))
