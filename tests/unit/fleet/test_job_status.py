"""What sessions see of a job, from whatever a store may hold."""

from __future__ import annotations

from typing import Any

import pytest

from service.fleet.job_status import LOST, JobStatus, pack_value, read_status
from store.jobs import JobState


def test_a_status_is_read_as_it_was_written() -> None:
    status = JobStatus(JobState.RUNNING, 0.5, "half", 2, "was away")

    assert read_status(status.packed()) == status
    assert not status.over


def test_of_what_nobody_knows_nothing_more_will_become() -> None:
    assert read_status(None) == JobStatus(LOST)
    assert read_status(None).over


@pytest.mark.parametrize("state", ["done", "failed", "cancelled"])
def test_what_is_over(state: str) -> None:
    assert JobStatus(state).over


@pytest.mark.parametrize("junk", [None, 3, [], {}, {"state": "flying"}, {"state": []}, {"state": "done"}])
def test_junk_is_a_lost_job(junk: Any) -> None:
    assert read_status(pack_value(junk)) == JobStatus(LOST)
    assert read_status(b"\xc1 junk") == JobStatus(LOST)


def test_what_is_no_plain_value_is_refused() -> None:
    with pytest.raises(TypeError, match="can not serialize 'object' object"):
        pack_value(object())
