"""A child that app code has forked ends with that code: what comes after it is the server's.

There is no event loop in it, nor any other thread, so a thread whose call came back would wait for ever to be
told what to do, and whoever waits for the child with it. In ``bokeh serve``, too, ``sys.exit`` ends it.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import cache, wraps

from service.apps.steps import Step, under_way, watch_steps
from service.exit_codes import FAILURE, SUCCESS

__all__ = ("after_hooks", "end_process", "install")


@cache
def install() -> None:
    """Once per process: hooks cannot be taken off again."""
    os.register_at_fork(after_in_child=_begun)


_fork, _forkpty = os.fork, os.forkpty
_after_hooks: list[Callable[[bool], object]] = []


def after_hooks(call: Callable[[bool], object]) -> None:
    """From here on ``call`` is called in each child as ``os.fork`` is about to return there: hooks are over.

    With whether Python calls handlers of signals in it.
    """
    _after_hooks.append(call)
    os.fork, os.forkpty = fork, forkpty


@wraps(_fork)
def fork() -> int:
    calls_handlers = _child_calls_handlers()
    pid = _fork()
    if not pid:
        _hooks_are_over(calls_handlers)
    return pid


@wraps(_forkpty)
def forkpty() -> tuple[int, int]:
    calls_handlers = _child_calls_handlers()
    pid, descriptor = _forkpty()
    if not pid:
        _hooks_are_over(calls_handlers)
    return pid, descriptor


def _child_calls_handlers() -> bool:
    """A thread's child with Python 3.13 or 3.14 misses a signal that does not interrupt a system call."""
    return sys.version_info < (3, 13) or threading.current_thread() is threading.main_thread()


def _hooks_are_over(calls_handlers: bool) -> None:
    for call in _after_hooks:
        call(calls_handlers)


class _Child:
    """Told of each step in the child as it ends."""

    limit = 0.0

    def __init__(self, inherited: frozenset[Step]) -> None:
        self._inherited = inherited

    def ended(self, step: Step, seconds: float) -> None:
        if step in self._inherited:
            end_process(sys.exc_info()[1])


def _begun() -> None:
    inherited, step = [], under_way.get(threading.get_ident())
    while step is not None:
        inherited.append(step)
        step = step.outer
    if inherited:
        watch_steps(_Child(frozenset(inherited)))


def end_process(error: BaseException | None) -> None:
    """As Python ends on ``error``, but for what the server had put off until its own end."""
    if isinstance(error, KeyboardInterrupt):
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.raise_signal(signal.SIGINT)
    status = _exit_status(error)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(status)


def _exit_status(error: BaseException | None) -> int:
    if error is None:
        return SUCCESS
    if not isinstance(error, SystemExit):
        traceback.print_exception(error)
        return FAILURE
    if error.code is None or isinstance(error.code, int):
        return (error.code or 0) & 0xFF
    print(error.code, file=sys.stderr)  # noqa: T201 - as Python does
    return FAILURE
