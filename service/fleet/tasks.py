"""``fleet.every("10m", func)``: one replica at a time runs it, and another goes on when that one is gone.

Each replica asks the store when a run is due; the first one gets a lease with a fencing number, which it
renews while the run goes on. Whoever dies does not, and the next to ask runs the same again, with a higher
number.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import secrets
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from bokeh.io import curdoc

from service.apps.app import App
from service.apps.contexts import current_app
from service.apps.frames import exc_info_of_app
from service.fleet.schedules import Schedule, parse_schedule
from service.fleet.store_thread import StoreThread
from service.limits import MAX_NAME_LENGTH
from service.metrics import FleetMeter
from service.timings import TASK_LEASE_SECONDS, TASK_RENEW_SECONDS
from store.contract import LeaseState, Store, TaskLease, TaskName
from store.errors import StoreError

__all__ = ("AppTasks", "TaskRun", "Tasks", "every", "is_of_session_script")

log = logging.getLogger(__name__)

LONGEST_SLEEP_SECONDS = 60.0
"""Clocks drift, and the store should know for long that somebody has the task."""

RETRY_SECONDS = 1.0
"""After the store did not answer."""

MIN_PERIOD = timedelta(seconds=1)

MAX_TASKS = 100
"""Of one app."""

MAX_MISSED = 1000
"""Due times that are counted as missed at once."""


@dataclass(slots=True)
class TaskRun:
    """What a task's function gets if it takes an argument."""

    name: str
    fence: int
    """Grows with each run of the task in the whole fleet. What the run writes elsewhere should carry it, and
    be refused there once something with a higher one was written: a replica that was frozen goes on without
    knowing that it was replaced."""
    due: datetime
    """When it was due (UTC)."""
    lost: bool = field(default=False)
    """Another replica may run the same by now: this one should end. Becomes True while it runs."""


def every(schedule: str | float | timedelta, func: Callable[..., Any], *, name: str | None = None) -> None:
    """Run ``func`` again and again, on one replica at a time.

    ``schedule`` is ``"30s"``, ``"10m"``, ``"1.5h"``, ``"1d"``, ``"1w"``, a number of seconds or a timedelta,
    counted from 1970 (UTC), so that ``"10m"`` is due at 12:00, 12:10, ...; or a cron line of five fields, in
    UTC. To be called on each replica: in ``on_server_loaded``, or in a module of the app. Under a ``name``,
    by default that of the function, an app has one task; the last call counts.

    ``func`` is a plain function, which runs on a thread, or a coroutine function. If it takes an argument, it
    gets the :class:`TaskRun`. It may run twice for one due time, if its replica dies or is cut off: then with
    a higher fencing number. A run that takes longer than the time to the next one delays that. Of what was
    due while no replica was there the latest is made up for.

    Raises ValueError for a schedule or a name that makes no sense, ImportError for a cron line without
    croniter, RuntimeError outside of an app that ``svc serve`` runs, and for a function of a session's
    script, which ends with its session.
    """
    app = current_app.get()
    tasks = None if app is None else app.tasks
    if not isinstance(tasks, AppTasks):
        raise RuntimeError(
            "fleet.every() belongs to an app that svc serve runs: call it in on_server_loaded or in a module"
        )
    if curdoc().session_context and is_of_session_script(func):
        raise RuntimeError(
            "a function of a session's script ends with that session: put it into a module or the hooks"
        )
    tasks.add(name or str(getattr(func, "__name__", "task")), parse_schedule(schedule), func)


class Tasks:
    """All tasks of a replica. Nothing runs before there is one."""

    def __init__(
        self, thread: StoreThread, replica: str, *, in_fleet: bool = True, meter: FleetMeter | None = None
    ) -> None:
        self.thread = thread
        self.meter = meter or FleetMeter()
        self.replica = replica
        self.in_fleet = in_fleet
        """Whether there may be other replicas, and one of them runs what Panel schedules."""
        self.stopping = False
        self.under_way: set[Future[None]] = set()

    def of(self, app: App) -> AppTasks:
        """Those of ``app``, whose code runs by this event loop."""
        return AppTasks(self, app, asyncio.get_running_loop())

    def stop(self) -> None:
        """From here on no run begins here."""
        self.stopping = True

    async def ended(self, seconds: float) -> None:
        """Wait for what runs, but not for longer."""
        runs = [asyncio.wrap_future(each) for each in tuple(self.under_way)]
        _, left = await asyncio.wait(runs, timeout=seconds) if runs else (set(), set())
        if left:
            log.warning("%d runs of tasks go on: other replicas begin them again", len(left))


class AppTasks:
    """The tasks of one app on this replica."""

    def __init__(self, tasks: Tasks, app: App, loop: asyncio.AbstractEventLoop) -> None:
        self.tasks = tasks
        self.app = app
        self.loop = loop
        self._known: dict[str, _Task] = {}
        self._said = False

    @property
    def in_fleet(self) -> bool:
        return self.tasks.in_fleet

    def take_from_panel(
        self, name: str, callback: Callable[[], Any], period: timedelta | None, cron: str | None
    ) -> bool:
        """Whether ``pn.state.schedule_task`` goes this way; if so, it is done.

        As Panel does it: under one name the first call counts, and with a period the first run is at once.
        """
        if is_of_session_script(callback) or (cron is None and (period is None or period < MIN_PERIOD)):
            return False
        if name not in self._known:
            self.add(name, parse_schedule(cron or period or ""), callback, at_once=cron is None)
            self._say_once(name)
        return True

    def cancel(self, name: str) -> bool:
        """Whether there was one: this replica runs it no more."""
        task = self._known.pop(name, None)
        if task is not None:
            task.replaced = True
        return task is not None

    def _say_once(self, name: str) -> None:
        if not self._said:
            self._said = True
            log.info(
                "pn.state.schedule_task: one replica at a time runs %r, and whatever else has a period or a "
                "cron line. Others see what it leaves in fleet.shared(), not in pn.state.cache or in globals",
                name,
                extra={"app": self.app.path},
            )

    def add(self, name: str, schedule: Schedule, func: Callable[..., Any], *, at_once: bool = False) -> None:
        """On any thread. ``at_once``: what the fleet has never run runs now, not when it is due next.

        Raises ValueError.
        """
        if not 0 < len(name) <= MAX_NAME_LENGTH:
            raise ValueError(f"the name of a task has 1 to {MAX_NAME_LENGTH} characters, not {len(name)}")
        known = self._known.get(name)
        if known is None and len(self._known) >= MAX_TASKS:
            raise ValueError(f"an app has at most {MAX_TASKS} tasks, so {name!r} is too much")
        if known is not None and known.schedule.text == schedule.text:
            known.func = func
            return
        if known is not None:
            known.replaced = True
        task = self._known[name] = _Task(self, TaskName(self.app.path, name), schedule, func, at_once=at_once)
        self.tasks.thread.submit(task.live)


class _Task:
    """One task as this replica sees it. On the store's thread."""

    def __init__(
        self,
        owner: AppTasks,
        name: TaskName,
        schedule: Schedule,
        func: Callable[..., Any],
        *,
        at_once: bool,
    ) -> None:
        self.schedule = schedule
        self.func = func
        self.replaced = False
        self._owner = owner
        self._tasks = owner.tasks
        self._name = name
        self._facts = {"app": name.app}
        self._counted = owner.tasks.meter.task(name.app, name.name)
        self._since: float | None = None
        self._at_once = at_once
        self._known = 0.0
        self._ahead = 0.0
        """What the store's clock shows more than ``time.monotonic()``."""
        self._away = False

    async def live(self, store: Store) -> None:
        """Until it is replaced, or the replica stops."""
        while not (self.replaced or self._tasks.stopping):
            try:
                seconds = await self._step(store)
                self._note(None)
            except StoreError as error:
                self._note(error)
                seconds = RETRY_SECONDS
            except Exception:
                # Whatever it is, the task must not end with it.
                log.exception("task %r failed", self._name.name, extra=self._facts)
                seconds = RETRY_SECONDS
            await asyncio.sleep(min(max(seconds, 0.0), LONGEST_SLEEP_SECONDS))

    async def _step(self, store: Store) -> float:
        """Ask, run what is due; how many seconds there is nothing to do then."""
        if self._since is None:
            now = (await self._ask(store, 0.0, 0.0, "")).now
            self._since = 0.0 if self._at_once else now
        due, next_due = self.schedule.around(self._now)
        turn = await self._ask(store, due, next_due, secrets.token_hex(8))
        if turn.turn is LeaseState.RUN and self._known:
            self._counted.missed.inc(self._missed(turn.due))
        self._known = max(self._known, turn.due)
        if turn.turn is LeaseState.HELD:
            return min(turn.left, TASK_LEASE_SECONDS)
        if turn.turn is LeaseState.RUN:
            if not self._tasks.stopping:  # else another replica runs it, once the lease is over
                await self._run(store, turn)
            return 0.0
        return next_due - self._now

    def _missed(self, due: float) -> int:
        """How many due times there were between the last one that was begun and ``due``."""
        count, after = 0, self._known
        while (after := self.schedule.around(after)[1]) < due and count < MAX_MISSED:
            count += 1
        return count

    @property
    def _now(self) -> float:
        return time.monotonic() + self._ahead

    async def _ask(self, store: Store, due: float, next_due: float, call: str) -> TaskLease:
        turn = await store.begin_task(
            self._name,
            self._tasks.replica,
            call=call,
            schedule=self.schedule.text,
            due=due,
            next_due=next_due,
            known=self._known,
            since=self._since or 0.0,
            lease=TASK_LEASE_SECONDS,
        )
        self._ahead = turn.now - time.monotonic()
        return turn

    async def _run(self, store: Store, turn: TaskLease) -> None:
        done: Future[None] = Future()
        self._tasks.under_way.add(done)
        try:
            run = TaskRun(self._name.name, turn.fence, datetime.fromtimestamp(turn.due, UTC))
            error = await self._watch(store, run, turn)
            await self._end(store, run, error)
        finally:
            self._tasks.under_way.discard(done)
            done.set_result(None)

    async def _watch(self, store: Store, run: TaskRun, turn: TaskLease) -> str:
        """Renew the lease while the app's code runs; what that raised."""
        began = time.monotonic()
        coroutine = self._owner.app.run(self.func, *([run] if _takes_argument(self.func) else []))
        work = asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, self._owner.loop))
        renewed = time.monotonic()
        while not (await asyncio.wait([work], timeout=TASK_RENEW_SECONDS))[0]:
            if await self._renewed(store, run, turn):
                renewed = time.monotonic()
            elif time.monotonic() - renewed > TASK_LEASE_SECONDS - TASK_RENEW_SECONDS:
                run.lost = True
        failure = work.exception()
        self._counted.seconds.observe(time.monotonic() - began)
        outcome = self._counted.lost if run.lost else self._counted.failed if failure else self._counted.ok
        outcome.inc()
        if failure is None:
            return ""
        text = "a run of the task %r failed"
        log.error(text, self._name.name, exc_info=exc_info_of_app(failure), extra=self._facts)
        return " ".join(f"{type(failure).__name__}: {failure}".split())[:500]

    async def _renewed(self, store: Store, run: TaskRun, turn: TaskLease) -> bool:
        """False where the store did not answer."""
        try:
            ours = await store.renew_task(
                self._name, self._tasks.replica, fence=run.fence, due=turn.due, lease=TASK_LEASE_SECONDS
            )
        except StoreError as error:
            self._note(error)
            return False
        if not ours and not run.lost:
            run.lost = True
            log.warning("another replica runs the task %r by now", self._name.name, extra=self._facts)
        return True

    async def _end(self, store: Store, run: TaskRun, error: str) -> None:
        """Until the store knows it, or nobody would believe it any more."""
        deadline = time.monotonic() + TASK_LEASE_SECONDS
        while True:
            try:
                await store.end_task(self._name, fence=run.fence, error=error)
                return
            except StoreError as failure:
                if time.monotonic() > deadline:
                    raise
                self._note(failure)
            await asyncio.sleep(RETRY_SECONDS / 4)

    def _note(self, error: StoreError | None) -> None:
        if error is not None and not self._away:
            log.warning("the task %r waits for the store: %s", self._name.name, error, extra=self._facts)
        self._away = error is not None


def is_of_session_script(func: Callable[..., Any]) -> bool:
    """As bokeh (3.9 and 3.10) names what it runs for a session; hooks, too, but those run without one."""
    return str(getattr(func, "__module__", "")).startswith("bokeh_app_")


def _takes_argument(func: Callable[..., Any]) -> bool:
    """Whether it can be given one."""
    try:
        inspect.signature(func).bind(None)
    except TypeError:
        return False
    except ValueError:  # it says nothing of its arguments, as some that are written in C
        return False
    return True
