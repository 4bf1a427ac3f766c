"""Work that callbacks have put off, done before a journal is laid over what it makes.

Panel handles inputs in a timeout callback (50 ms), on a thread where the app wants that (``nthreads``), and
runs coroutines in a callback for the next tick; apps load data in such. In the life that the journal tells
of, all that came before what it says in the end.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

from bokeh.document import Document
from bokeh.server.callbacks import SessionCallback

from service.apps.execution import Execution
from service.apps.frames import exc_info_of_app
from service.apps.threads import panel_work
from service.errors import AppCodeAbandoned
from service.sessions.callbacks import delay, is_deferral

__all__ = ("Deferred",)

log = logging.getLogger(__name__)

MAX_ROUNDS = 100
"""How often what was put off may put off more, before it counts as work without an end."""

PATIENCE_TURNS, TURN_SECONDS = 20, 0.05
"""For coroutines that work without the lock, which may go on for ever. Where the machine is so busy that they
take longer, a turn does, too."""

THREADS_SECONDS = 30.0
"""How long handlers on threads may take together; without threads nothing would bound them."""

POLL_SECONDS = 0.02
"""How often what threads put off is looked for while they work."""


_running: set[asyncio.Task[Any]] = set()
"""The event loop itself would forget them."""


class Deferred:
    """What the callbacks of a Document that is no session yet have put off."""

    def __init__(self, document: Document, execution: Execution) -> None:
        self._document = document
        self._execution = execution
        self._tasks: set[asyncio.Task[Any]] = set()
        self._on_threads: set[Future[Any]] = set()
        self.failed = 0
        """Callbacks that raised."""

    @contextmanager
    def watching(self) -> Iterator[None]:
        """What is run inside may put off work to Panel's threads."""
        token = panel_work.set(self._on_threads)
        try:
            yield
        finally:
            panel_work.reset(token)

    async def done(self) -> None:
        """Do it now, in its order, and all that is put off meanwhile."""
        for _ in range(MAX_ROUNDS):
            due = await self._run_due()
            if not due and not self._tasks and not self._on_threads:
                return
            await self._wait()
            await self._wait_for_threads()
        log.info("callbacks keep deferring work: the rest runs once the session is live")

    async def _run_due(self) -> list[SessionCallback]:
        due = sorted(filter(is_deferral, self._document.session_callbacks), key=delay)
        for callback in due:
            await self._run(callback)
        return due

    async def _wait_for_threads(self) -> None:
        """Until they are over; meanwhile do what they put off, for which they may wait."""
        deadline = time.monotonic() + THREADS_SECONDS
        while self._on_threads and time.monotonic() < deadline:
            await asyncio.sleep(POLL_SECONDS)
            over = {each for each in tuple(self._on_threads) if each.done()}  # threads add to it
            self._on_threads -= over
            self.failed += sum(not each.cancelled() and each.exception() is not None for each in over)
            await self._run_due()
        if self._on_threads:
            log.warning(
                "event handlers on threads do not finish: the session continues without waiting for them"
            )
            self._on_threads.clear()

    async def _run(self, callback: SessionCallback) -> None:
        run: Callable[[], Any] = callback.callback
        if getattr(run, "nolock", False):
            task = asyncio.create_task(self._attempt(run, locked=False))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            _running.add(task)
            task.add_done_callback(_running.discard)
            await asyncio.sleep(0)  # it takes itself off the list when it begins
        else:
            await self._attempt(run, locked=True)

    async def _attempt(self, run: Callable[[], Any], *, locked: bool) -> None:
        try:
            await self._execution.run(run, locked=locked)
        except AppCodeAbandoned:
            raise
        except Exception as error:
            self.failed += 1
            log.exception("work that an input deferred failed", exc_info=exc_info_of_app(error))

    async def _wait(self) -> None:
        """Give coroutines without the lock their time; those that take longer go on by themselves."""
        if not self._tasks:
            return
        for _ in range(PATIENCE_TURNS):
            done, _others = await asyncio.wait(
                self._tasks, timeout=TURN_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            if done:
                return
        self._tasks.clear()
