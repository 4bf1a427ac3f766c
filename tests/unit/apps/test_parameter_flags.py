"""Constant and read-only parameters that several sessions change at once, each on its thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import panel as pn
import param
import pytest
from holoviews.core.util import disable_constant
from panel.util import edit_readonly

from service.apps import parameter_flags

parameter_flags.install()


class Gauge(param.Parameterized):
    reading = param.Integer(default=0, constant=True)
    limit = param.Integer(default=0, readonly=True)


Edit = Callable[[Any], AbstractContextManager[None]]
WAYS = pytest.mark.parametrize(
    ("edit", "name"),
    [
        (param.edit_constant, "reading"),
        (edit_readonly, "reading"),
        (edit_readonly, "limit"),
        (disable_constant, "reading"),
    ],
)


def on_a_thread(work: Callable[[], None]) -> Callable[[], None]:
    thread = threading.Thread(target=work)
    thread.start()
    return partial(thread.join, 10)


@WAYS
@pytest.mark.parametrize("same", [True, False], ids=["one object", "two of a class"])
def test_who_ends_first_leaves_the_other_to_it(edit: Edit, name: str, same: bool) -> None:
    first, second = Gauge(), Gauge()
    if same:
        second = first
    begun, may_end = threading.Event(), threading.Event()

    def edits() -> None:
        with edit(first):
            begun.set()
            may_end.wait(10)

    joined = on_a_thread(edits)
    assert begun.wait(10)
    with edit(second):
        may_end.set()
        joined()
        setattr(second, name, 7)

    assert getattr(second, name) == 7
    for each in (first, second, Gauge()):
        with pytest.raises(TypeError):
            setattr(each, name, 8)


@WAYS
def test_the_same_block_twice(edit: Edit, name: str) -> None:
    gauge = Gauge()
    with edit(gauge):
        with edit(gauge):
            setattr(gauge, name, 1)
        setattr(gauge, name, 2)
    with pytest.raises(TypeError):
        setattr(gauge, name, 3)


@WAYS
def test_a_parameter_that_becomes_the_objects_own_meanwhile(edit: Edit, name: str) -> None:
    gauge = Gauge()
    with edit(gauge):
        assert gauge.param[name] is not Gauge.param[name]
    with pytest.raises(TypeError):
        setattr(gauge, name, 3)


@WAYS
def test_who_watches_a_flag_may_edit(edit: Edit, name: str) -> None:
    gauge, other = Gauge(), Gauge()
    seen: list[bool] = []

    def edits(event: Any) -> None:
        seen.append(event.new)
        with edit(other):
            setattr(other, name, len(seen))

    flag = "readonly" if name == "limit" else "constant"
    gauge.param.watch(edits, name, what=flag)
    with edit(gauge):
        pass
    assert (seen, getattr(other, name)) == ([False, True], 2)
    for each in (gauge, other):
        with pytest.raises(TypeError):
            setattr(each, name, 3)


def test_a_block_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    gauge = Gauge()
    with pytest.raises(ZeroDivisionError), edit_readonly(gauge):
        raise ZeroDivisionError
    with pytest.raises(TypeError):
        gauge.limit = 1


def test_panels_own_state() -> None:
    with edit_readonly(pn.state):
        pn.state.busy = True
    with edit_readonly(pn.state):
        pn.state.busy = False
    with pytest.raises(TypeError):
        pn.state.busy = True
