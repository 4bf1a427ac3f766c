"""Telling the fleet about three times a second that this replica lives, and what it holds.

With a store outside the process heartbeats are written on a thread of their own: app code that blocks the
event loop must not make the others believe that this replica is gone.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress

from service.fleet.store_clock import StoreClock
from service.timings import BEAT_INTERVAL_SECONDS, MAX_BEAT_GAP_SECONDS
from store.contract import DRAIN, Beat, Heartbeat, SessionKey, Store
from store.errors import StoreError
from store.maintenance import MaintenanceNotice

__all__ = ("Heartbeater",)

log = logging.getLogger(__name__)


class Heartbeater:
    """Beats from :meth:`start` to :meth:`stop`.

    ``describe`` gives the present state and is called on the heartbeats' thread; ``changes`` are the
    sessions that came and went, taken off as they are published; ``clock`` is told what the store's
    clock shows. On the event loop that started it this calls ``on_doubt`` when this replica may
    have been taken for dead or the store may have lost data, ``on_drain`` when somebody asked the
    replica to drain, ``on_end`` with the sessions (tag and epoch) that somebody asked it to end, both
    with who that was by their own word (:attr:`store.contract.Beat.asked_by`), and ``on_maintenance``
    with maintenance mode when it has changed, and who has ended some.
    """

    def __init__(
        self,
        open_store: Callable[[], Store],
        describe: Callable[[], Heartbeat],
        changes: deque[tuple[SessionKey, bool]],
        clock: StoreClock,
        *,
        ttl: float,
        on_doubt: Callable[[], None],
        on_drain: Callable[[str], None],
        on_end: Callable[[frozenset[tuple[str, int]], Mapping[str, str]], None],
        on_maintenance: Callable[[Mapping[str, MaintenanceNotice], str], None],
    ) -> None:
        self._open_store = open_store
        self._describe = describe
        self._changes = changes
        self._clock = clock
        self._ttl = ttl
        self._on_doubt = on_doubt
        self._on_drain = on_drain
        self._on_end = on_end
        self._on_maintenance = on_maintenance
        self._maintenance: Mapping[str, MaintenanceNotice] = {}
        self._home: asyncio.AbstractEventLoop | None = None
        self._last_beat: float | None = None
        self._thread: threading.Thread | None = None
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._store: Store | None = None
        self._one_by_one = asyncio.Lock()
        self._retire = True
        self.doubts = 0
        """How often ``on_doubt`` was called, or is about to be."""
        self._noted: bool | None = None
        """What the log says about the last beat; nothing before the first one."""
        self.beating = False
        """Whether the last beat reached the store."""

    def silent_for(self) -> float:
        """Seconds since a beat last reached the store; infinite before the first one did."""
        return float("inf") if self._last_beat is None else time.monotonic() - self._last_beat

    async def start(self, *, own_thread: bool) -> None:
        """Begin to beat; returns after the first try."""
        first = asyncio.Event()
        loop = self._home = asyncio.get_running_loop()

        def tried() -> None:
            loop.call_soon_threadsafe(first.set)

        if own_thread:
            self._thread = threading.Thread(
                target=lambda: asyncio.run(self._live(tried)), name="heart", daemon=True
            )
            self._thread.start()
        else:
            self._task = asyncio.create_task(self._live(tried))
        await first.wait()

    async def beat_now(self, within: float) -> None:
        """Return when the store has the present state, or has not taken it within so many seconds."""
        if self._loop is not None and self._store is not None:
            beating = asyncio.run_coroutine_threadsafe(self._try_beat(self._store), self._loop)
            await asyncio.wait([asyncio.wrap_future(beating)], timeout=within)

    async def stop(self, *, retire: bool = True) -> None:
        """Beat a last time, with the latest changes, and unless told otherwise leave the fleet."""
        self._retire = retire
        if self._loop is None or self._stopping is None:
            return
        self._loop.call_soon_threadsafe(self._stopping.set)
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, self._ttl)
        elif self._task is not None:
            await self._task

    async def _live(self, tried: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        store = self._store = self._open_store()
        await self._try_beat(store)
        tried()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(BEAT_INTERVAL_SECONDS):
                    await self._stopping.wait()
                    break
            await self._try_beat(store)
        await self._leave(store)
        if self._thread is not None:
            await store.close()

    async def _try_beat(self, store: Store) -> None:
        async with self._one_by_one:  # a later one must not be overtaken by what it replaces
            await self._beat(store)

    async def _beat(self, store: Store) -> None:
        changes = _take_all(self._changes)
        last = dict(changes)
        try:
            beat = await store.beat(
                self._describe(),
                ttl=self._ttl,
                opened=[key for key, lives in last.items() if lives],
                ended=[key for key, lives in last.items() if not lives],
            )
        except StoreError as error:
            self._changes.extendleft(reversed(changes))
            self._note(False, f"heartbeat writes fail: {error}")
        except OSError as error:  # such as that there are no file descriptors left
            self._changes.extendleft(reversed(changes))
            self._note(False, f"a heartbeat cannot be sent: {error}")
        except Exception:
            # Whatever it is, a heart that stops would make the fleet take all our sessions.
            self._changes.extendleft(reversed(changes))
            log.exception("a heartbeat failed")
        else:
            self._note(True, "heartbeats are written to the store")
            self._judge(beat)

    def _judge(self, beat: Beat) -> None:
        """Whether the others may have thought that this replica is gone."""
        last, now = self._last_beat, time.monotonic()
        self._clock.heard(beat.now, now)
        assert self._home is not None
        doubtful = (
            self._thread is not None
            and last is not None
            and (not beat.known or now - last > MAX_BEAT_GAP_SECONDS)
        )
        self.doubts += doubtful  # before the beat counts: see OwnershipCheck.sure
        self._last_beat = now
        if beat.maintenance != self._maintenance:
            self._maintenance = beat.maintenance
            self._home.call_soon_threadsafe(self._on_maintenance, beat.maintenance, beat.maintenance_ended_by)
        if beat.end:
            self._home.call_soon_threadsafe(self._on_end, beat.end, beat.asked_by)
        if self._thread is None:
            return  # the store is in this process, and nobody else uses it
        if doubtful:
            self._home.call_soon_threadsafe(self._on_doubt)
        if beat.drain:
            self._home.call_soon_threadsafe(self._on_drain, beat.asked_by.get(DRAIN, ""))

    def _note(self, beating: bool, text: str) -> None:
        if beating != self._noted:
            log.log(logging.INFO if beating else logging.WARNING, text)
        self.beating = self._noted = beating

    async def _leave(self, store: Store) -> None:
        await self._try_beat(store)
        if self._retire and self.beating:
            with suppress(StoreError):
                await store.retire(self._describe().replica)


def _take_all(changes: deque[tuple[SessionKey, bool]]) -> list[tuple[SessionKey, bool]]:
    """Empty the deque, which the event loop's thread may fill at the same time."""
    taken = []
    with suppress(IndexError):
        while True:
            taken.append(changes.popleft())
    return taken
