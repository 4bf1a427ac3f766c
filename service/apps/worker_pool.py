"""A pool of threads that app code runs on, so that slow code of one session keeps nobody else waiting.

Who gets a thread when is decided on the event loop alone, in plain fields without locks; a thread takes what
it is handed, runs it in the context of who asked for it, and hands the result back to the loop. Nobody joins
these threads: code that never ends must not keep the process from ending.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextvars import Context, copy_context
from functools import partial
from typing import Any, ParamSpec, TypeVar

from service.apps.pool_threads import PoolThread, let_others_run
from service.apps.raised import as_exception
from service.apps.stacks import where
from service.apps.threads import handed_on, note_panel_work, within
from service.errors import AppCodeAbandoned

__all__ = ("WAIT_SECONDS", "Job", "PoolExecutor", "WorkerPool", "Workers", "name_of")

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

RESERVED_DIVISOR = 4
"""One thread of so many stays free for the other apps, where there are any."""

WAIT_SECONDS = 0.004
"""How long the event loop stands still for a call that was quick the last time.

Quick calls then cost two switches of threads and nothing else: no task, no further turn of the event loop, no
wake-up through a socket. What takes longer goes on without it, the first time too.
"""

WAIT_AGAIN_SECONDS = 0.1
"""How long it does not do that any more after it was in vain once, for whomever."""

YIELDS_BEFORE_WAIT = 4
"""How often it lets others run before it goes to sleep for that: the thread that it has just woken begins
then, and is mostly through with a quick call.
"""

BUILDS_DIVISOR = 2
"""One thread of so many may build; the others are for whoever has a page already."""


class Job(asyncio.Future[Any]):
    """One call on a thread of the pool, and what comes of it.

    Cancelling it takes it out of the queue. Once it runs it is finished: a task that is cancelled while it
    waits for that gets its ``CancelledError`` afterwards, so that no lock is given back under running code.
    """

    # Nearly every job keeps most of these, so they are the class's: each message of a client is a job.
    begun = False
    asked = 0.0
    """When it was put into the queue."""
    thread: int | None = None
    """The ident of the thread that runs it."""
    result_or_error: tuple[Any, Exception | None] = (None, None)
    quick = False
    """It took no longer than the event loop may wait for it."""
    _over = False
    _wakes: threading.Lock | None = None
    """Released when it is over."""
    _unwanted = False

    def __init__(
        self,
        workers: Workers,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        *,
        build: bool = False,
        wait: bool = False,
    ) -> None:
        super().__init__(loop=workers.pool.loop)
        self.workers = workers
        self.build = build
        self._call: tuple[Context, Callable[..., Any], tuple[Any, ...]] | None = (copy_context(), func, args)
        self._undecided = [None] if wait else []
        """Taken out by who is first: the thread that has run it, or the loop that waits for it no longer."""
        self.waited_for = wait

    @property
    def what(self) -> str:
        """What is called, and where it stands now, in words."""
        name = "" if self._call is None else name_of(self._call[1])
        return where(self.thread) or name

    def cancel(self, msg: Any | None = None) -> bool:
        if not self.begun:
            self.workers.withdraw(self)
            return super().cancel(msg)
        self._unwanted = not self.done()
        return False

    def run(self) -> None:
        """On a thread of the pool."""
        self.thread = threading.get_ident()
        began = time.monotonic()
        assert self._call is not None
        context, func, args = self._call
        try:
            self.result_or_error = context.run(func, *args), None
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is awaited
            self.result_or_error = None, as_exception(error)
        self.quick = time.monotonic() - began < WAIT_SECONDS

    def ran(self) -> bool:
        """On its thread: whether the loop waits for it right now; else it has to be told."""
        waited_for = self._is_first()
        self._over = True
        if self._wakes is not None:
            self._wakes.release()
        return waited_for

    def runs_at_once(self) -> bool:
        """On the event loop: wait a moment for it; whether it is over by then."""
        pool = self.workers.pool
        if self.begun and pool.may_wait():
            pool.hand_out(self)
            if self._is_over_soon():
                pool.finished(self)
                return True
            pool.waited_in_vain()
        elif self.begun:
            pool.hand_out(self)
        self.waited_for = False  # if it is in the queue still, it is handed out from there
        if not self._is_first():  # it is over just now
            pool.finished(self)
            return True
        return False

    def _is_over_soon(self) -> bool:
        for _ in range(YIELDS_BEFORE_WAIT):
            if self._over:
                return True
            let_others_run()
        wakes = threading.Lock()
        wakes.acquire()
        self._wakes = wakes
        return self._over or wakes.acquire(timeout=WAIT_SECONDS)

    def _is_first(self) -> bool:
        try:
            self._undecided.pop()
        except IndexError:
            return False
        return True

    def finish(self) -> None:
        """On the event loop: hand on what came of it."""
        (result, error), self.result_or_error, self._call = self.result_or_error, (None, None), None
        if self.done():  # it was given up
            return
        if error is None:
            self.set_result(result)
            return
        self.set_exception(error)
        if self._unwanted:
            self.exception()  # nobody else will ask for it
            log.error("app code failed after its caller had left", exc_info=error)

    def give_up(self) -> None:
        """Whoever waits for it goes on, with :class:`AppCodeAbandoned`."""
        if not self.done():
            self.set_exception(AppCodeAbandoned("app code did not return in time"))
            self.exception()


class WorkerPool:
    """``size`` threads at most, on behalf of the event loop that it is :meth:`open` on."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.loop: asyncio.AbstractEventLoop
        self._shares: dict[str, Workers] = {}
        self._turns: deque[Workers] = deque()
        """Apps in the order in which they are served next."""
        self._running: set[Job] = set()
        self._threads = 0
        """Those that serve; one whose job was given up is none of them."""
        self._idle: list[PoolThread] = []
        """Those that nothing was handed to; the last is the one that was at work a moment ago."""
        self._closed = False
        self._wait_from = 0.0

    def open(self) -> None:
        """Serve the event loop that runs now."""
        self.loop = asyncio.get_running_loop()
        self._idle = []  # threads of a loop before may have ended with it
        self._threads = 0
        self._closed = False
        _take_timers_from_threads(self.loop)

    def grow(self, size: int) -> None:
        """Have at least so many threads. Callable from any thread."""
        if size > self.size:
            self.loop.call_soon_threadsafe(self._grow, size)

    def _grow(self, size: int) -> None:
        if size > self.size:
            log.info("app code has %d threads from here on", size)
            self.size = size
            self._admit()

    def workers(self, app: str, waited: Callable[[float], None] = lambda _: None) -> Workers:
        """The share of one app. ``waited`` is told how many seconds each job was in the queue."""
        if app not in self._shares:
            self._shares[app] = workers = Workers(self, app, waited)
            self._turns.append(workers)
        return self._shares[app]

    @property
    def shares(self) -> Iterator[Workers]:
        yield from self._shares.values()

    @property
    def busy(self) -> int:
        """Threads at work."""
        return len(self._running)

    @property
    def queued(self) -> int:
        """Jobs that wait for a thread. Callable from any thread."""
        return sum(each.queued for each in list(self._shares.values()))

    @property
    def share(self) -> int:
        """Threads that one app may have."""
        return self.size if len(self._shares) < 2 else self.size - self.size // RESERVED_DIVISOR

    @property
    def builds(self) -> int:
        """Threads on which one app may be built."""
        return max(1, self.size // BUILDS_DIVISOR)

    def may_wait(self) -> bool:
        """Whether the event loop may stand still for a moment."""
        return not self._wait_from or time.monotonic() >= self._wait_from

    def waited_in_vain(self) -> None:
        self._wait_from = time.monotonic() + WAIT_AGAIN_SECONDS

    def running(self) -> list[Job]:
        return list(self._running)

    def submit(self, job: Job) -> None:
        """On the event loop. Raises AppCodeAbandoned when the pool is closed."""
        if self._closed:
            raise AppCodeAbandoned("this server stops")
        if job.workers.may_begin(job):
            self._begin(job, 0.0)
        else:
            job.workers.enqueue(job)

    def give_up(self, job: Job) -> None:
        """Do not wait for it any longer: its thread is none of ours from here on."""
        if job in self._running:
            self._ended(job)
            self._threads -= 1
            job.workers.given_up += 1
            job.give_up()
            self._admit()
        elif not job.begun:
            job.workers.withdraw(job)
            job.give_up()

    def give_up_all(self) -> None:
        """Wait for nothing that was asked for until now."""
        for workers in self._shares.values():
            workers.drop_queue()
        for job in self.running():
            self.give_up(job)

    def close(self) -> None:
        """Take nothing any more, and wait for nothing."""
        self._closed = True
        self.give_up_all()
        while self._idle:
            self._end_thread()
        self._threads = 0

    def _begin(self, job: Job, waited: float) -> None:
        job.begun = True
        job.workers.begins(job, waited)
        self._running.add(job)
        if len(self._running) > self._threads:
            self._start_thread()
        if not job.waited_for:
            self._idle.pop().hand(job)

    def hand_out(self, job: Job) -> None:
        """To a thread, for a job that the event loop waits for."""
        job.waited_for = False
        self._idle.pop().hand(job)

    def _start_thread(self) -> None:
        self._threads += 1
        PoolThread(self.loop, self._idle, self.finished).start()

    def finished(self, job: Job) -> None:
        """On the event loop: a thread has run it."""
        if job in self._running:
            self._ended(job)
            job.finish()
            self._admit()
        else:
            job.finish()
            job.workers.given_up -= 1
            self._end_thread()  # it was given up, and its thread replaced: one of them is too many

    def _end_thread(self) -> None:
        if self._idle:  # all have ended that were there when the pool was closed
            self._idle.pop().hand(None)

    def _ended(self, job: Job) -> None:
        self._running.discard(job)
        job.workers.ended(job)

    def _admit(self) -> None:
        """One job of each app in turn, as far as there are threads."""
        waiting = [each for each in self._turns if each.queued]
        while waiting and len(self._running) < self.size:
            for workers in waiting:
                job = workers.next()
                if job is not None:
                    self._turns.remove(workers)
                    self._turns.append(workers)
                    self._begin(job, time.monotonic() - job.asked)
                    break
            else:
                return
            waiting = [each for each in self._turns if each.queued]


class Workers:
    """The share of one app in a :class:`WorkerPool`."""

    def __init__(self, pool: WorkerPool, app: str, waited: Callable[[float], None]) -> None:
        self.pool = pool
        self.app = app
        self.busy = 0
        self.given_up = 0
        """Threads with code that nobody waits for any more: they are not among the busy ones."""
        self._waited = waited
        self._builds = 0
        self._calls: deque[Job] = deque()
        self._waiting_builds: deque[Job] = deque()

    @property
    def queued(self) -> int:
        return len(self._calls) + len(self._waiting_builds)

    def submit(self, func: Callable[..., Any], *args: Any, build: bool = False, wait: bool = False) -> Job:
        """Call ``func(*args)`` on a thread, in a copy of this context; what is returned is to be awaited.

        With ``wait`` :meth:`Job.runs_at_once` has to be called next. On the event loop only. Raises
        AppCodeAbandoned when the server stops.
        """
        job = Job(self, func, args, build=build, wait=wait)
        self.pool.submit(job)
        return job

    def may_begin(self, job: Job) -> bool:
        pool = self.pool
        if len(pool._running) >= pool.size or self.busy >= pool.share:
            return False
        return not job.build or self._builds < pool.builds

    def enqueue(self, job: Job) -> None:
        job.asked = time.monotonic()
        (self._waiting_builds if job.build else self._calls).append(job)

    def next(self) -> Job | None:
        """Take the next job out of the queue, if one of them may begin: who has a page comes first."""
        for queue in (self._calls, self._waiting_builds):
            if queue and self.may_begin(queue[0]):
                return queue.popleft()
        return None

    def withdraw(self, job: Job) -> None:
        queue = self._waiting_builds if job.build else self._calls
        if job in queue:
            queue.remove(job)

    def drop_queue(self) -> None:
        for job in [*self._calls, *self._waiting_builds]:
            job.give_up()
        self._calls.clear()
        self._waiting_builds.clear()

    def begins(self, job: Job, waited: float) -> None:
        self.busy += 1
        if job.build:
            self._builds += 1
        self._waited(waited)

    def ended(self, job: Job) -> None:
        self.busy -= 1
        if job.build:
            self._builds -= 1


class PoolExecutor(Executor):
    """The pool for who wants an ``Executor``: Panel's own threads, which are these then."""

    def __init__(self, pool: WorkerPool, app: str) -> None:
        self._pool = pool
        self._app = app

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Callable from any thread. What runs belongs to who submitted it, but does not hold its locks."""
        future: Future[T] = Future()
        ours = handed_on()
        call = partial(fn, *args, **kwargs)
        work = call if ours is None else partial(within, ours, call)
        note_panel_work(future)
        self._pool.loop.call_soon_threadsafe(self._begin, future, work, context=Context())
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False, **ours: Any) -> None:
        """Its threads are others', too."""

    def _begin(self, future: Future[Any], work: Callable[[], Any]) -> None:
        try:
            self._pool.workers(self._app).submit(_fulfil, future, work).add_done_callback(_look)
        except AppCodeAbandoned:
            future.cancel()


def _fulfil(future: Future[Any], work: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = work()
    except BaseException as error:  # noqa: BLE001 - it is raised where the result is asked for
        future.set_exception(error)
    else:
        future.set_result(result)


def _look(job: asyncio.Future[Any]) -> None:
    if not job.cancelled():
        job.exception()


def name_of(func: Any) -> str:
    """Of what is called, behind ``partial`` and ``functools.wraps``."""
    while isinstance(func, partial) or hasattr(func, "__wrapped__"):
        func = func.func if isinstance(func, partial) else func.__wrapped__
    return str(getattr(func, "__qualname__", type(func).__qualname__))


class _Timer:
    """What ``call_at`` gives where it is not called on the loop's own thread."""

    _source_traceback = None  # call_later looks for it (Python 3.11 to 3.14)

    def __init__(self, loop: asyncio.AbstractEventLoop, begin: Callable[[], asyncio.TimerHandle]) -> None:
        self._loop = loop
        self._begin: Callable[[], asyncio.TimerHandle] | None = begin
        self._handle: asyncio.TimerHandle | None = None
        loop.call_soon_threadsafe(self._start)

    def _start(self) -> None:
        begin, self._begin = self._begin, None
        if begin is not None:
            self._handle = begin()

    def cancel(self) -> None:
        self._begin = None
        self._loop.call_soon_threadsafe(self._stop)

    def cancelled(self) -> bool:
        return self._begin is None and (self._handle is None or self._handle.cancelled())

    def _stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()


def _take_timers_from_threads(loop: Any) -> None:
    """Make ``call_later`` and ``call_at`` safe to call on any thread.

    They are the part of an event loop that code in synchronous callbacks has ever called (Tornado's
    ``IOLoop.current().call_later``, and Panel's timers), and that breaks the loop when called on another one.
    """
    if "call_at" in vars(loop):
        return
    own_thread, call_at = threading.get_ident(), loop.call_at

    def call_at_from_anywhere(when: float, callback: Any, *args: Any, context: Any = None) -> Any:
        if threading.get_ident() == own_thread:
            return call_at(when, callback, *args, context=context)
        context = context or copy_context()
        return _Timer(loop, lambda: call_at(when, callback, *args, context=context))

    try:
        loop.call_at = call_at_from_anywhere
    except AttributeError:
        log.debug("timers of this event loop can be set on its own thread only")
