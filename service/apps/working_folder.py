"""``os.chdir`` in the run of an app's code, which Bokeh takes back when the run ends.

A folder belongs to the process, and other threads run other apps meanwhile. On Linux a thread can have one of
its own: it asks the kernel to share no longer (``unshare(CLONE_FS)``), which needs no privilege. Threads that
it starts have the same. Where the kernel refuses, as it does under the default seccomp profile of Docker and
containerd, a run that changes the folder waits until it is the only one, and new ones wait for it.

Outside of runs (callbacks, hooks) ``os.chdir`` is for the process and stays, as in ``bokeh serve``.
"""

from __future__ import annotations

import ctypes
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

__all__ = ("follow", "install", "of_run")

log = logging.getLogger(__name__)

CLONE_FS = 0x200
OF_MAIN_THREAD = "/proc/self/cwd"
"""The folder of the process: ``self`` is the process, and with it its first thread."""

_chdir, _fchdir = os.chdir, getattr(os, "fchdir", None)


class _Thread(threading.local):
    has_own = False
    """Whether the kernel keeps a folder for this thread."""


_this_thread = _Thread()


class _Run:
    """A run of an app's code on one thread."""

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self.before: str | None = None
        """Where to go back to, once it has changed the folder."""
        self.ended = False


_run: ContextVar[_Run | None] = ContextVar("run_with_folder", default=None)


def install() -> None:
    """Replace ``os.chdir`` and ``os.fchdir``. Idempotent."""
    if os.chdir is _chdir:
        os.chdir = chdir
        os.supports_fd.add(chdir)
    if _fchdir is not None and os.fchdir is _fchdir:
        os.fchdir = fchdir


def chdir(path: Any) -> None:
    """Change the current working directory to the specified path."""
    _change(_chdir, path)


def fchdir(fd: Any) -> None:
    """Change to the directory of the given file descriptor."""
    assert _fchdir is not None
    _change(_fchdir, fd)


def _current_run() -> _Run | None:
    """Tasks that were begun in a run outlive it, with its context."""
    run = _run.get()
    return None if run is None or run.ended else run


@contextmanager
def of_run() -> Iterator[None]:
    """Around a run of an app's code: the folder is afterwards what it was before."""
    if _current_run() is not None:
        yield
        return
    run = _Run()
    _turns.begin()
    token = _run.set(run)
    try:
        yield
    finally:
        _run.reset(token)
        run.ended = True
        try:
            _go_back(run)
        finally:
            _turns.end(run)


def follow() -> None:
    """Before code that is no run: be where the process is, also on a thread with a folder of its own."""
    if _this_thread.has_own and _current_run() is None:
        _chdir(OF_MAIN_THREAD)


def _change(change: Callable[[Any], None], place: Any) -> None:
    run = _current_run()
    if run is not None and run.thread == threading.get_ident():
        _change_in_run(run, change, place)
    else:
        change(place)
        if run is None and _this_thread.has_own:
            _for_process.go(os.getcwd())


def _change_in_run(run: _Run, change: Callable[[Any], None], place: Any) -> None:
    here = os.getcwd()
    if run.before is None and isinstance(place, str) and place == here:
        return  # Bokeh (3.9 and 3.10) goes back after each run, also after those that stayed where they were
    if run.before is None and not _have_own():
        _turns.wait_to_be_alone(run)
        here = os.getcwd()
    change(place)
    run.before = run.before or here


def _go_back(run: _Run) -> None:
    if run.before is not None:
        _chdir(OF_MAIN_THREAD if _this_thread.has_own else run.before)


def _have_own() -> bool:
    """Give this thread a folder of its own if that is possible. Threads that others started never get one."""
    if not _this_thread.has_own and not _on_main_thread():
        _for_process.start()
        _this_thread.has_own = _unshare()
    return _this_thread.has_own


def _unshare() -> bool:
    if not sys.platform.startswith("linux") or not os.path.exists(OF_MAIN_THREAD):
        return False
    library = ctypes.CDLL(None, use_errno=True)  # os.unshare is there from Python 3.12 on
    return bool(library.unshare(CLONE_FS) == 0)


class _ForProcess:
    """A thread that shares the folder of the process, for those that no longer do."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None

    def start(self) -> None:
        """Must be called while the calling thread shares it as well."""
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(1, thread_name_prefix="working-folder")
                self._pool.submit(int).result()

    def go(self, place: str) -> None:
        assert self._pool is not None
        self._pool.submit(_chdir, place).result()


class _Turns:
    """Where threads have no folder of their own: a run that changes it has the process for itself."""

    MAX_WAIT_SECONDS = 30.0
    """Code that never ends must not keep all other apps from being opened."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._running = 0
        self._waiting = 0
        self._alone: _Run | None = None
        self._told = False

    def begin(self) -> None:
        with self._changed:
            self._wait(lambda: self._alone is None and not self._waiting)
            self._running += 1

    def end(self, run: _Run) -> None:
        with self._changed:
            self._running -= 1
            if self._alone is run:
                self._alone = None
            self._changed.notify_all()

    def wait_to_be_alone(self, run: _Run) -> None:
        """Runs that wait here as well are in nobody's way: they have not changed anything."""
        with self._changed:
            self._tell()
            self._waiting += 1
            self._running -= 1
            self._changed.notify_all()
            self._wait(lambda: self._alone is None and not self._running)
            self._running += 1
            self._waiting -= 1
            self._alone = run

    def _wait(self, until: Callable[[], bool]) -> None:
        # On the event loop it would keep everybody waiting, and those it waits for may need the loop.
        if not _on_main_thread() and not self._changed.wait_for(until, self.MAX_WAIT_SECONDS):
            log.warning(
                "an app that changes the working folder runs beside others, since one takes more than %g s: "
                "relative paths may lead elsewhere", self.MAX_WAIT_SECONDS,
            )  # fmt: skip

    def _tell(self) -> None:
        if not self._told and not _on_main_thread():
            self._told = True
            log.warning(
                "threads cannot have a working folder of their own here (unshare(CLONE_FS) is refused): "
                "while an app that calls os.chdir is opened, others that are opened wait"
            )


def _on_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _forget_threads() -> None:
    """In a child that was forked: it has a folder of its own, and none of the threads."""
    global _for_process, _turns
    os.chdir = _chdir
    if _fchdir is not None:
        os.fchdir = _fchdir
    _for_process, _turns = _ForProcess(), _Turns()


_for_process, _turns = _ForProcess(), _Turns()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads)
