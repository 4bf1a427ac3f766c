"""Who is slow: code of an app that runs for long is named in the log, while it still runs.

A thread looks some times a second at the steps under way, and takes the stack of those that are late.
"""

from __future__ import annotations

import asyncio
import linecache
import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from service.apps.frames import is_of_app
from service.apps.steps import Step, under_way, watch_steps

__all__ = ("SlowCall", "SlowCalls")

log = logging.getLogger(__name__)

SAMPLES_PER_LIMIT = 4
"""How often the thread looks within the limit: most calls have been seen before they count as slow."""

LONGEST_PAUSE = 0.25
"""Seconds between looks, however high the limit is."""

LOG_INTERVAL_SECONDS = 60.0
"""Seconds in which one place in the code is logged once."""

MAX_LATEST = 20
"""Calls that :meth:`SlowCalls.latest` knows."""

MAX_PLACES = 1000
"""Of which it is known when they were logged."""

MAX_FRAMES = 8
"""Of a stack in the log: the innermost of the app's."""

_HERE = Path(__file__).parent
_CALLERS = {str(_HERE / "execution.py"), str(_HERE / "steps.py"), asyncio.events.__file__}
"""The files whose frames call app code: what is outside of them is not the app's."""


@dataclass(frozen=True, slots=True)
class SlowCall:
    """A step that took longer than it should, or has taken so far."""

    at: float
    """Wall-clock seconds since the epoch, when it was noticed."""
    app: str
    session: str
    """The short form; empty for code of no session."""
    place: str
    """Function, file and line."""
    seconds: float
    running: bool


@dataclass(frozen=True, slots=True)
class _Stack:
    """Where a step is."""

    place: str
    file: str
    lines: str


class _Noticed:
    """What is known of a step that is late."""

    def __init__(self, stack: _Stack) -> None:
        self.stack = stack
        self.call: SlowCall | None = None
        """Once it has taken too long."""
        self.logged = False


class SlowCalls:
    """Watches the steps of this process. ``count`` is told the app of each that takes ``limit`` seconds.

    ``app_of_file`` knows whose a file is: tasks that an app has begun itself are no calls of ours.
    """

    def __init__(
        self, limit: float, count: Callable[[str], None], app_of_file: Callable[[str], str] = lambda file: ""
    ) -> None:
        self.limit = limit
        self._count, self._app_of_file = count, app_of_file
        self._pause = min(limit / SAMPLES_PER_LIMIT, LONGEST_PAUSE)
        self._latest: deque[SlowCall] = deque(maxlen=MAX_LATEST)
        self._logged: dict[tuple[str, str], tuple[float, int]] = {}
        """When a place of an app was logged, and how often it was slow since."""
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._loop_thread = 0
        self._beat = 0.0
        """When the event loop last had time."""
        self._task: Step | None = None
        """Stands for the task that holds up the event loop."""

    def latest(self) -> list[SlowCall]:
        """The last slow calls, newest first. Callable from any thread."""
        with self._lock:
            return list(reversed(self._latest))

    async def run(self) -> None:
        """Until cancelled; nothing is watched with a limit of 0."""
        if not self.limit:
            return
        self._loop_thread, self._beat = threading.get_ident(), time.monotonic()
        watch_steps(self)
        threading.Thread(target=self._look, name="slow-calls", daemon=True).start()
        try:
            while True:
                await asyncio.sleep(self._pause)
                self._turn_of_loop()
        finally:
            self._stopped.set()
            watch_steps(None)

    def ended(self, step: Step, seconds: float) -> None:
        """``step`` took at least as long as the limit."""
        with self._lock:
            noticed = step.noticed or _Noticed(_unseen(step.func))
            if noticed.call is None:
                self._tell(step, noticed, seconds, running=False)
            else:
                self._finish(step, noticed, seconds)
            if step.outer is not None:  # late for the same reason
                step.outer.noticed = noticed

    def _turn_of_loop(self) -> None:
        now, task = time.monotonic(), self._task
        if task is not None:
            self._task = None
            self.ended(task, now - self._beat)
        self._beat = now

    # -- on the thread that looks --------------------------------------------------------------

    def _look(self) -> None:
        while not self._stopped.wait(self._pause):
            try:
                self._look_once(time.monotonic())
            except Exception:
                log.exception("sampling running app code failed")

    def _look_once(self, now: float) -> None:
        for thread, step in list(under_way.items()):
            if now - step.begun >= self.limit / 2 and not (step.noticed and step.noticed.call):
                self._look_at(thread, step, now)
        if now - self._beat >= self.limit and self._task is None and self._loop_thread not in under_way:
            self._look_at_tasks(now)

    def _look_at(self, thread: int, step: Step, now: float) -> None:
        stack = _stack_of(thread)
        with self._lock:
            if stack is None or under_way.get(thread) is not step or (step.noticed and step.noticed.call):
                return
            step.noticed = _Noticed(stack)
            if now - step.begun >= self.limit:
                self._tell(step, step.noticed, now - step.begun, running=True)

    def _look_at_tasks(self, now: float) -> None:
        stack = _stack_of(self._loop_thread)
        app = "" if stack is None else self._app_of_file(stack.file)
        if stack is not None and app:
            task = Step(None, {"app": app})
            task.outer, task.thread, task.noticed = None, self._loop_thread, _Noticed(stack)
            with self._lock:
                self._task = task
                self._tell(task, task.noticed, now - self._beat, running=True)

    # -- with the lock -------------------------------------------------------------------------

    def _tell(self, step: Step, noticed: _Noticed, seconds: float, *, running: bool) -> None:
        facts, place = step.facts, noticed.stack.place
        app = facts.get("app", "")
        noticed.call = SlowCall(time.time(), app, facts.get("session", ""), place, seconds, running)
        self._latest.append(noticed.call)
        self._count(app)
        before = self._is_news(app, place)
        if before is None:
            return
        noticed.logged = running
        log.warning(
            "%s %s %.1f s%s%s%s", place, "has been running for" if running else "took", seconds,
            ", and everybody on this replica waits" if step.thread == self._loop_thread else "",
            f" (the same {before} times more since this was last logged)" if before else "",
            f"; it is now at\n{noticed.stack.lines}" if running else "",
            extra=dict(facts),
        )  # fmt: skip

    def _is_news(self, app: str, place: str) -> int | None:
        """How often it was kept quiet since it was last logged; None when it is kept quiet once more."""
        now = time.monotonic()
        at, quiet = self._logged.pop((app, place), (now - LOG_INTERVAL_SECONDS, 0))
        is_news = now - at >= LOG_INTERVAL_SECONDS
        self._logged[app, place] = (now, 0) if is_news else (at, quiet + 1)
        if len(self._logged) > MAX_PLACES:
            del self._logged[next(iter(self._logged))]
        return quiet if is_news else None

    def _finish(self, step: Step, noticed: _Noticed, seconds: float) -> None:
        call = noticed.call
        assert call is not None
        noticed.call = replace(call, seconds=seconds, running=False)
        for at, each in enumerate(self._latest):
            if each is call:
                self._latest[at] = noticed.call
        if noticed.logged:
            noticed.logged = False
            log.info("%s has ended after %.1f s", call.place, seconds, extra=dict(step.facts))


def _stack_of(thread: int) -> _Stack | None:
    """Where the app's code on a thread is; None if there is none."""
    frame = sys._current_frames().get(thread)
    frames = list(_frames(frame)) if frame is not None else []
    own = [each for each in frames if is_of_app(each.f_code.co_filename)]
    shown = own[:MAX_FRAMES]
    if frames and frames[0] not in shown:
        shown.insert(0, frames[0])
    if not shown:
        return None
    outermost = own[-1] if own else shown[-1]
    code = outermost.f_code
    with _lines_forgotten():
        return _Stack(_place(code), code.co_filename, "\n".join(map(_line, reversed(shown))))


@contextmanager
def _lines_forgotten() -> Iterator[None]:
    """Have linecache forget the sources read within: by itself it keeps all, of Panel and Bokeh 13 MB."""
    known = set(linecache.cache)
    try:
        yield
    finally:
        for file in linecache.cache.keys() - known:
            linecache.cache.pop(file, None)


def _frames(frame: FrameType | None) -> Iterator[FrameType]:
    """From the innermost on, as far as an app has called them."""
    while frame is not None and frame.f_code.co_filename not in _CALLERS:
        yield frame
        frame = frame.f_back


def _place(code: Any) -> str:
    if code.co_name == "<module>":
        return str(code.co_filename)
    return f"{code.co_qualname} ({code.co_filename}, line {code.co_firstlineno})"


def _line(frame: FrameType) -> str:
    code, number = frame.f_code, frame.f_lineno or frame.f_code.co_firstlineno
    text = linecache.getline(code.co_filename, number).strip() if code.co_filename.endswith(".py") else ""
    place = f'  File "{code.co_filename}", line {number}, in {code.co_name}'
    return f"{place}\n    {text}" if text else place


def _unseen(func: Any) -> _Stack:
    """Of what was over before anybody looked, as it is with code that does not let other threads run."""
    while isinstance(func, partial):
        func = func.func
    code = getattr(func, "__code__", None) or getattr(func, "cr_code", None)
    if code is None or not is_of_app(code.co_filename):
        return _Stack("code of the app", "", "")
    return _Stack(_place(code), code.co_filename, "")
