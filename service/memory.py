"""When Python's garbage collector runs: often over what is new, seldom over everything.

Left alone it stops the process for longer the more sessions live. Here what was loaded at the start is
frozen, which means that no collection looks at it, and full collections, which look at all the rest, are
begun here alone. Sessions that end are taken apart by hand (``service.documents.disposal``) and need no
collector; cycles of their apps are collected when memory stays in use that live sessions do not explain.
Other garbage, such as plots an app replaced, waits for a thorough collection, which comes when memory has
grown a lot.

And what becomes of blocks that were freed: see :func:`share_freed_blocks` and :func:`keep_large_blocks`. And
how much memory there is (:func:`container_limit`), and how much of it restoring a session takes
(:class:`Growth`).
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import logging
import math
import mmap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from service.errors import MemoryExceeded
from service.limits import MIB

__all__ = (
    "Collector", "Growth", "container_limit", "give_back", "keep_large_blocks", "reclaim", "resident",
    "share_freed_blocks",
)  # fmt: skip

log = logging.getLogger(__name__)

THRESHOLDS = (20_000, 4, 2**30)
"""New objects before a young collection, young ones before a middle one, which sees some 100,000 objects, and
middle ones before a full one: never. (Python 3.14 has no full ones of its own.)"""

LOOK_INTERVAL = 10.0
"""Seconds between looks at the memory in use."""

COLLECT_GROWTH = 1.5
COLLECT_SLACK_BYTES = 64 * MIB
"""A thorough collection is due when memory exceeds GROWTH times what the last one left, plus SLACK bytes."""

GROWTH_ENDED = 16 * MIB
"""And when sessions have ended, and memory is so many bytes above what those that live should take."""

SHARE_ENDED = 0.01
"""Share of the time that collections after sessions' ends may take, at most."""


_LARGEST = 32 * MIB - 2 * mmap.PAGESIZE
"""The largest block from which glibc learns (``DEFAULT_MMAP_THRESHOLD_MAX``), but for its own header."""


_ARENA_MAX = -8
"""``M_ARENA_MAX`` in glibc's malloc.h."""


def share_freed_blocks() -> None:
    """Have what one thread freed serve all others. To be called before apps are loaded and threads begin.

    Else glibc gives each thread an arena of its own, up to eight per core. Each keeps up to 64 MiB of what
    was freed at its end (:func:`keep_large_blocks`), which is of no use to other threads and which even
    ``malloc_trim`` leaves there (glibc 2.36): with threads for app code that is a gigabyte on two cores.
    What arenas are for, threads that allocate at the same time, Python's own lock rules out mostly.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_ARENA_MAX, 1)


def keep_large_blocks() -> None:
    """Have memory that large arrays leave serve the next ones: up to 64 MiB that nobody uses stay here.

    glibc returns each large block at once and gets another, page by page, which takes longer than to fill it
    (10 MB: 3.5 ms); until it sees one freed: blocks of that size are kept from then on, and twice as much
    at the end of the heap. This shows it the largest such block, which is never written to and costs nothing.
    """
    bytes(_LARGEST)


class Growth:
    """How much memory the code that is run inside of :meth:`counted` takes, where there is a limit to that.

    Memory is the process's. Of what it took while several counted, each has an equal part: a session that
    does no harm must not be set aside for another's. On the event loop only, also where the code is not.
    """

    _counting: ClassVar[dict[Growth, int]] = {}
    """Who counts now, and how many did at the same time, at most."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._bytes = 0

    @contextmanager
    def counted(self) -> Iterator[None]:
        if not self._most:
            yield
            return
        before = resident()
        self._counting[self] = 0
        for each, beside in self._counting.items():
            self._counting[each] = max(beside, len(self._counting))
        try:
            yield
        finally:
            self._bytes += (resident() - before) // self._counting.pop(self)

    def check(self) -> None:
        """Raise MemoryExceeded when it is more than the limit, and stays that when garbage is collected."""
        if not self._most or self._bytes <= self._most:
            return
        before = resident()
        reclaim()
        self._bytes -= max(0, before - resident())
        if self._bytes > self._most:
            raise MemoryExceeded(f"it took {self._bytes >> 20} MiB, and may take {self._most >> 20} MiB")


def reclaim() -> None:
    """Collect what is garbage, and give its memory back to the system."""
    gc.unfreeze()
    gc.collect()
    give_back()


CGROUPS = Path("/sys/fs/cgroup")

UNLIMITED = 2**60
"""What cgroup v1 says where there is no limit is somewhat less than 2^63."""


def container_limit(root: Path = CGROUPS, own: Path = Path("/proc/self/cgroup")) -> int:
    """Bytes that the system lets this process's control group have (cgroup v2 or v1); 0 for no limit."""
    limits = [_bytes_in(path) for path in _limit_files(root, own)]
    return min((limit for limit in limits if 0 < limit < UNLIMITED), default=0)


def _limit_files(root: Path, own: Path) -> Iterator[Path]:
    """Of the group and those around it. Inside of a container the group's path may be the host's."""
    try:
        groups = [line.split(":", 2) for line in own.read_text().splitlines()]
    except OSError:
        return
    for number, controllers, path in groups:
        if number == "0":
            base, name = root, "memory.max"
        elif "memory" in controllers.split(","):
            base, name = root / "memory", "memory.limit_in_bytes"
        else:
            continue
        group = Path(path.strip("/"))
        yield from (base / each / name for each in (group, *group.parents))


def _bytes_in(path: Path) -> int:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # no such group here, or "max"
        return 0


@contextmanager
def starting() -> Iterator[None]:
    """While modules are imported nothing is collected, and what came is frozen.

    To look for garbage among them, as there is hardly any, takes a fifth of the time until a server is ready.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


class Collector:
    """Begins with :meth:`settle`, once all that stays for good was loaded; ends with :meth:`stop`.

    ``ended`` says how many sessions have ended so far, ``live`` how many have a Document now.
    """

    def __init__(self, ended: Callable[[], int] = lambda: 0, live: Callable[[], int] = lambda: 0) -> None:
        self._ended = ended
        self._ended_before = 0
        self._live = live
        self._live_before = 0
        self._not_before = 0.0
        self._left = 0
        """Bytes in use after the last collection."""
        self._left_by_none = 0
        """The same, the last time that no session lived."""
        self._thresholds = gc.get_threshold()
        self._settled = False
        self._collecting = False
        self._sessions_frozen = False
        """Whether full collections overlook objects of sessions."""

    def settle(self) -> None:
        """Freeze what is there."""
        gc.collect()
        gc.freeze()
        gc.set_threshold(*THRESHOLDS)
        gc.callbacks.append(self._freeze)
        self._settled = True
        self._note_what_is_left()

    def stop(self) -> None:
        """Leave Python's collector as it was before. Idempotent."""
        if self._settled:
            self._settled = False
            gc.callbacks.remove(self._freeze)
            gc.set_threshold(*self._thresholds)
            gc.unfreeze()

    async def run(self) -> None:
        """Look at the memory in use until cancelled."""
        while True:
            await asyncio.sleep(LOOK_INTERVAL)
            if self.has_grown():
                self.collect_thoroughly()
            elif self.is_left_behind():
                self.collect_what_ended_left()

    def has_grown(self) -> bool:
        """Whether memory has grown so much that it is worth to look at everything."""
        return resident() > COLLECT_GROWTH * self._left + COLLECT_SLACK_BYTES

    def is_left_behind(self) -> bool:
        """Whether memory is in use that seems to belong to sessions which have ended."""
        if self._ended() == self._ended_before or time.monotonic() < self._not_before:
            return False
        return resident() > self._needed() + GROWTH_ENDED

    def _needed(self) -> float:
        """Bytes that should be in use: less than were left when fewer sessions live now.

        Memory that cycles of ended sessions keep is no growth if these lived at the last collection. And what
        more sessions take is not known before: while a crowd leaves, those who are there still explain it.
        """
        live = self._live()
        if live > self._live_before:
            return math.inf
        of_sessions = max(0, self._left - self._left_by_none)
        return self._left - of_sessions * (self._live_before - live) / max(1, self._live_before)

    def collect_what_ended_left(self) -> None:
        """Look at what came since the start, or at everything where sessions were frozen."""
        if self._sessions_frozen:
            self.collect_thoroughly()
        else:
            self._collect()

    def collect_thoroughly(self) -> None:
        """Look at everything; takes longer the more there is."""
        gc.unfreeze()
        self._collect()
        gc.freeze()
        self._sessions_frozen = self._live() > 0

    def _collect(self) -> None:
        began = time.perf_counter()
        self._collecting = True
        found = gc.collect()
        self._collecting = False
        give_back()
        self._note_what_is_left()
        took = time.perf_counter() - began
        self._not_before = time.monotonic() + took / SHARE_ENDED
        log.info("collected %d objects in %.0f ms", found, took * 1000)

    def _note_what_is_left(self) -> None:
        self._left = resident()
        self._ended_before, self._live_before = self._ended(), self._live()
        if not self._live_before:
            self._left_by_none = self._left

    def _freeze(self, phase: str, info: dict[str, Any]) -> None:
        """What an app, or Bokeh for it, has collected shall not be looked at again each time it does so."""
        if phase == "stop" and info["generation"] == 2 and not self._collecting:
            gc.freeze()
            self._sessions_frozen = True


def give_back() -> None:
    """Give the pages of freed blocks back to the system, also those in the midst of the heap (glibc)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def resident() -> int:
    """Bytes of memory this process has in use; 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * mmap.PAGESIZE
