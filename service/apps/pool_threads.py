"""Threads that run one job after the other, and how the event loop wakes one with few switches of threads.

A lock or a queue wakes a thread while the event loop still has the interpreter. The thread finds it taken,
goes back to sleep, and is woken again; on the way back the event loop fares alike: six switches of threads
for one call. A write to a file descriptor gives the interpreter back first, and so does a read: two switches.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable
from contextvars import Context
from typing import Any, Protocol

__all__ = ("PoolThread", "Runnable", "let_others_run")

let_others_run: Callable[[], object] = getattr(os, "sched_yield", lambda: time.sleep(0))
"""Give the interpreter back for a moment, and the processor to a thread that was just woken."""

_ONE = (1).to_bytes(8, "little")
"""What is written: an eventfd takes a number of eight bytes, and a pipe whatever it gets."""


class Runnable(Protocol):
    """What such a thread runs."""

    def run(self) -> None:
        """Never raises."""

    def ran(self) -> bool:
        """Whether the event loop waits for it right now; else it has to be told."""


class PoolThread:
    """One thread. While nothing is handed to it, it is in ``idle``, from where the event loop takes it."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        idle: list[PoolThread],
        done: Callable[[Any], object],
    ) -> None:
        self._loop = loop
        self._idle = idle
        self._done = done
        self._next: Runnable | None = None
        self._wakes, self._awaits = _wakeup()
        self._thread = threading.Thread(target=self._serve, name="svc app code", daemon=True)

    def start(self) -> None:
        self._idle.append(self)
        Context().run(self._thread.start)  # it serves all sessions, so it must not inherit the ids of one

    def hand(self, job: Runnable | None) -> None:
        """Run this next; None: end. On the event loop, once after it was taken out of ``idle``."""
        self._next = job
        os.write(self._wakes, _ONE)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)  # what app code finds as "the" event loop is the server's
        while (job := self._awaited()) is not None:
            job.run()
            self._idle.append(self)  # first: once the event loop knows that it is over, it may hand the next
            if not job.ran():
                try:
                    self._loop.call_soon_threadsafe(self._done, job)
                except RuntimeError:
                    break  # the loop is closed: nobody waits any more
            del job  # not while the next one is waited for: it holds a session
        for descriptor in {self._wakes, self._awaits}:
            os.close(descriptor)

    def _awaited(self) -> Runnable | None:
        os.read(self._awaits, len(_ONE))
        job, self._next = self._next, None
        return job


def _wakeup() -> tuple[int, int]:
    """Descriptors to write to and to read from."""
    if hasattr(os, "eventfd"):
        descriptor = os.eventfd(0, os.EFD_CLOEXEC)
        return descriptor, descriptor
    reads, writes = os.pipe()
    return writes, reads
