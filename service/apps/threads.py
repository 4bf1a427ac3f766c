"""Threads that app code starts make models for its session.

A thread begins with an empty context (before Python 3.14, and there by default), so its models would get ids
of the process, which mean other models on the next replica. What runs on a pool belongs to who submitted it.

``curdoc()`` is not passed on: threads that one session starts and all use (feeds, caches) outlive it.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import thread as pool_thread
from contextvars import ContextVar
from functools import partial
from typing import Any, ParamSpec, TypeVar

from service.documents.ids import Ids, current_ids

__all__ = ("install", "panel_work")

P = ParamSpec("P")
T = TypeVar("T")

threading_start = threading.Thread.start
pool_submit = ThreadPoolExecutor.submit


panel_work: ContextVar[set[Future[Any]] | None] = ContextVar("panel_work", default=None)
"""Gets what is submitted to Panel's own pool (``nthreads``), where somebody must know when it is over."""


def install() -> None:
    """Hand the ids of the session on to threads. Idempotent, and without effect outside of sessions."""
    threading.Thread.start = start  # type: ignore[method-assign]
    ThreadPoolExecutor.submit = submit  # type: ignore[assignment, method-assign]


def start(self: threading.Thread) -> None:
    ids = current_ids.get()
    if ids is not None and not _is_of_pool(self):
        self.run = partial(_run, self, self.run, ids.branch())  # type: ignore[method-assign]
    threading_start(self)


def submit(self: ThreadPoolExecutor, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
    ids = current_ids.get()
    if ids is None:
        return pool_submit(self, fn, *args, **kwargs)
    future = pool_submit(self, partial(_with_ids, ids.branch(), fn), *args, **kwargs)
    work = panel_work.get()
    if work is not None and _is_panels(self):
        work.add(future)
    return future


def _is_panels(pool: ThreadPoolExecutor) -> bool:
    state = sys.modules.get("panel.io.state")
    return state is not None and state.state._thread_pool is pool  # panel 1.9 and 1.10


def _is_of_pool(thread: threading.Thread) -> bool:
    """Whether a ``ThreadPoolExecutor`` starts the thread, for everybody's work (Python 3.11 to 3.14)."""
    return getattr(thread, "_target", None) is pool_thread._worker


def _run(thread: threading.Thread, run: Callable[[], None], ids: Ids) -> None:
    del thread.run  # no cycle that keeps its arguments in memory
    current_ids.set(ids)
    run()


def _with_ids(ids: Ids, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
    token = current_ids.set(ids)
    try:
        return fn(*args, **kwargs)
    finally:
        current_ids.reset(token)
