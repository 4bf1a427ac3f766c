"""What a replica holds of one session, from its claim to its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Generic, Protocol, TypeVar

from service.apps.attempts import Attempt
from service.close_codes import Close
from service.documents.composing import Composed
from service.protocol import messages
from service.protocol.messages import Frames
from service.sessions.life import Event, Life, State
from service.sessions.page_message import PageMessage
from store.contract import JournalFields, PageRequest, SessionKey

__all__ = ("Client", "SleepingSessions", "Slot")

_NO_REQUEST = PageRequest()

S = TypeVar("S")
"""The live session; a name for it where nobody may know more."""


class Client(Protocol):
    """A connection, as far as its session knows it."""

    @property
    def subscribed(self) -> bool:
        """Whether it has the Document, and is told of changes."""

    @property
    def congested(self) -> bool:
        """Whether it has much unsent."""

    def hidden_for(self) -> float:
        """For how many seconds nobody has been able to see it; 0 while somebody may."""

    def send(self, frames: Frames) -> None: ...

    def show(self, message: PageMessage) -> None: ...

    async def catch_up(self) -> None: ...

    def pull_again(self, *, keep_input: bool) -> None: ...

    def woken(self) -> None: ...

    def close(self, code: int, reason: str, *, patience: float | None = None) -> None: ...


class SleepingSessions(Protocol[S]):
    """What can be done with sessions that sleep: one for all of a replica, as there may be many of those."""

    async def wake(self, slot: Slot[S]) -> S:
        """Bring it back, once for all who want that at the same time."""

    async def pull(self, slot: Slot[S], *, inline: bool) -> Composed | None:
        """What a page is shown of it, with binary data in the JSON (``inline``) or beside it.

        None where it has to wake for that.
        """


class Slot(Generic[S]):
    """A live session hangs on it; of one that sleeps this is all there is.

    Its ``life`` says what may be done with it. On the event loop only.
    """

    __slots__ = (
        "_asleep", "_attempt", "_hidden", "_record", "_session", "_under_way", "_writes", "connections",
        "epoch", "key", "life", "request", "unused_since",
    )  # fmt: skip

    def __init__(self, key: SessionKey) -> None:
        self.key = key
        self.epoch = 0
        """0 until the session is granted."""
        self.request = _NO_REQUEST
        self.connections: set[Client] = set()
        self.life = Life()
        self._attempt: Attempt | None = None
        self.unused_since = time.monotonic()
        """When the last connection went."""
        self._session: S | None = None
        self._writes = 0
        self._asleep: SleepingSessions[S] | None = None
        self._record: JournalFields | None = None
        self._hidden = False
        self._under_way: asyncio.Task[Any] | None = None

    @property
    def open(self) -> bool:
        """Whether clients may join it."""
        return self.life.state in (State.LIVE, State.ASLEEP, State.WAKING)

    @property
    def hidden(self) -> bool:
        """Whether it has to be live to be shown."""
        return self._hidden

    def hide(self) -> None:
        """Whoever comes from here on shall not be shown its record: it could not be brought back."""
        self._hidden = True

    @property
    def record(self) -> JournalFields | None:
        """As its claim has read it, until it is live; None: the store has to be asked."""
        return self._record

    @property
    def session(self) -> S | None:
        """The live session, also while it leaves."""
        return self._session

    def next_write(self) -> int:
        """The number of the write of the journal that comes now: the store refuses those out of order."""
        self._writes += 1
        return self._writes

    # -- its life ------------------------------------------------------------------------------

    def granted(self, epoch: int, request: PageRequest) -> None:
        """The store says that it is ours."""
        self.life.on(Event.GRANTED)
        self.epoch, self.request = epoch, request

    @property
    def attempt(self) -> Attempt | None:
        """What builds it, while something does."""
        return self._attempt

    @contextmanager
    def built_by(self, attempt: Attempt) -> Iterator[None]:
        """Meanwhile."""
        self._attempt = attempt
        try:
            with attempt.under_way():
                yield
        finally:
            self._attempt = None

    def built(self, session: S) -> None:
        self.life.on(Event.BUILT)
        self._session, self._asleep, self._record = session, None, None
        self._hidden = False
        self.unused_since = time.monotonic()

    def fall_asleep(self, asleep: SleepingSessions[S], record: JournalFields | None = None) -> None:
        """Let go of the live session, or do without one as yet: the store has ``record`` of it then."""
        self.life.on(Event.SLEEP)
        self._session, self._asleep, self._record = None, asleep, record

    async def awake(self) -> S | None:
        """The live session, which is brought back if it sleeps; None if it is leaving or gone."""
        asleep = self._asleep
        return await asleep.wake(self) if asleep is not None else self._session

    async def pulled_asleep(self, *, inline: bool) -> Composed | None:
        """What a page is shown of a session that sleeps, still or until it is built; else None.

        Whoever gets an answer has to make use of it before anything else happens.
        """
        asleep = self._asleep
        answer = None if asleep is None or self._hidden else await asleep.pull(self, inline=inline)
        return answer if self.life.state in (State.ASLEEP, State.WAKING) else None

    def gone(self) -> None:
        """Break the circle between the two, so that the session's memory is free at once."""
        self._session = self._asleep = self._under_way = self._record = None

    def begin(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """``work`` takes the session to its next state: whoever needs to know waits for it."""
        task = self._under_way = asyncio.create_task(work)
        task.add_done_callback(self._over)
        return task

    def _over(self, task: asyncio.Task[Any]) -> None:
        if self._under_way is task:  # its result is perhaps a session that may sleep soon
            self._under_way = None

    async def settled(self) -> None:
        """Return when what is under way is over, however it ended; in any case in a later turn."""
        if self._under_way is not None:
            await asyncio.wait([self._under_way])
        else:
            await asyncio.sleep(0)

    @property
    def under_way(self) -> asyncio.Task[Any] | None:
        return self._under_way

    def give_up_waiting(self) -> None:
        """Whoever waits for what is under way goes on."""
        if self._under_way is not None:
            self._under_way.cancel()

    # -- its connections -----------------------------------------------------------------------

    def connect(self, connection: Client) -> None:
        self.connections.add(connection)

    def disconnect(self, connection: Client) -> bool:
        """Whether it was connected until now."""
        if connection not in self.connections:
            return False
        self.connections.remove(connection)
        self.unused_since = time.monotonic()
        return True

    def unused_for(self) -> float:
        """Seconds without any connection."""
        return 0.0 if self.connections else time.monotonic() - self.unused_since

    @property
    def is_shown(self) -> bool:
        """Whether anybody has its Document."""
        return any(connection.subscribed for connection in self.connections)

    def tell(self, changes: str) -> None:
        """Send these (JSON, perhaps none) to whoever was shown it."""
        for connection in [each for each in self.connections if changes and each.subscribed]:
            connection.send(messages.patch_doc(changes))

    def pull_again(self, *, keep_input: bool) -> None:
        """Let whoever was shown the session pull it once more: it is not as it was shown.

        What they have sent meanwhile is dropped, unless it fits all the same (``keep_input``).
        """
        for connection in [each for each in self.connections if each.subscribed]:
            connection.pull_again(keep_input=keep_input)

    def close_connections(self, why: Close, *, patience: float | None = None) -> None:
        """Close all; they report back through :meth:`disconnect`."""
        for connection in list(self.connections):
            connection.close(*why, patience=patience)
