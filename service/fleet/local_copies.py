"""This replica's copies of what the fleet shares: read on any thread, changed on the store's thread only.

A copy is complete up to a version, and has later changes of this replica's own. While there are copies,
all of them are brought up to date in one round trip per interval; without any nothing runs.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import threading
import time
import weakref
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from service.errors import FleetFull, FleetUnavailable
from service.fleet.fair_lock import FairLock
from service.fleet.store_thread import StoreThread
from service.limits import MAX_RESTORE_ATTEMPTS
from service.metrics import FleetMeter, Reading, SharedMeter
from store.contract import (
    SharedChange,
    SharedName,
    SharedOutcome,
    SharedReading,
    SharedWrite,
    SharedWritten,
    Store,
)
from store.errors import StoreError

__all__ = ("Entry", "LocalCopy", "SharedValues", "Watcher")

log = logging.getLogger(__name__)

MAX_NAMES = 1000
"""Of shared dicts that a replica has copies of at a time."""

MAX_REMOVED = 2000
"""Removed values of a copy whose versions are known; half of them go when there are more."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One value as this replica has it."""

    version: int
    packed: bytes | None
    """None: it was removed."""
    until: float
    """When it goes, as ``time.monotonic()`` has it; infinite for never."""

    @property
    def lives(self) -> bool:
        return self.packed is not None and (self.until == INFINITE or time.monotonic() < self.until)

    @property
    def ttl(self) -> float:
        """Seconds that are left of it; 0 where it does not expire."""
        return 0.0 if self.until == INFINITE else max(0.001, self.until - time.monotonic())


INFINITE = float("inf")


class Watcher(Protocol):
    """Who wants to hear of changes of a copy."""

    def note(self, key: str) -> None:
        """It has changed. On the store's thread, before the copy counts as up to date."""


class LocalCopy:
    """One name's values. Readers take what is there; only :class:`SharedValues` changes it."""

    def __init__(self, name: SharedName, counted: SharedMeter) -> None:
        self.name = name
        self.counted = counted
        self.entries: dict[str, Entry] = {}
        self.born = ""
        """The store's data set that it follows; empty while there is none."""
        self.version = 0
        """All changes up to it are in here."""
        self.newest = 0
        """The last change in here, which may be one of this replica's own."""
        self.loaded = False
        self.watchers: set[Watcher] = set()
        self._turns: weakref.WeakValueDictionary[str, FairLock] = weakref.WeakValueDictionary()
        """Of those keys that somebody changes right now."""

    def current(self, key: str) -> Entry | None:
        """None where there is no such value."""
        entry = self.entries.get(key)
        return entry if entry is not None and entry.lives else None

    def turns(self, key: str) -> FairLock:
        """In which threads of this replica change a value that depends on what it was."""
        return self._turns.setdefault(key, FairLock())

    def keys(self) -> list[str]:
        return [key for key, entry in self.entries.copy().items() if entry.lives]

    def apply(self, changes: Iterable[SharedChange]) -> None:
        for change in changes:
            self._apply(change)
        if len(self.entries) > MAX_REMOVED:
            self._forget_removed()

    def read(self, reading: SharedReading) -> None:
        """What the store has said."""
        self.apply(reading.changes)
        if reading.whole:
            there = {change.key for change in reading.changes}
            gone = [
                key
                for key, entry in self.entries.items()
                if key not in there and entry.packed is not None and entry.version <= reading.version
            ]
            self.apply(SharedChange(key, reading.version, None) for key in gone)
        self.born, self.version = reading.born, reading.version
        self.newest = max(self.newest, reading.version)

    def reread(self, born: str) -> None:
        """The store has another data set by now, and everything in it has to be looked at."""
        self.born, self.version = born, 0

    def changes(self) -> list[SharedChange]:
        """All that is known of it, for a store that has lost it."""
        return [
            SharedChange(key, entry.version, entry.packed if entry.lives else None, entry.ttl)
            for key, entry in self.entries.items()
        ]

    def _apply(self, change: SharedChange) -> None:
        before = self.entries.get(change.key)
        if (before is not None and before.version >= change.version) or not change.version:
            return
        until = time.monotonic() + change.ttl if change.ttl else INFINITE
        self.entries[change.key] = Entry(change.version, change.value, until)
        if before is not None or change.value is not None:
            for watcher in tuple(self.watchers):
                watcher.note(change.key)
        # Last: what is newer than that was perhaps not told of yet.
        self.newest = max(self.newest, change.version)

    def _forget_removed(self) -> None:
        removed = sorted((entry.version, key) for key, entry in self.entries.items() if entry.packed is None)
        if len(removed) > MAX_REMOVED:
            forgotten = {key for _, key in removed[: MAX_REMOVED // 2]}
            self.entries = {key: entry for key, entry in self.entries.items() if key not in forgotten}


class SharedValues:
    """All copies of a replica. ``interval``: seconds between looks at what the others have changed."""

    def __init__(self, thread: StoreThread, *, interval: float, meter: FleetMeter | None = None) -> None:
        self.thread = thread
        self._meter = meter or FleetMeter()
        self._interval = interval
        self._copies: weakref.WeakValueDictionary[SharedName, LocalCopy] = weakref.WeakValueDictionary()
        self._lock = threading.Lock()
        self._following: asyncio.Task[None] | None = None
        self._away = False

    def copy(self, name: SharedName) -> LocalCopy:
        """Kept up to date as long as somebody holds it. Does no I/O. Raises FleetFull."""
        with self._lock:
            found = self._copies.get(name)
            if found is None:
                if len(self._copies) >= MAX_NAMES:
                    raise FleetFull(
                        f"this replica uses {MAX_NAMES} shared dicts already: use fewer, with more keys"
                    )
                found = self._copies[name] = LocalCopy(name, self._meter.shared(name.app))
            return found

    def readings(self) -> list[Reading]:
        """For the metrics."""
        with self._lock:
            copies = list(self._copies.values())
        sizes: dict[tuple[str, ...], float] = {}
        for copy in copies:
            held = sum(len(entry.packed or b"") for entry in copy.entries.copy().values())
            sizes[copy.name.app,] = sizes.get((copy.name.app,), 0.0) + held
        return [Reading("shared_bytes", "Values of shared dicts that this replica has", sizes, ("app",))]

    # -- on the store's thread -------------------------------------------------------------------

    async def load(self, store: Store, copy: LocalCopy) -> None:
        """Raises StoreError."""
        if not copy.loaded:
            await self._refresh(store, [copy])
            copy.loaded = True
        if self._following is None:
            self._following = asyncio.create_task(self._follow(store))

    async def look(self, store: Store, copy: LocalCopy) -> None:
        """Bring the copy up to date now. Raises StoreError."""
        await self._refresh(store, [copy])

    async def changed_since(self, store: Store, copy: LocalCopy, version: int, born: str) -> set[str]:
        """The keys that have changed since; all there are where that is not known. Raises StoreError."""
        await self.load(store, copy)
        (reading,) = await store.read_shared([(copy.name, version, born)])
        if reading.born != born:
            return set(copy.entries)
        return {change.key for change in reading.changes if change.key}

    async def write(
        self,
        store: Store,
        copy: LocalCopy,
        key: str,
        value: bytes | None,
        *,
        max_bytes: int,
        ttl: float = 0.0,
        expected: int | None = None,
    ) -> bool:
        """Whether it is written, to the copy as well; False if it was not what was expected.

        The copy then has what it is. Raises StoreError, FleetFull.
        """
        call = secrets.token_hex(8)
        for _ in range(MAX_RESTORE_ATTEMPTS):
            written = await store.write_shared(
                SharedWrite(
                    copy.name,
                    key,
                    value,
                    call,
                    max_bytes,
                    ttl=ttl,
                    expected=expected,
                    born=copy.born,
                    version=copy.newest,
                )
            )
            if written.outcome is not SharedOutcome.LOST:
                copy.counted.writes += 1
                copy.counted.conflicts += written.outcome is SharedOutcome.CHANGED
                return _taken(copy, key, written, max_bytes)
            await self._restore(store, copy)
        raise FleetUnavailable(
            "the store keeps losing its data: does something run FLUSHALL, or does Redis evict keys?"
        )

    async def _follow(self, store: Store) -> None:
        """Until nobody has a copy any more."""
        try:
            while copies := self._loaded():
                await self._try_refresh(store, copies)
                del copies
                await asyncio.sleep(self._interval)
        finally:
            self._following = None

    def _loaded(self) -> list[LocalCopy]:
        with self._lock:
            return [copy for copy in self._copies.values() if copy.loaded]

    async def _try_refresh(self, store: Store, copies: list[LocalCopy]) -> None:
        try:
            await self._refresh(store, copies)
        except StoreError as error:
            self._note(True, f"shared values are not kept up to date: {error}")
        except Exception:
            # Whatever it is, it must not stop here: nobody would begin again.
            log.exception("bringing shared values up to date failed")
        else:
            self._note(False, "shared values are up to date again")

    def _note(self, away: bool, text: str) -> None:
        if away != self._away:
            self._away = away
            log.log(logging.WARNING if away else logging.INFO, text)

    async def _refresh(self, store: Store, copies: list[LocalCopy]) -> None:
        # As they are now: while we wait for the answer, writes go on.
        newest = [(copy.born, copy.newest) for copy in copies]
        readings = await store.read_shared([(copy.name, copy.version, copy.born) for copy in copies])
        for copy, reading, (born, version) in zip(copies, readings, newest, strict=True):
            if (born and reading.born != born) or reading.version < version:
                await self._restore(store, copy)
            else:
                copy.read(reading)

    async def _restore(self, store: Store, copy: LocalCopy) -> None:
        log.warning("the store has lost values that apps share: putting back %r", copy.name.name,
                    extra={"app": copy.name.app})  # fmt: skip
        copy.reread(await store.restore_shared(copy.name, copy.changes(), copy.newest))


def _taken(copy: LocalCopy, key: str, written: SharedWritten, max_bytes: int) -> bool:
    if written.outcome is SharedOutcome.FULL:
        raise FleetFull(
            f"the value of {key!r} is too much for {copy.name.name!r}: all its values would have "
            f"{written.bytes} bytes, more than max_bytes={max_bytes}: remove some, or ask for more"
        )
    copy.born = copy.born or written.born
    assert written.change is not None
    copy.apply([written.change])
    return written.outcome is not SharedOutcome.CHANGED
