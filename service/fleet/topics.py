"""This replica's share of the fleet's messages: read once for all its sessions. On the store's thread only.

While there are subscribers, one connection waits for wake-ups, and all topics are looked at once a second, as
a wake-up may be lost. Where there are no wake-ups, they are looked at more often. Without subscribers nothing
runs.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Protocol

from service.apps.batched_calls import Notified, notify_in_batches
from service.background import spawn
from service.errors import FleetFull, FleetUnavailable
from service.fleet.store_thread import StoreThread
from service.limits import MAX_RESTORE_ATTEMPTS
from service.metrics import Metrics
from store.contract import Message, MessagePlace, Publishing, Store, TopicName, TopicReading
from store.errors import StoreConfigError, StoreError

__all__ = ("MAX_KEPT", "Subscriber", "Topics")

log = logging.getLogger(__name__)

MAX_KEPT = 1000
MAX_KEPT_BYTES = 4 * 2**20
"""Of one topic, for sessions that moved or slept; about, where values are encrypted."""

MAX_TOPICS = 1000
"""That a replica has to do with at a time."""

LOOK_SECONDS = 1.0
"""Between looks at all topics while wake-ups come."""

POLL_SECONDS = 0.1
"""The same while none come."""

RETRY_SECONDS = 1.0
REFUSED_SECONDS = 60.0
"""Until wake-ups are asked for again: after the connection is lost, and where they are not permitted."""


class Subscriber(Notified, Protocol):
    """One session's interest in one topic. It is told on its event loop."""

    loop: asyncio.AbstractEventLoop | None
    """Of the session, once that is whole."""

    def begin_at(self, place: MessagePlace) -> None:
        """It was told of all up to there."""

    def put(self, messages: Sequence[Message]) -> bool:
        """Note those that are new; whether it has to be told."""


class LocalTopic:
    """What is known here of one topic."""

    def __init__(self, name: TopicName) -> None:
        self.name = name
        self.subscribers: set[Subscriber] = set()
        self.place = MessagePlace()
        """All messages up to it were given to the subscribers."""
        self.seen = MessagePlace()
        """The last message that anybody here has seen. Its data set is the one that the store has."""
        self.users = 0
        """Calls that are at work on it."""
        self.kept: deque[Message] = deque()
        """The last messages, in case that the store loses them."""
        self._kept_bytes = 0

    @property
    def in_use(self) -> bool:
        return bool(self.subscribers or self.users)

    def saw(self, place: MessagePlace) -> None:
        if place.version > self.seen.version:
            self.seen = place

    def lost(self, seen: MessagePlace, last: MessagePlace) -> bool:
        """Whether the store, whose last message that is, has lost what was seen before it was asked."""
        return last.version < seen.version or (seen.born not in ("", last.born))

    def keep(self, messages: Sequence[Message]) -> None:
        self.kept.extend(messages)
        self._kept_bytes += sum(len(each.value) for each in messages)
        while len(self.kept) > MAX_KEPT or self._kept_bytes > MAX_KEPT_BYTES:
            self._kept_bytes -= len(self.kept.popleft().value)

    def forget(self) -> None:
        self.kept.clear()
        self._kept_bytes = 0


class Topics:
    """All topics that this replica's apps publish on or subscribe to."""

    def __init__(self, thread: StoreThread, metrics: Metrics) -> None:
        self.thread = thread
        self.metrics = metrics
        self._topics: OrderedDict[str, LocalTopic] = OrderedDict()
        self._due: set[str] = set()
        self._all_due = False
        self._looked_at_all = 0.0
        self._any_due = asyncio.Event()
        self._following: asyncio.Task[None] | None = None
        self._hears = False
        self._away = False

    # -- publishing ------------------------------------------------------------------------------

    async def publish(self, store: Store, name: TopicName, value: bytes, call: str, known: float) -> None:
        """Raises StoreError, FleetFull, FleetUnavailable."""
        with self._using(name) as topic:
            for _ in range(MAX_RESTORE_ATTEMPTS):
                place = await store.publish_message(
                    Publishing(name, value, call, topic.seen, MAX_KEPT, MAX_KEPT_BYTES, known)
                )
                if place is not None:
                    topic.saw(place)
                    self.metrics.messages_published.labels(name.app).inc()
                    if not self._hears:
                        self._heard(name.tag)
                    return
                await self._restore(store, topic)
        raise FleetUnavailable(
            "the store keeps losing its data: does something run FLUSHALL, or does Redis evict keys?"
        )

    # -- subscribing -----------------------------------------------------------------------------

    async def join(
        self, store: Store, name: TopicName, subscriber: Subscriber, since: MessagePlace | None, newest: int
    ) -> None:
        """From here on ``subscriber`` gets what is published, and first what came ``since`` and is kept.

        With None: the ``newest`` so many of what was published before. Raises StoreError, FleetFull.
        """
        with self._using(name) as topic:
            if subscriber in topic.subscribers:
                return
            reading = await self._read(store, topic, since, newest)
            if not topic.subscribers:
                topic.place = reading.last
            subscriber.begin_at(_before(reading) if since is None else since)
            _give([subscriber], reading.messages)
            while reading.last.version < topic.place.version:  # others were given more meanwhile
                reading = await self._read(store, topic, reading.last, 0)
                _give([subscriber], reading.messages)
            topic.subscribers.add(subscriber)
        if self._following is None:
            self._following = asyncio.create_task(self._follow(store))

    def leave(self, name: TopicName, subscriber: Subscriber) -> None:
        """On any thread."""
        topic = self._topics.get(name.tag)
        if topic is not None:
            topic.subscribers.discard(subscriber)

    async def _read(
        self, store: Store, topic: LocalTopic, since: MessagePlace | None, newest: int
    ) -> TopicReading:
        """What came since. What the store has lost of it is put back first, as far as that is known here."""
        if since is not None:
            topic.saw(since)
        for _ in range(MAX_RESTORE_ATTEMPTS):
            seen = topic.seen
            version = None if since is None else since.version
            (reading,) = await store.read_messages([(topic.name, version)], newest=newest)
            if not topic.lost(seen, reading.last):
                topic.saw(reading.last)
                return reading
            await self._restore(store, topic)
        raise FleetUnavailable(
            "the store keeps losing its data: does something run FLUSHALL, or does Redis evict keys?"
        )

    @contextmanager
    def _using(self, name: TopicName) -> Iterator[LocalTopic]:
        """The topic, which is not forgotten meanwhile. Raises FleetFull."""
        topic = self._topics.get(name.tag)
        if topic is None:
            if len(self._topics) >= MAX_TOPICS:
                self._make_room()
            topic = self._topics[name.tag] = LocalTopic(name)
        self._topics.move_to_end(name.tag)
        topic.users += 1
        try:
            yield topic
        finally:
            topic.users -= 1

    def _make_room(self) -> None:
        unused = next((tag for tag, topic in self._topics.items() if not topic.in_use), None)
        if unused is None:
            raise FleetFull(f"this replica has subscribers to {MAX_TOPICS} topics already: use fewer")
        del self._topics[unused]

    # -- following -------------------------------------------------------------------------------

    async def _follow(self, store: Store) -> None:
        """Until nobody subscribes any more."""
        hearing = asyncio.create_task(self._hear(store))
        try:
            while topics := self._subscribed():
                await self._try_to_look(store, topics)
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._seconds_between_looks):
                        await self._any_due.wait()
        finally:
            self._following, self._hears = None, False
            hearing.cancel()

    @property
    def _seconds_between_looks(self) -> float:
        return LOOK_SECONDS if self._hears and not self._away else POLL_SECONDS

    def _subscribed(self) -> list[LocalTopic]:
        """Those to look at now; none when nobody subscribes."""
        for topic in self._topics.values():
            if not topic.in_use and topic.kept:
                topic.forget()
        subscribed = [topic for topic in self._topics.values() if topic.subscribers]
        now, due, all_due = time.monotonic(), self._due, self._all_due
        self._due, self._all_due = set(), False
        self._any_due.clear()
        if all_due or now - self._looked_at_all >= self._seconds_between_looks:
            self._looked_at_all = now
            return subscribed
        return [topic for topic in subscribed if topic.name.tag in due] or subscribed

    async def _try_to_look(self, store: Store, topics: list[LocalTopic]) -> None:
        try:
            await self._look(store, topics)
        except StoreError as error:
            self._all_due = True
            self._note(True, f"messages are not read: {error}")
        except Exception:
            # Whatever it is, it must not stop here: nobody would begin again.
            log.exception("reading messages failed")
        else:
            self._note(False, "messages are read again")

    def _note(self, away: bool, text: str) -> None:
        if away != self._away:
            self._away = away
            log.log(logging.WARNING if away else logging.INFO, text)

    async def _look(self, store: Store, topics: list[LocalTopic]) -> None:
        # As they are now: while we wait for the answer, publishing goes on.
        seen = [topic.seen for topic in topics]
        readings = await store.read_messages([(topic.name, topic.place.version) for topic in topics])
        for topic, reading, seen_before in zip(topics, readings, seen, strict=True):
            if topic.lost(seen_before, reading.last):
                await self._restore(store, topic)
                self._heard(topic.name.tag)
            else:
                topic.saw(reading.last)
                self._deliver(topic, reading.messages)

    def _deliver(self, topic: LocalTopic, messages: Sequence[Message]) -> None:
        messages = [each for each in messages if each.place.version > topic.place.version]
        if not messages:
            return
        topic.keep(messages)
        topic.place = messages[-1].place
        _give(tuple(topic.subscribers), messages)

    async def _restore(self, store: Store, topic: LocalTopic) -> None:
        text = "the store has lost messages: putting back those of %r"
        log.warning(text, topic.name.name, extra={"app": topic.name.app})
        born = await store.restore_messages(
            topic.name, tuple(topic.kept), topic.seen, max_count=MAX_KEPT, max_bytes=MAX_KEPT_BYTES
        )
        topic.seen = MessagePlace(born, topic.seen.version, topic.seen.number)

    # -- wake-ups --------------------------------------------------------------------------------

    async def _hear(self, store: Store) -> None:
        """Until cancelled."""
        said = ""
        while True:
            try:
                await store.hear_messages(self._heard)
            except StoreError as error:
                text = f"looking for messages each {POLL_SECONDS:g} s, as no wake-ups come: {error}"
                log.log(logging.DEBUG if text == said else logging.WARNING, text)
                said = text
                seconds = REFUSED_SECONDS if isinstance(error, StoreConfigError) else RETRY_SECONDS
            except Exception:
                # Whatever it is, it must not end here: nobody would begin again.
                log.exception("waiting for messages failed")
                seconds = RETRY_SECONDS
            self._hears = False
            await asyncio.sleep(seconds)

    def _heard(self, tag: str | None) -> None:
        if tag is None:
            self._hears = self._all_due = True
        elif tag not in self._topics or not self._topics[tag].subscribers:
            return
        else:
            self._due.add(tag)
        self._any_due.set()


def _before(reading: TopicReading) -> MessagePlace:
    """Where somebody is who gets these as the first ones."""
    if not reading.messages:
        return reading.last
    first = reading.messages[0].place
    return MessagePlace(first.born, first.version - 1, first.number - 1)


def _give(subscribers: Sequence[Subscriber], messages: Sequence[Message]) -> None:
    due: dict[asyncio.AbstractEventLoop, list[Subscriber]] = {}
    for each in subscribers:
        if each.put(messages) and each.loop is not None:
            due.setdefault(each.loop, []).append(each)
    for loop, of_loop in due.items():
        with suppress(RuntimeError):  # it was closed just now, and its sessions with it
            loop.call_soon_threadsafe(_schedule, of_loop)


def _schedule(subscribers: list[Subscriber]) -> None:
    spawn(notify_in_batches(subscribers))
