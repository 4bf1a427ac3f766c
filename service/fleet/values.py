"""``fleet.shared(name)``: a dict of plain values that all sessions of an app see, on whichever replica."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from bokeh.document import Document

from service.apps.contexts import current_app
from service.errors import FleetUnavailable
from service.fleet.app_calls import context_of, is_repeated, refuse_on_event_loop
from service.fleet.local_copies import LocalCopy, SharedValues
from service.fleet.store_thread import MAX_WAIT_SECONDS
from service.fleet.watching import Changed, watcher_of
from service.limits import MAX_NAME_LENGTH
from store.contract import SharedName
from store.records import pack_value, unpack_entry

__all__ = ("Shared", "shared")

DEFAULT_MAX_BYTES = 2**20
MAX_BYTES = 64 * 2**20
MAX_PAUSE_SECONDS = 0.02
"""Between two tries to change what others change, too."""

_IMMUTABLE = (bool, int, float, str, bytes, type(None))


def shared(name: str, *, max_bytes: int = DEFAULT_MAX_BYTES) -> Shared:
    """The dict ``name`` that all sessions of this app share, on all replicas. Does no I/O.

    ``max_bytes`` is what its keys and values may take together, as they are stored: 1 MiB if not said
    otherwise, 64 MiB at most. Every replica that uses the dict has a copy of it in memory.

    To be called by code of an app: its script, its callbacks, its hooks, its threads. Raises RuntimeError
    elsewhere, and where no ``svc serve`` runs the code; ValueError for a name or a bound that makes no sense.
    """
    _check_name("the name of a shared dict", name)
    if not 0 < max_bytes <= MAX_BYTES:
        raise ValueError(f"max_bytes must be between 1 and {MAX_BYTES}, not {max_bytes}")
    app = current_app.get()
    values = None if app is None else app.shared_values
    if app is None or not isinstance(values, SharedValues):
        raise RuntimeError(
            "fleet.shared() belongs to an app that svc serve runs: call it in the app's code, not elsewhere"
        )
    return Shared(values, values.copy(SharedName(app.application_context.url, name)), max_bytes)


class Shared(Mapping[str, Any]):
    """A dict that sessions share. Made by :func:`shared`.

    Keys are text. Values are None, bool, int (64 bit), float, str, bytes, and lists and dicts of those;
    tuples become lists. A value that is read is a copy: change it, and put it back.

    **Reading** is local and does not wait, but for the first time that a replica uses the dict. A replica
    sees what others have changed about a tenth of a second later, its own changes at once. While Redis is
    away, reading goes on with what is known.

    **Writing** waits for Redis, and raises :class:`~service.errors.FleetUnavailable` when that does not
    answer: the value may have been written or not. On an event loop (coroutines, ``--app-threads 0``,
    ``run_on_loop``) nothing may wait; there use :meth:`aput`, :meth:`aupdate` and :meth:`adelete`, as the
    others raise RuntimeError.

    Where a session moves, what its user entered is applied once more to what its app builds anew, and
    callbacks run for that. What they write here was written before, so it is not written again:
    :meth:`update` then gives what the value is.
    """

    def __init__(self, values: SharedValues, copy: LocalCopy, max_bytes: int) -> None:
        self._values = values
        self._copy = copy
        self._max_bytes = max_bytes

    @property
    def name(self) -> str:
        """As it was given to :func:`shared`."""
        return self._copy.name.name

    # -- reading ---------------------------------------------------------------------------------

    def __getitem__(self, key: str) -> Any:
        entry = self._loaded.current(key)
        if entry is None:
            raise KeyError(key)
        return unpack_entry(entry.packed or b"")

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._loaded.current(key) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self._loaded.keys())

    def __len__(self) -> int:
        return len(self._loaded.keys())

    def __repr__(self) -> str:
        return f"<fleet.shared {self.name!r}>"

    def version(self, key: str) -> int:
        """Grows with each change of the value; 0 where there is none. Microseconds, roughly, since 1970."""
        entry = self._loaded.current(key)
        return 0 if entry is None else entry.version

    async def load(self) -> None:
        """Read it for the first time on this replica, so that a coroutine need not wait for that later.

        Raises FleetUnavailable.
        """
        if not self._copy.loaded:
            await self._values.thread.awaited(lambda store: self._values.load(store, self._copy))

    @property
    def _loaded(self) -> LocalCopy:
        copy = self._copy
        copy.counted.reads += 1
        if not copy.loaded:
            self._values.thread.wait(lambda store: self._values.load(store, copy))
        return copy

    # -- writing ---------------------------------------------------------------------------------

    def __setitem__(self, key: str, value: Any) -> None:
        self.put(key, value)

    def __delitem__(self, key: str) -> None:
        """Raises KeyError where there is no such value."""
        refuse_on_event_loop("adelete")
        if key not in self and not is_repeated():
            raise KeyError(key)
        self.delete(key)

    def put(self, key: str, value: Any, *, ttl: float | None = None) -> None:
        """Set a value, whatever it was, for ``ttl`` seconds or for good.

        Raises TypeError for what cannot be stored, FleetFull, and FleetUnavailable.
        """
        refuse_on_event_loop("aput")
        packed = _packed(value)
        if not is_repeated():
            self._wait(self._write(key, packed, ttl=ttl))

    def delete(self, key: str) -> None:
        """Remove a value, if there is one. Raises FleetUnavailable."""
        refuse_on_event_loop("adelete")
        if not is_repeated():
            self._wait(self._write(key, None))

    def update(
        self, key: str, func: Callable[[Any], Any], *, default: Any = None, ttl: float | None = None
    ) -> Any:
        """Set a value to ``func(value)``, so that no change of another writer is lost; what it is then.

        ``func`` gets ``default`` where there is none. It is called again if somebody else was faster, so it
        should do nothing but compute. Raises what ``func`` raises, and as :meth:`put`.
        """
        refuse_on_event_loop("aupdate")
        if is_repeated():
            return self.get(key, default)
        self._loaded  # noqa: B018 - so that the first try has a chance
        # One after the other on this replica: those of others are enough to compete with.
        with self._copy.turns(key).turn(MAX_WAIT_SECONDS):
            deadline = time.monotonic() + MAX_WAIT_SECONDS
            while True:
                attempt = _Attempt(self._copy, key, func, default)
                if self._wait(self._write(key, attempt.packed, ttl=ttl, expected=attempt.version)):
                    return attempt.value
                if time.monotonic() > deadline:
                    raise _too_busy(self.name, key)

    async def aput(self, key: str, value: Any, *, ttl: float | None = None) -> None:
        """As :meth:`put`, for coroutines."""
        packed = _packed(value)
        if not is_repeated():
            await self._values.thread.awaited(self._write(key, packed, ttl=ttl))

    async def adelete(self, key: str) -> None:
        """As :meth:`delete`, for coroutines."""
        if not is_repeated():
            await self._values.thread.awaited(self._write(key, None))

    async def aupdate(
        self, key: str, func: Callable[[Any], Any], *, default: Any = None, ttl: float | None = None
    ) -> Any:
        """As :meth:`update`, for coroutines. ``func`` is a plain function, called on the event loop."""
        await self.load()
        if is_repeated():
            return self.get(key, default)
        deadline, longest = time.monotonic() + MAX_WAIT_SECONDS, MAX_PAUSE_SECONDS / 10
        while True:
            attempt = _Attempt(self._copy, key, func, default)
            write = self._write(key, attempt.packed, ttl=ttl, expected=attempt.version)
            if await self._values.thread.awaited(write):
                return attempt.value
            if time.monotonic() > deadline:
                raise _too_busy(self.name, key)
            await asyncio.sleep(random.uniform(0, longest))
            longest = min(MAX_PAUSE_SECONDS, longest * 2)

    def _wait(self, work: Callable[[Any], Any]) -> Any:
        return self._values.thread.wait(work)

    def _write(
        self, key: str, packed: bytes | None, *, ttl: float | None = None, expected: int | None = None
    ) -> Callable[[Any], Any]:
        _check_name("a key", key)
        if ttl is not None and not 0 < ttl < math.inf:
            raise ValueError(f"a ttl is a number of seconds above zero, not {ttl!r}")
        options: dict[str, Any] = {"max_bytes": self._max_bytes, "ttl": ttl or 0.0, "expected": expected}

        async def write(store: Any) -> bool:
            await self._values.load(store, self._copy)
            return await self._values.write(store, self._copy, key, packed, **options)

        return write

    # -- hearing of changes ----------------------------------------------------------------------

    def on_change(self, callback: Changed, *, document: Document | None = None) -> None:
        """Call ``callback(key, value)`` under this session's lock when a value changes, whoever changed it.

        ``value`` is what it is by then, None where it was removed: of several quick changes of one key the
        last may be the only one that is told. To be called each time the app's code builds a session, or by
        a callback: when the session moves, or wakes up, its code does so again, and then ``callback`` is
        called for what the session has missed. ``callback`` may be a coroutine function.

        ``document`` is the session's; code on a thread that the app has begun must give it. Raises
        RuntimeError without one, FleetUnavailable when Redis does not answer.
        """
        watcher = watcher_of(context_of(document, "on_change()"), self._copy)
        watcher.add(callback)
        self._wait(lambda store: watcher.watch(self._values, store))

    def remove_on_change(self, callback: Changed, *, document: Document | None = None) -> None:
        """Raises ValueError when this session has no such callback."""
        watcher_of(context_of(document, "remove_on_change()"), self._copy).remove(callback)


class _Attempt:
    """One try to change a value: what it was, and what it shall be."""

    def __init__(self, copy: LocalCopy, key: str, func: Callable[[Any], Any], default: Any) -> None:
        entry = copy.current(key)
        self.version = 0 if entry is None else entry.version
        self.value = func(default if entry is None else unpack_entry(entry.packed or b""))
        self.packed = _packed(self.value)


def _packed(value: Any) -> bytes:
    try:
        return pack_value(value)
    except TypeError as error:
        raise TypeError(f"this value cannot be shared: {error}") from None


def _check_name(what: str, name: str) -> None:
    if not isinstance(name, str):
        raise TypeError(f"{what} is text, not {type(name).__name__}")
    if not 0 < len(name) <= MAX_NAME_LENGTH:
        raise ValueError(f"{what} has 1 to {MAX_NAME_LENGTH} characters, not {len(name)}")


def _too_busy(name: str, key: str) -> FleetUnavailable:
    return FleetUnavailable(f"{key!r} of {name!r} is changed by others all the time: it could not be changed")
