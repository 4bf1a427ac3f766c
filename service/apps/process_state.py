"""What a run of an app's code changes in the process, kept to that run.

While they run an app Bokeh and Panel set ``sys.argv``, ``sys.path`` and those functions of ``bokeh.io`` that
do nothing on a server, and put back afterwards what they found (bokeh 3.9 and 3.10, panel 1.9 and 1.10). With
two runs on two threads, each would see the other's, and what is put back last stays. Here these names are
attributes that each run has values of its own for: Bokeh sets and resets them as ever, and nobody else sees.
``from sys import argv`` gives an ordinary list.

The same holds for what Bokeh notes of a failure: it is in the app's handler, which all its runs share.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import ModuleType
from typing import Any

import bokeh.io
from bokeh.application.handlers.code import CodeHandler
from bokeh.application.handlers.code_runner import CodeRunner
from bokeh.application.handlers.handler import Handler
from bokeh.io.state import State

from service.apps import working_folder
from service.lines import line

__all__ = ("Names", "install", "names_of_run", "run_apart")

Names = dict[tuple[int, str], Any]
"""The values of a run by ``id`` of their owner, which outlives all runs, and name."""

names_of_run: ContextVar[Names | None] = ContextVar("names_of_run", default=None)
_outcome_of_run: ContextVar[Names | None] = ContextVar("outcome_of_run", default=None)


def install() -> None:
    """Once per process, for good. Idempotent."""
    if isinstance(sys, _Module):
        return
    io_functions: list[str] = CodeHandler._io_functions
    _make_module_per_run(sys, ("argv", "path"))
    _make_module_per_run(bokeh.io, io_functions)
    # Panel (1.9 and 1.10) ends each run of an app with ``set_curdoc(curdoc())``: the session's Document would
    # be that of all code outside of sessions, and stay in memory after its session.
    _make_per_run(State, ("_document",), names_of_run)
    for owner in (CodeRunner, Handler):
        _make_per_run(owner, ("_failed", "_error", "_error_detail"), _outcome_of_run)
    line.allow_runs_at_once()
    working_folder.install()


@contextmanager
def run_apart(*, loads: bool = False) -> Iterator[None]:
    """Code inside is a run of an app's code. What it does to the attributes above is gone afterwards.

    With ``loads`` it makes the handlers of an app, which keep what went wrong.
    """
    install()
    names: Names = {(id(sys), name): list(getattr(sys, name)) for name in ("argv", "path")}
    tokens = names_of_run.set(names), _outcome_of_run.set(None if loads else {})
    try:
        with working_folder.of_run():
            yield
    finally:
        names.clear()  # threads that the app has started, and will perhaps never end, have it as well
        names_of_run.reset(tokens[0])
        _outcome_of_run.reset(tokens[1])


class _PerRunAttribute:
    """An attribute whose value belongs to a run, or outside of runs to its owner."""

    def __init__(self, name: str, values: ContextVar[Names | None]) -> None:
        self._name, self._values = name, values

    def __get__(self, owner: Any, cls: Any = None) -> Any:
        if owner is None:
            return self
        own = self._values.get()
        if own is not None and (key := (id(owner), self._name)) in own:
            return own[key]
        try:
            return vars(owner)[self._name]
        except KeyError:
            raise AttributeError(f"{owner!r} has no attribute {self._name!r}") from None

    def __set__(self, owner: Any, value: Any) -> None:
        own = self._values.get()
        if own is None:
            vars(owner)[self._name] = value
        else:
            own[id(owner), self._name] = value


class _Module(ModuleType):
    """A module with such attributes."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Where a pickler knows modules (cloudpickle) it is by their exact type.
        return __import__, (self.__name__, None, None, ("*",))


def _make_module_per_run(module: ModuleType, names: tuple[str, ...] | list[str]) -> None:
    module.__class__ = type(
        "module", (_Module,), {name: _PerRunAttribute(name, names_of_run) for name in names}
    )


def _make_per_run(owner: type[Any], names: tuple[str, ...], values: ContextVar[Names | None]) -> None:
    for name in names:
        setattr(owner, name, _PerRunAttribute(name, values))
