"""Periodic, timeout and next-tick callbacks of one session.

Callbacks may be added and removed from any thread (Bokeh documents ``add_next_tick_callback`` as
the way back from threads), so everything here is handed to the event loop first.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from bokeh.server.callbacks import NextTickCallback, PeriodicCallback, SessionCallback, TimeoutCallback

from service.apps.frames import exc_info_of_app
from service.documents.wiring import current_input, follows_from_client
from service.errors import AppCodeAbandoned

__all__ = ("SessionCallbacks", "delay", "is_deferral", "on_loop")

log = logging.getLogger(__name__)

MAX_DEFERRAL_MILLISECONDS = 500
"""Timeouts up to this put off what is to be done now; longer ones are the app's own clock."""

T = TypeVar("T")

Run = Callable[[Callable[..., Any]], Awaitable[Any]]

Failed = Callable[[BaseException], None]


def on_loop(loop: asyncio.AbstractEventLoop, func: Callable[[T], None], argument: T) -> None:
    """Call ``func(argument)`` now on the thread of ``loop``, soon from any other."""
    try:
        running = asyncio.get_running_loop()
    except RuntimeError:
        running = None
    if running is loop:
        func(argument)
    else:
        loop.call_soon_threadsafe(func, argument)


def is_deferral(callback: SessionCallback) -> bool:
    """Whether it puts off work that is to be done now."""
    return (
        isinstance(callback, NextTickCallback | TimeoutCallback)
        and delay(callback) <= MAX_DEFERRAL_MILLISECONDS
    )


def delay(callback: SessionCallback) -> int:
    """Milliseconds."""
    return callback.timeout if isinstance(callback, TimeoutCallback) else 0


def _nobody_told(error: BaseException) -> None:
    return


class SessionCallbacks:
    """Runs session callbacks through ``run``, which takes the lock and sets the context.

    ``failed`` is told what each run raised that did.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        run: Run,
        failed: Failed = _nobody_told,
    ) -> None:
        self._failed = failed
        self._loop = loop
        self._run = run
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._periodic: set[str] = set()
        self._under_way: set[str] = set()
        self._removed: set[str] = set()
        self._put_off: dict[str, asyncio.Task[None]] = {}
        """Those by which inputs of clients put off what they do, but for coroutines that have begun."""
        self._closed = False

    def __len__(self) -> int:
        return len(self._tasks)

    @property
    def only_periodic(self) -> bool:
        """Whether nothing is pending that will be over."""
        return len(self._tasks) == len(self._periodic)

    @property
    def puts_off_input(self) -> bool:
        """Whether what clients did has not had all its effect yet."""
        return bool(self._put_off)

    async def input_handled(self, *, within: float) -> None:
        """Return when it has, or after so many seconds."""
        if self._put_off:
            await asyncio.wait(tuple(self._put_off.values()), timeout=within)

    def add(self, callback: SessionCallback) -> None:
        """Begin to run ``callback`` as its type says. Callable from any thread."""
        on_loop(self._loop, self._start, callback)

    def remove(self, callback: SessionCallback) -> None:
        """Stop ``callback``; a run under way is finished. Callable from any thread."""
        on_loop(self._loop, self._stop, callback.id)

    def close(self) -> None:
        """Stop all callbacks for good."""
        self._closed = True
        self._run, self._failed = _ended, _nobody_told
        for task in self._tasks.values():
            task.cancel()

    def _start(self, callback: SessionCallback) -> None:
        if self._closed or callback.id in self._tasks:
            return
        task = self._loop.create_task(self._live(callback))
        self._tasks[callback.id] = task
        if isinstance(callback, PeriodicCallback):
            self._periodic.add(callback.id)
        if is_deferral(callback) and follows_from_client():
            self._put_off[callback.id] = task
        task.add_done_callback(lambda _: self._forget(callback.id))

    def _stop(self, callback_id: str) -> None:
        task = self._tasks.get(callback_id)
        if callback_id in self._under_way:  # perhaps it is what removes itself here
            self._removed.add(callback_id)
        elif task is not None:
            task.cancel()

    def _forget(self, callback_id: str) -> None:
        self._tasks.pop(callback_id, None)
        self._put_off.pop(callback_id, None)
        self._periodic.discard(callback_id)
        self._removed.discard(callback_id)

    async def _live(self, callback: SessionCallback) -> None:
        if not is_deferral(callback):
            current_input.set(None)  # of this task alone: what it does follows from the clock
        match callback:
            case PeriodicCallback():
                await self._repeat(callback, callback.period / 1000)
            case TimeoutCallback():
                await asyncio.sleep(callback.timeout / 1000)
                await self._once(callback)
            case NextTickCallback():
                await self._once(callback)

    async def _repeat(self, callback: SessionCallback, period: float) -> None:
        """Every ``period`` seconds, but never twice at once: a slow run delays the next."""
        due = self._loop.time() + period
        while callback.id not in self._removed:
            await asyncio.sleep(due - self._loop.time())
            due = self._loop.time() + period
            await self._once(callback)

    async def _once(self, callback: SessionCallback) -> None:
        try:
            await self._run(self._noting_its_start(callback))
        except AppCodeAbandoned as error:
            log.debug("a session callback was given up: %s", error)
        except Exception as error:
            self._failed(error)
            log.exception("session callback %r failed", callback.callback, exc_info=exc_info_of_app(error))
        finally:
            self._under_way.discard(callback.id)

    def _noting_its_start(self, callback: SessionCallback) -> Callable[[], Any]:
        """Until it has the lock it can still be called off, from then on it is finished."""

        def start() -> Any:
            self._under_way.add(callback.id)
            if nolock:  # a coroutine, which may take as long as it likes
                self._put_off.pop(callback.id, None)
            return callback.callback()

        start.nolock = nolock = getattr(callback.callback, "nolock", False)  # type: ignore[attr-defined]
        start.__wrapped__ = callback.callback  # type: ignore[attr-defined]
        return start


async def _ended(callback: Callable[..., Any]) -> None:
    """What is left of ``run`` when all has ended: no way back to the session."""
