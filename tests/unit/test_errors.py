"""Every error has a status and a close code that may go over the wire, and is in the printed tree."""

from __future__ import annotations

import re

import pytest

from service import errors

ALL = [getattr(errors, name) for name in errors.__all__]
MAY_BE_SENT = {1002, 1003, 1007, 1008, 1009, 1011, 1012, 1013}


@pytest.mark.parametrize("error", ALL)
def test_codes_are_legal(error: type[errors.ServiceError]) -> None:
    assert issubclass(error, errors.ServiceError)
    assert 400 <= error.http_status < 600
    assert error.close_code in MAY_BE_SENT


def test_docstring_shows_the_tree_as_it_is() -> None:
    shown = re.findall(r"(\w+) +(\d{3})  (\d{4})", errors.__doc__ or "")

    assert sorted(shown) == sorted((e.__name__, str(e.http_status), str(e.close_code)) for e in ALL)


def test_app_error_keeps_its_traceback_apart_from_its_message() -> None:
    error = errors.AppError("the app failed", "Traceback ...")

    assert (str(error), error.message, error.detail) == ("the app failed", "the app failed", "Traceback ...")


def test_unavailable_says_when_to_come_back() -> None:
    assert errors.Unavailable("busy", retry_after=7).retry_after == 7
