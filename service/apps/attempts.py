"""App code that a page waits for, and that is given up where it does not return."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from service.apps.execution import Execution
from service.errors import AppCodeAbandoned

__all__ = ("Attempt",)


class Attempt:
    """A build, or a hook that a page waits for. Made, and used, on the event loop.

    After ``seconds`` (0: never) it is given up with the error that ``overdue`` makes.
    """

    def __init__(self, seconds: float = 0.0, overdue: Callable[[Attempt], Exception] | None = None) -> None:
        self.since = time.time()
        """When it began, in wall-clock seconds."""
        self._seconds = seconds
        self._overdue = overdue
        self._execution: Execution | None = None
        self._task: asyncio.Task[object] | None = None
        """Who waits for it, while it is under way."""
        self._error: Exception | None = None

    def runs_with(self, execution: Execution) -> None:
        """From here on this is what runs its code."""
        self._execution = execution

    @property
    def doing(self) -> str:
        """The app's function, file and line that it is in; "" where no thread is at work on it."""
        return "" if self._execution is None else self._execution.doing

    @property
    def queued(self) -> bool:
        """Whether it waits for a thread."""
        execution = self._execution
        return execution is not None and execution.at_work and not execution.doing

    @property
    def rejected(self) -> bool:
        """Whether nobody wants what comes of it any more."""
        return self._error is not None

    def reject(self, error: Exception) -> None:
        """Whatever comes of it, whoever waits for it gets ``error``. The first one holds."""
        self._error = self._error or error

    def give_up(self, error: Exception) -> None:
        """The same, and at once. A thread that is at work on it is none of ours from here on."""
        if self._task is None:
            return
        self.reject(error)
        if self._execution is not None and self._execution.at_work:
            self._execution.give_up()
        else:
            self._task.cancel()

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """Around what is awaited. Raises what it was given up with."""
        self._task = task = asyncio.current_task()
        assert task is not None
        timer = self._watch_clock()
        try:
            yield
        except (AppCodeAbandoned, asyncio.CancelledError) as stopped:
            if self._error is None:
                raise
            if isinstance(stopped, asyncio.CancelledError):
                task.uncancel()
        finally:
            self._task = None
            if timer is not None:
                timer.cancel()
        if self._error is not None:
            raise self._error

    def _watch_clock(self) -> asyncio.TimerHandle | None:
        if not self._seconds:
            return None
        return asyncio.get_running_loop().call_later(self._seconds, self._is_overdue)

    def _is_overdue(self) -> None:
        if self._overdue is not None and not self.rejected:
            self.give_up(self._overdue(self))
