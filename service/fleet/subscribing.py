"""Telling a session of messages: under its lock, in their order, and after its move of what it has missed.

Which message a session was told of last is in its state, which is journaled together with what its callbacks
have made of that. So whichever replica restores it, both are as old as each other.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import partial
from typing import Any

from service.apps.batched_calls import Call
from service.apps.contexts import AppSessionContext
from service.apps.execution import is_coroutine_function
from service.apps.frames import exc_info_of_app
from service.background import spawn
from service.errors import AppCodeAbandoned, FleetUnavailable
from service.fleet.topics import MAX_KEPT, RETRY_SECONDS, Topics
from store.contract import Message, MessagePlace, Store, TopicName
from store.errors import RecordError, StoreError
from store.records import unpack_entry

__all__ = ("Callback", "Handling", "OnMissed", "SessionSubscriber", "current_handling", "subscriber_of")

log = logging.getLogger(__name__)

Callback = Callable[[Any], Awaitable[None] | None]
"""Takes what was published."""

OnMissed = Callable[[int | None], Awaitable[None] | None]
"""Takes how many messages were missed; None when nobody knows, and perhaps there were none."""

Waiting = tuple[Awaitable[None], "Handling"]

MAX_AT_ONCE = 100
"""Messages that are told in one turn of the session's lock."""


class Handling:
    """A callback is at work on a message: what it publishes is named by that, and so is published once."""

    __slots__ = ("_count", "_origin", "_place", "over")

    def __init__(self, origin: str, place: MessagePlace) -> None:
        self._origin = origin
        """Session and topic."""
        self._place = place
        self._count = 0
        self.over = False

    def next_call(self) -> str:
        """The same when the message is handled again, on another replica."""
        self._count += 1
        return f"{self._origin} {self._place.born} {self._place.version} {self._count}"


current_handling: ContextVar[Handling | None] = ContextVar("current_handling", default=None)


def subscriber_of(context: AppSessionContext, topics: Topics, name: TopicName) -> SessionSubscriber | None:
    """The session's for that topic, if there is one."""
    for part in context.parts:
        if isinstance(part, SessionSubscriber) and part.name == name and part.topics is topics:
            return part
    return None


class SessionSubscriber:
    """One session's callbacks on one topic. ``newest``: how many earlier messages a new session gets."""

    def __init__(
        self,
        context: AppSessionContext,
        topics: Topics,
        name: TopicName,
        newest: int,
        *,
        joins_at_begin: bool = False,
    ) -> None:
        self.name = name
        self.topics = topics
        self.loop: asyncio.AbstractEventLoop | None = None
        self._context = context
        self._origin = f"{context.id} {name.tag}"
        self._delivered = topics.metrics.messages_delivered.labels(name.app)
        self._newest = newest
        self._joins_at_begin = joins_at_begin
        self._callbacks: list[tuple[Callback, OnMissed | None]] = []
        self._pending: deque[Message] = deque()
        self._told = MessagePlace()
        """Of the last message that callbacks were called for."""
        self._queued = 0
        """Version of the last message that was pending."""
        self._lock = threading.Lock()
        self._scheduled = False

    def add(self, callback: Callback, on_missed: OnMissed | None = None) -> None:
        if (callback, on_missed) not in self._callbacks:
            self._callbacks.append((callback, on_missed))

    def remove(self, callback: Callback) -> bool:
        """Whether that was the last one: the session is told nothing any more. Raises ValueError."""
        kept = [pair for pair in self._callbacks if pair[0] != callback]
        if len(kept) == len(self._callbacks):
            raise ValueError(f"this session has not subscribed {callback!r} to {self.name.name!r}")
        self._callbacks = kept
        return not kept

    def withdraw(self) -> None:
        """The session is not interested any more; if it is again one day, that begins anew."""
        self.topics.leave(self.name, self)
        self._context.parts.remove(self)
        self._pending.clear()
        # While it is repeated what a user did, what follows is in the state already.
        if not self._context.repeating:
            self._context.state.hide(self._key, None)

    @property
    def kept(self) -> MessagePlace | None:
        """Of what the session was told last, before it came here; None where it begins here."""
        kept = self._context.state.hidden(self._key)
        return None if kept is None else MessagePlace(*kept)

    def keep(self) -> None:
        """See that it is known wherever the session goes. With its lock, or before it is whole."""
        self._context.state.hide(self._key, list(self._told))

    # -- of the session, on its event loop -------------------------------------------------------

    def begin(self) -> None:
        """The session is whole."""
        session = self._context.session
        if session is None:
            return
        session.changed_from_outside()
        self.loop = asyncio.get_running_loop()
        if self._context.starts_over and self._newest:  # it shows nothing of what it was told of before
            self.topics.leave(self.name, self)
            self._pending.clear()
            self._join_later(None)
            return
        if self._joins_at_begin:
            self._join_later(self.kept)
        with self._lock:
            self._scheduled = bool(self._pending)
        if self._scheduled:
            self.schedule()

    def _join_later(self, since: MessagePlace | None) -> None:
        with suppress(FleetUnavailable):  # the replica stops
            self.topics.thread.submit(partial(self._join_in_time, since=since))

    def end(self) -> None:
        """The session is gone from here."""
        self.topics.leave(self.name, self)
        self.loop = None

    def schedule(self) -> None:
        session = self._context.session
        if self.loop is not None and session is not None:
            # As a next-tick callback, which takes Bokeh three times as long to add and remove.
            spawn(self._run(session))

    def call(self) -> Call | None:
        """What tells the session, beside others; None where it has to be told by itself."""
        session = self._context.session
        if session is None or any(is_coroutine_function(callback) for callback, _ in self._callbacks):
            return None
        call: Call | None = session.call_beside_others(self._tell)
        return call

    async def _run(self, session: Any) -> None:
        try:
            await session.run_callback(self._tell)
        except AppCodeAbandoned as error:
            log.debug("dropping messages of topic %r: %s", self.name.name, error)

    # -- on the store's thread -------------------------------------------------------------------

    async def join(self, store: Store, since: MessagePlace | None) -> None:
        """From here on it is told, first of what came ``since``. Raises StoreError, FleetFull."""
        await self.topics.join(store, self.name, self, since, self._newest)

    async def _join_in_time(self, store: Store, since: MessagePlace | None) -> None:
        """The same, whenever the store answers, unless the session is gone by then."""
        while self.loop is not None:
            try:
                await self.join(store, since)
            except StoreError as error:
                log.debug("a session cannot subscribe to %r yet: %s", self.name.name, error)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                self._schedule_from_thread()  # so that where it begins is noted, though nothing is pending
                return

    def _schedule_from_thread(self) -> None:
        loop = self.loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self.schedule)

    def begin_at(self, place: MessagePlace) -> None:
        with self._lock:
            self._told, self._queued = place, place.version
            self._pending.clear()

    def put(self, messages: Sequence[Message]) -> bool:
        with self._lock:
            new = [each for each in messages if each.place.version > self._queued]
            if not new:
                return False
            self._pending.extend(new)
            self._queued = new[-1].place.version
            while len(self._pending) > MAX_KEPT:  # their numbers show that there were more
                self._pending.popleft()
            due = self.loop is not None and not self._scheduled
            self._scheduled = self._scheduled or due
            return due

    # -- under the session's lock ----------------------------------------------------------------

    def _tell(self) -> Awaitable[None] | None:
        count, waiting = 0, list[Waiting]()
        try:
            while not waiting and count < MAX_AT_ONCE and (message := self._next()) is not None:
                count += 1
                waiting = self._handle(message)
        finally:
            if not waiting:
                self._handled(count)
        return self._wait_for(waiting, count) if waiting else None

    def _next(self) -> Message | None:
        with self._lock:
            return self._pending.popleft() if self._pending else None

    def _handle(self, message: Message) -> list[Waiting]:
        """Call all callbacks; what is still to be awaited of it, and how it is known."""
        handling = Handling(self._origin, message.place)
        missed = _missed(self._told, message.place)
        self._told = message.place
        calls = [] if missed == 0 else self._calls_of_missed(missed)
        calls += self._calls_of(message)
        waiting = [(result, handling) for call in calls if (result := self._call(call, handling)) is not None]
        handling.over = not waiting
        return waiting

    def _calls_of(self, message: Message) -> list[Callable[[], Any]]:
        try:
            value = unpack_entry(message.value)
        except RecordError as error:
            log.error("dropping a message of topic %r: %s", self.name.name, error, extra=self._facts)
            return []
        return [partial(callback, value) for callback, _ in self._callbacks]

    def _calls_of_missed(self, missed: int | None) -> list[Callable[[], Any]]:
        self.topics.metrics.messages_missed.labels(self.name.app).inc(missed or 1)
        calls = [partial(on_missed, missed) for _, on_missed in self._callbacks if on_missed is not None]
        if not calls:
            count = "perhaps some" if missed is None else missed
            log.warning("a session has missed %s messages of %r", count, self.name.name, extra=self._facts)
        return [*calls]

    def _call(self, call: Callable[[], Any], handling: Handling) -> Awaitable[None] | None:
        try:
            with _handles(handling):
                result = call()
        except Exception as error:  # noqa: BLE001 - whatever it was, it is logged
            self._failed(error)
            return None
        return result if inspect.isawaitable(result) else None

    async def _wait_for(self, waiting: list[Waiting], count: int) -> None:
        try:
            for awaitable, handling in waiting:
                await self._wait_for_one(awaitable, handling)
        finally:
            self._handled(count)

    async def _wait_for_one(self, awaitable: Awaitable[None], handling: Handling) -> None:
        try:
            with _handles(handling):
                await awaitable
        except Exception as error:  # noqa: BLE001 - as above
            self._failed(error)
        finally:
            handling.over = True

    def _handled(self, count: int) -> None:
        """Nothing of this is in the session's journal before its lock is given back; then all of it is."""
        if self in self._context.parts:
            self.keep()
        self._delivered.inc(count)
        with self._lock:
            self._scheduled = bool(self._pending)
        if self._scheduled:
            self._schedule_from_thread()

    def _failed(self, error: Exception) -> None:
        text = "a callback on messages of %r failed"
        log.error(text, self.name.name, exc_info=exc_info_of_app(error), extra=self._facts)

    @property
    def _facts(self) -> dict[str, str]:
        return {"app": self.name.app}

    @property
    def _key(self) -> str:
        return f"fleet.messages {self.name.name}"


def _missed(told: MessagePlace, now: MessagePlace) -> int | None:
    """How many there were in between; None where nobody knows."""
    if told.born in ("", now.born):
        return max(0, now.number - told.number - 1)
    return None


@contextmanager
def _handles(handling: Handling) -> Iterator[None]:
    token = current_handling.set(handling)
    try:
        yield
    finally:
        current_handling.reset(token)
