"""Threads that app code starts make models for its session, import its modules and have its ``sys.argv``.

A thread begins with an empty context (before Python 3.14, and there by default), so its models would get ids
of the process, which mean other models on the next replica. What runs on a pool belongs to who submitted it.

``curdoc()`` is not passed on: threads that one session starts and all use (feeds, caches) outlive it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import thread as pool_thread
from contextlib import nullcontext
from contextvars import ContextVar
from functools import partial
from typing import Any, ParamSpec, TypeVar

from service.apps.app_directories import AppDirectory, running_app
from service.apps.contexts import AppServerContext, current_app
from service.apps.process_state import Names, names_of_run
from service.apps.when_imported import imported
from service.documents.ids import Ids, current_ids

__all__ = ("handed_on", "install", "note_panel_work", "panel_work", "within")

P = ParamSpec("P")
T = TypeVar("T")

HandedOn = tuple[Ids | None, AppDirectory | None, Names | None, AppServerContext | None]

threading_start = threading.Thread.start
pool_submit = ThreadPoolExecutor.submit


panel_work: ContextVar[set[Future[Any]] | None] = ContextVar("panel_work", default=None)
"""Gets what is submitted to Panel's own pool (``nthreads``), where somebody must know when it is over."""


def install() -> None:
    """Hand on to threads what is the app's. Idempotent, and without effect outside of app code."""
    threading.Thread.start = start  # type: ignore[method-assign]
    ThreadPoolExecutor.submit = submit  # type: ignore[assignment, method-assign]


def start(self: threading.Thread) -> None:
    # Asked only then: a pool starts as many threads as it happens to need, and each answer takes a number.
    ours = None if _is_of_pool(self) else handed_on()
    if ours is not None:
        self.run = partial(_run, self, self.run, ours)  # type: ignore[method-assign]
    threading_start(self)


def submit(self: ThreadPoolExecutor, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
    ours = handed_on()
    if ours is None:
        return pool_submit(self, fn, *args, **kwargs)
    future = pool_submit(self, partial(within, ours, fn), *args, **kwargs)
    if _is_panels(self):
        note_panel_work(future)
    return future


def _is_panels(pool: ThreadPoolExecutor) -> bool:
    """Whether it is the one that Panel (1.9 and 1.10) made, which it has where app code has no threads."""
    state = imported("panel.io.state")
    return state is not None and state.state._thread_pool is pool


def note_panel_work(future: Future[Any]) -> None:
    work = panel_work.get()
    if work is not None:
        work.add(future)


def _is_of_pool(thread: threading.Thread) -> bool:
    """Whether a ``ThreadPoolExecutor`` starts the thread, for everybody's work (Python 3.11 to 3.14)."""
    return getattr(thread, "_target", None) is pool_thread._worker


def handed_on() -> HandedOn | None:
    """What is the app's in this context; None outside of app code."""
    ids, directory, names, app = current_ids.get(), running_app.get(), names_of_run.get(), current_app.get()
    if ids is None and directory is None and names is None and app is None:
        return None
    return None if ids is None else ids.branch(), directory, names, app


def _run(thread: threading.Thread, run: Callable[[], None], handed_on: HandedOn) -> None:
    del thread.run  # no cycle that keeps its arguments in memory
    within(handed_on, run)


def within(handed_on: HandedOn, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
    """``fn(*args, **kwargs)`` with what is :func:`handed_on`."""
    ids, directory, names, app = handed_on
    tokens = current_ids.set(ids), running_app.set(directory), names_of_run.set(names), current_app.set(app)
    try:
        with nullcontext() if ids is None else ids.space.thread():
            return fn(*args, **kwargs)
    finally:
        current_ids.reset(tokens[0])
        running_app.reset(tokens[1])
        names_of_run.reset(tokens[2])
        current_app.reset(tokens[3])
