"""What counts as a failure of an app."""

from __future__ import annotations

from contextlib import suppress

import pytest

from service.errors import AppError, NotAuthorized
from service.metrics import AppMeter, Metrics


@pytest.fixture
def meter() -> AppMeter:
    return Metrics(version="1").app("/a")


def run(meter: AppMeter, error: BaseException) -> int:
    with suppress(type(error)), meter.running():
        raise error
    return meter.errors


def test_a_build_that_raises_counts(meter: AppMeter) -> None:
    assert run(meter, AppError("no data")) == 1


def test_a_user_who_is_refused_does_not_count(meter: AppMeter) -> None:
    assert run(meter, NotAuthorized("not you")) == 0


def test_a_question_about_users_that_fails_counts(meter: AppMeter) -> None:
    failed = NotAuthorized("who knows")
    failed.__cause__ = ValueError("no directory")

    assert run(meter, failed) == 1


def test_callbacks_count_beside_builds(meter: AppMeter) -> None:
    meter.callback_failed()

    assert run(meter, AppError("no data")) == 2
