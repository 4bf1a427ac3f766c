"""Which code of apps runs at this moment, on which thread, for whom and since when.

A step is a call of an app's code, or a stretch of a coroutine between two awaits: what nobody else can
interrupt. :mod:`service.apps.slow` looks at them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Coroutine, Generator, Mapping
from typing import Any, Protocol

__all__ = ("Step", "StepWatch", "stepwise", "under_way", "watch_steps")


class StepWatch(Protocol):
    """Who is told of steps that have taken ``limit`` seconds or more, on their thread, as they end."""

    limit: float

    def ended(self, step: Step, seconds: float) -> None: ...


under_way: dict[int, Step] = {}
"""The innermost step of each thread."""

_watch: StepWatch | None = None


def watch_steps(watch: StepWatch | None) -> None:
    """From here on this one is told. There is one in a process."""
    global _watch
    _watch = watch


class Step:
    """A context manager. It is around each callback, so it does as little as it can.

    ``facts`` say whose code it is (``extra`` of log lines).
    """

    __slots__ = ("begun", "facts", "func", "noticed", "outer", "thread")

    def __init__(self, func: Any, facts: Mapping[str, str]) -> None:
        self.func, self.facts = func, facts

    def __enter__(self) -> None:
        self.thread = thread = threading.get_ident()
        self.outer = under_way.get(thread)
        self.noticed: Any = None
        """What the watch knows of it."""
        self.begun = time.monotonic()
        under_way[thread] = self

    def __exit__(self, *exception: object) -> None:
        if self.outer is None:
            del under_way[self.thread]
        else:
            under_way[self.thread] = self.outer
        if _watch is not None and (seconds := time.monotonic() - self.begun) >= _watch.limit:
            _watch.ended(self, seconds)


class stepwise:  # noqa: N801 - stands where a coroutine would
    """Awaits ``coroutine``, and makes a step of each stretch of it."""

    __slots__ = ("_coroutine", "_facts")

    def __init__(self, coroutine: Coroutine[Any, Any, Any], facts: Mapping[str, str]) -> None:
        self._coroutine, self._facts = coroutine, facts

    def __await__(self) -> Generator[Any, Any, Any]:
        coroutine = self._coroutine
        step = Step(coroutine, self._facts)
        go_on: Any = coroutine.send
        value: Any = None
        while True:
            try:
                with step:
                    awaited = go_on(value)
            except StopIteration as stop:
                return stop.value
            finally:
                value = None  # an exception's traceback has this frame: no cycle, which would keep Documents
            try:
                value = yield awaited
                go_on = coroutine.send
            except GeneratorExit:
                coroutine.close()
                raise
            except BaseException as error:  # noqa: BLE001 - it is thrown into the coroutine
                go_on, value = coroutine.throw, error
