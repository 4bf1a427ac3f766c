"""What SIGTERM and SIGINT do: they ask this process to stop, and no other.

A forked child has our handlers and, by :func:`signal.set_wakeup_fd`, tells our event loop of its signals:
``terminate()`` of a process or a pool that an app has forked would stop the server instead of the child. So
children of a fork get Python's own handlers. Until they have them the signals are blocked, as one may come
before the child has run a line. What ``exec`` starts (``subprocess``, ``spawn``) inherits no handlers.

Python's handler of SIGINT raises, and what is raised within a hook of a fork, ours or another's, is lost
(Python 3.11 to 3.13): the child would go on. So it is there when ``os.fork`` returns, and SIGINT ends the
child until then; for good where Python would not call the handler.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from functools import cache
from typing import Any

from service.apps import forked

__all__ = ("NUMBERS", "remove", "take")

NUMBERS = (signal.SIGTERM, signal.SIGINT)

_ours: dict[signal.Signals, Any] = {}
"""The handlers that are installed; an app that has put another one there wants its children to have it."""

_forking = threading.local()
"""The signals that were blocked in this thread before it began to fork."""

_interruptible = False
"""Whether this is a child whose SIGINT shall raise KeyboardInterrupt as soon as its hooks are over."""


def take(loop: asyncio.AbstractEventLoop, stop: Callable[[], object]) -> None:
    """Call ``stop`` on ``loop`` for each signal. On the main thread only."""
    _watch_forks()
    for number in NUMBERS:
        loop.add_signal_handler(number, stop)
        _ours[number] = signal.getsignal(number)


def remove(loop: asyncio.AbstractEventLoop) -> None:
    """The reverse of :func:`take`."""
    for number in NUMBERS:
        loop.remove_signal_handler(number)
    _ours.clear()


@cache
def _watch_forks() -> None:
    """Once per process: hooks cannot be taken off again."""
    os.register_at_fork(before=_block, after_in_parent=_unblock, after_in_child=_begin_afresh)
    forked.after_hooks(_hooks_are_over)


def _hooks_are_over(calls_handlers: bool) -> None:
    global _interruptible
    if _interruptible and calls_handlers:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    _interruptible = False


def _block() -> None:
    if _ours:
        _forking.blocked = signal.pthread_sigmask(signal.SIG_BLOCK, NUMBERS)


def _unblock() -> None:
    blocked = _forking.__dict__.pop("blocked", None)
    if blocked is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def _begin_afresh() -> None:
    """In the child, whose only and therefore main thread is the one that forked."""
    global _interruptible
    inherited = [number for number, handler in _ours.items() if signal.getsignal(number) == handler]
    if _ours:
        signal.set_wakeup_fd(-1)
        _ours.clear()
    for number in inherited:
        signal.signal(number, signal.SIG_DFL)
    _interruptible = signal.SIGINT in inherited
    _unblock()  # ends the child if it was signalled already
