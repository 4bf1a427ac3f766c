"""Whose fault it was: the app's author gets a traceback, a client one line."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from bokeh.models import Slider

from service.sessions.blame import MAX_BRIEF, brief, raised_by_app


def raised(work: Callable[[], object]) -> Exception:
    """What `work`, called by one of our modules, raised. (This module is none of ours.)"""
    try:
        work()
    except Exception as error:  # noqa: BLE001 - looked at below
        error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next
        return error
    raise AssertionError("nothing was raised")


def test_what_a_callback_raised_is_the_apps() -> None:
    slider = Slider()

    def fails(attr: str, old: object, new: object) -> None:
        raise ValueError("in the app")

    slider.on_change("value", fails)
    assert raised_by_app(raised(lambda: slider.update(value=3)))


@pytest.mark.parametrize("work", [lambda: json.loads("{"), lambda: Slider().set_from_json("value", "text")])
def test_what_cannot_be_read_is_not(work: Callable[[], object]) -> None:
    error = raised(work)
    error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next  # the lambda
    assert not raised_by_app(error)


def test_it_is_told_in_one_short_line() -> None:
    told = brief(ValueError("two\nlines\x1b[31m" + "x" * 1000))
    assert told.startswith("ValueError: two lines?[31mxxx")
    assert len(told) == MAX_BRIEF
