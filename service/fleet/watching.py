"""Telling a session of changes of shared values: under its lock, and after its move of what it has missed.

What a session was told of is in its state, which is journaled together with what its callbacks have made of
that. So whichever replica restores it, both are as old as each other.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from service.apps.contexts import AppSessionContext
from service.apps.frames import exc_info_of_app
from service.fleet.local_copies import LocalCopy, SharedValues
from store.contract import Store
from store.records import unpack_entry

__all__ = ("Changed", "SessionWatcher", "watcher_of")

log = logging.getLogger(__name__)

Changed = Callable[[str, Any], Awaitable[None] | None]
"""Takes the key and what its value is now; None where it was removed."""


def watcher_of(context: AppSessionContext, copy: LocalCopy) -> SessionWatcher:
    """The session's for ``copy``; made if there is none yet."""
    for part in context.parts:
        if isinstance(part, SessionWatcher) and part.copy is copy:
            return part
    watcher = SessionWatcher(context, copy)
    context.keep(watcher)
    return watcher


class SessionWatcher:
    """One session's callbacks on one shared dict."""

    def __init__(self, context: AppSessionContext, copy: LocalCopy) -> None:
        self.copy = copy
        self._context = context
        self._callbacks: list[Changed] = []
        self._pending: dict[str, None] = {}
        self._lock = threading.Lock()
        self._scheduled = False
        self._loop: asyncio.AbstractEventLoop | None = None
        """Of the session, once it is whole."""

    def add(self, callback: Changed) -> None:
        if callback not in self._callbacks:
            self._callbacks.append(callback)

    def remove(self, callback: Changed) -> None:
        """Raises ValueError when it is not there."""
        self._callbacks.remove(callback)

    # -- of the session, on its event loop -------------------------------------------------------

    def begin(self) -> None:
        """The session is whole."""
        if self._context.session is None:
            return
        self._context.session.changed_from_outside()
        self._loop = asyncio.get_running_loop()
        with self._lock:
            self._scheduled = bool(self._pending)
        if self._scheduled:
            self._schedule()

    def end(self) -> None:
        """The session is gone from here."""
        self.copy.watchers.discard(self)
        self._loop = None

    def _schedule(self) -> None:
        if self._loop is not None and self._context.session is not None:
            tell: Callable[[], Any] = partial(
                self._tell
            )  # bokeh 3.9 says that it gives nothing, and awaits it
            self._context.document.add_next_tick_callback(tell)

    # -- on the store's thread -------------------------------------------------------------------

    async def watch(self, values: SharedValues, store: Store) -> None:
        """From here on it is told of changes, first of what its session has missed. Raises StoreError."""
        if self in self.copy.watchers:
            return
        await values.load(store, self.copy)
        told = self._context.state.hidden(self._name)
        self.copy.watchers.add(self)
        if told is None:  # the session begins here
            self._context.state.hide(self._name, self._told_now())
            return
        born, version, beyond = told
        changed = await values.changed_since(store, self.copy, version, born)
        # A session that left before its replica had read anything was told of single keys only, and of
        # those that are not there any more nothing is said where all there is is read.
        for key in sorted(changed.union(beyond)):
            entry = self.copy.entries.get(key)
            if entry is None or beyond.get(key) != entry.version:
                self.note(key)

    def note(self, key: str) -> None:
        with self._lock:
            self._pending[key] = None
            loop = self._loop
            if loop is None or self._scheduled or loop.is_closed():
                return
            self._scheduled = True
        loop.call_soon_threadsafe(self._schedule)

    # -- under the session's lock ----------------------------------------------------------------

    def _tell(self) -> Awaitable[None] | None:
        # First: of what comes while the callbacks run they are told another time.
        told = self._told_now()
        with self._lock:
            keys, self._pending, self._scheduled = list(self._pending), {}, False
        try:
            return self._call_all(keys)
        finally:
            self._context.state.hide(self._name, told)

    def _call_all(self, keys: list[str]) -> Awaitable[None] | None:
        awaitables = [self._call(callback, key) for key in keys for callback in tuple(self._callbacks)]
        left = [each for each in awaitables if each is not None]
        return self._await_all(left) if left else None

    def _call(self, callback: Changed, key: str) -> Awaitable[None] | None:
        entry = self.copy.current(key)
        value = None if entry is None else unpack_entry(entry.packed or b"")
        try:
            result = callback(key, value)
        except Exception as error:  # noqa: BLE001 - whatever it was, it is logged
            self._failed(error)
            return None
        return result if inspect.isawaitable(result) else None

    async def _await_all(self, awaitables: list[Awaitable[None]]) -> None:
        for each in awaitables:
            try:
                await each
            except Exception as error:  # noqa: BLE001 - as above
                self._failed(error)

    def _failed(self, error: Exception) -> None:
        facts = {"app": self.copy.name.app}
        text = "a callback on changes of fleet.shared(%r) failed"
        log.error(text, self.copy.name.name, exc_info=exc_info_of_app(error), extra=facts)

    def _told_now(self) -> list[Any]:
        """Data set, the version up to which all was told, and versions of what was told beyond it."""
        version = self.copy.version
        beyond = {
            key: entry.version for key, entry in self.copy.entries.copy().items() if entry.version > version
        }
        return [self.copy.born, version, beyond]

    @property
    def _name(self) -> str:
        return f"fleet.shared {self.copy.name.name}"
