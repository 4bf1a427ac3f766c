"""What a store owes the service: values, promises, and nothing about Redis.

Each method's docstring says what is atomic, what is idempotent and what expires. Times are
seconds; clocks are the store's own (Redis ``TIME``), so replicas need not agree on theirs.
Every method may raise :class:`~store.errors.StoreUnavailable`, and every write
:class:`~store.errors.StoreFull`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from store.pieces import Pieces
from store.results import Results

if TYPE_CHECKING:
    from store.jobs import JobStore
    from store.maintenance import MaintenanceNotice, MaintenanceStore

__all__ = (
    "DRAIN",
    "Beat",
    "Claim",
    "Heartbeat",
    "JournalFields",
    "JournalWrite",
    "Journals",
    "LeaseState",
    "Message",
    "MessagePlace",
    "Outcome",
    "PageRequest",
    "ParkReason",
    "Parked",
    "Publishing",
    "SessionKey",
    "SessionRecord",
    "SessionState",
    "SharedChange",
    "SharedName",
    "SharedOutcome",
    "SharedReading",
    "SharedWrite",
    "SharedWritten",
    "Store",
    "TaskLease",
    "TaskName",
    "TaskRecord",
    "TokenLease",
    "TopicName",
    "TopicReading",
    "UserTokens",
    "Written",
)


@dataclass(frozen=True, slots=True)
class SessionKey:
    """Names one session: the app's URL path and the session id (as in Bokeh, ids are per app)."""

    app: str
    session_id: str

    @property
    def tag(self) -> str:
        """32 hex digits that stand for this session in key names.

        A digest, because ids come from outside (any character, any length) and because an
        id is what lets somebody join a session, so it does not belong into key listings.
        """
        return blake2b(f"{self.app}\0{self.session_id}".encode(), digest_size=16).hexdigest()

    @property
    def short(self) -> str:
        """The form for logs: enough to tell sessions apart, not enough to join one."""
        return self.tag[:8]

    @property
    def facts(self) -> dict[str, str]:
        """What a log line about the session is marked with (``extra``)."""
        return {"app": self.app, "session": self.short}


@dataclass(frozen=True, slots=True)
class PageRequest:
    """The page request a session was opened with, after the include and exclude lists."""

    method: str = "GET"
    uri: str = "/"
    host: str = ""
    protocol: str = "http"
    remote_ip: str = ""
    arguments: Mapping[str, list[bytes]] = field(default_factory=dict)
    cookies: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    login: str = ""
    """Names the login that tokens were given for, see :meth:`Store.put_tokens`; empty for none."""
    payload: Mapping[str, Any] = field(default_factory=dict)
    """What the app's ``process_request`` hook added (JSON-like values and bytes)."""
    app_path: str = ""
    """The part of ``uri``'s path that is the app's own: without prefix, and without what follows it."""
    route_params: Mapping[str, str] = field(default_factory=dict)
    """What the groups of an app's path pattern matched, by name, or by number from ``0``."""
    trace: str = ""
    """The span of the page view that left it (W3C ``traceparent``); empty without tracing."""


class SessionState(StrEnum):
    LIVE = "live"
    """A replica owns the session (it may have died since; see :meth:`Store.replica`)."""
    STORED = "stored"
    """Nobody owns it; whoever claims it next restores it."""


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """The truth about one session."""

    key: SessionKey
    state: SessionState
    owner: str
    """Replica id, empty when stored."""
    epoch: int
    """Grows with each change of owner, and never goes back, not even when the store lost its data."""
    created: float
    request: PageRequest


class ParkReason(StrEnum):
    """Why a session was set aside."""

    DEATHS = "deaths"
    """Its owners died with it, one after another."""
    MEMORY = "memory"
    """Restoring it takes more memory than one session may have."""


class Outcome(StrEnum):
    OWN = "own"
    """The caller is the owner now (or was already)."""
    RELAY = "relay"
    """Another replica is the owner."""
    PARKED = "parked"
    """It was set aside; see :meth:`Store.park`."""
    UNKNOWN = "unknown"
    """There is no such session and no handoff to begin one with."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Answer to :meth:`Store.claim` and :meth:`Store.seize`."""

    outcome: Outcome
    owner: str = ""
    epoch: int = 0
    created: bool = False
    """True when this claim made the record, so there is nothing to restore."""
    request: PageRequest | None = None
    """The session's request; given when the outcome is OWN, unless there is ``damage``."""
    damage: str = ""
    """Why the stored request cannot be read: damaged, or encrypted with another secret. The caller owns
    a session that it can only :meth:`Store.discard`."""
    deaths: int = 0
    """How many owners in a row died within ten seconds of taking the session or of its last change."""
    reason: ParkReason = ParkReason.DEATHS
    """Why it was set aside, when the outcome is PARKED."""
    suspects: int = 0
    """How many sessions the last of them had announced work on (:meth:`Store.announce`), if this is one:
    with 1 it died while it worked on this session and on no other."""
    alone: int = 0
    """How many owners in a row, up to the last, died while they worked on this session and on no other."""


@dataclass(frozen=True, slots=True)
class Parked:
    """A session that was set aside."""

    key: SessionKey
    at: float
    """When, in wall-clock seconds by the store's clock."""
    deaths: int
    """How many owners it ended."""
    reason: ParkReason = ParkReason.DEATHS


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What a replica says of itself about twice a second."""

    replica: str
    address: str
    """Base URL where other replicas reach it, such as ``http://10.1.2.3:5006``."""
    version: str
    started: float
    """Wall-clock seconds since the epoch."""
    sessions: Mapping[str, int] = field(default_factory=dict)
    """App path to number of sessions, those that are asleep included."""
    asleep: Mapping[str, int] = field(default_factory=dict)
    """App path to how many of these have no Document in memory."""
    errors: Mapping[str, int] = field(default_factory=dict)
    """App path to what its code has raised since the replica started: builds and callbacks. Names every app
    that is served; empty for releases that do not say."""
    memory: int = 0
    """Bytes that the process has in use (resident); 0 where the system does not say."""
    connections: int = 0
    lag: float = 0.0
    """Worst event loop delay since the last beat, in seconds."""
    load: float = 0.0
    """CPU seconds used per second, lately: 1 is one core, which is all that app code can have."""
    queued: int = 0
    """Calls of app code that wait for a thread."""
    draining: bool = False
    maintenance: Mapping[str, float] = field(default_factory=dict)
    """What it turns new pages away for (as in :attr:`Beat.maintenance`), and since when, as it was told."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Of Bokeh (``bokeh``) and of installed Bokeh extensions; empty for releases that do not say."""
    build: str = ""
    """A digest that is the same for replicas of one image: versions, the apps' code, their static files."""
    building: Mapping[str, float] = field(default_factory=dict)
    """Sessions (by tag) that apps are run for right now, and since when, in wall-clock seconds. Of many those
    that take longest."""
    slow: Sequence[Mapping[str, Any]] = ()
    """Code of apps that ran for too long, the last few, newest first: ``at`` (wall-clock seconds), ``app``,
    ``session`` (short form), ``place`` (text), ``seconds`` and whether it is still ``running``."""
    age: float = 0.0
    """Seconds since the beat was written, by the store's clock. Set on reading only."""


@dataclass(frozen=True, slots=True)
class Beat:
    """Answer to :meth:`Store.beat`."""

    known: bool
    """False at the first beat, or when the store lost its data or the heartbeat ran out: the
    replica should make sure that what it holds is still its own."""
    now: float = field(default=0.0, compare=False)
    """Wall-clock seconds by the store's clock, when it took the beat."""
    drain: bool = False
    """Somebody asked the replica to drain."""
    end: frozenset[tuple[str, int]] = frozenset()
    """Sessions somebody asked the replica to end, as tag and epoch. May repeat what was done already."""
    asked_by: Mapping[str, str] = field(default_factory=dict)
    """Who asked for that, by their own word: by tag of the session, and :data:`DRAIN`. May be incomplete."""
    maintenance: Mapping[str, MaintenanceNotice] = field(default_factory=dict)
    """App paths, or ALL_APPS, that take no new pages."""
    maintenance_ended_by: str = ""
    """Who has just ended some, by their own word."""


DRAIN = "drain"
"""In :attr:`Beat.asked_by`."""


@dataclass(frozen=True, slots=True)
class JournalWrite:
    """Changes of one session's journal: a map of field names to bytes."""

    key: SessionKey
    epoch: int
    number: int
    """1 for an owner's first write; each later one counts one up."""
    put: Mapping[str, bytes | Pieces]
    remove: Collection[str] = ()
    whole: bool = False
    """Replaces all there was, and is never BEHIND."""


class JournalFields(dict[str, bytes]):
    """A session's journal: a map of field names to bytes."""

    damage: str = ""
    """Why nothing of it can be read; it is empty then."""
    outdated: bool = False
    """Something is in another form than this replica writes (encrypted or not, or with another secret):
    the next write has to be whole, so that nothing is left of that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserTokens:
    """What an OAuth provider gave for a user who logged in, newest state."""

    access_token: str = field(default="", repr=False)
    refresh_token: str = field(default="", repr=False)
    """Empty when there is none."""
    id_token: str = field(default="", repr=False)
    """As Panel keeps it in its cookie: a JWT, or what the provider says of the user, base64url of JSON."""
    issued: float = 0.0
    """Wall-clock seconds."""
    expiry: float | None = None
    """Of the access token, in wall-clock seconds; None where nobody says."""
    refused: bool = False
    """The user has to log in again: the provider refused to refresh them, or the user has logged out."""
    number: int = field(default=0, compare=False)
    """Grows with each change, and never goes back, not even when the store lost its data. Set on reading."""

    @property
    def logged_out(self) -> bool:
        """Whether they are what is left of a login that its user has ended."""
        return self.refused and not self.access_token


@dataclass(frozen=True, slots=True)
class TokenLease:
    """Answer to :meth:`Store.lease_tokens`."""

    granted: bool
    """The caller alone may refresh them, until the lease runs out."""
    newer: UserTokens | None = None
    """They were replaced already: nothing is left to do."""


class Written(StrEnum):
    """What became of a write to a session the caller believes to own."""

    OK = "ok"
    STALE = "stale"
    """Another replica owns the session. Nothing was written."""
    GONE = "gone"
    """There is no such session; :meth:`Store.reassert` puts it back."""
    BEHIND = "behind"
    """The store lost earlier writes. Nothing was written; only a whole journal helps."""


class Journals(Protocol):
    """What the writer of journals needs of a store."""

    async def write_journals(self, replica: str, writes: Sequence[JournalWrite]) -> list[Written]:
        """Write the journals of several sessions, in one round trip; one answer each, in order.

        Each write is atomic, fenced by owner and epoch, and changes nothing when repeated. A
        journal lives exactly as long as its session's record.
        """

    async def reassert(self, key: SessionKey, replica: str, *, epoch: int, request: PageRequest) -> Written:
        """Say again that ``replica`` owns the session at ``epoch``. Atomic.

        OK when the record says so, too. BEHIND when it was missing or older, and was written
        again: the journal has to follow. STALE when another replica owns the session by now.
        """


@dataclass(frozen=True, slots=True)
class SharedName:
    """Names one collection of values that all sessions of an app share."""

    app: str
    name: str

    @property
    def tag(self) -> str:
        """Stands for it in key names. 33 digits, so that it is none of a session's."""
        text = f"{self.app}\0{self.name}".encode("utf-8", "surrogatepass")
        return "s" + blake2b(text, digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class SharedChange:
    """What a shared value is since ``version``."""

    key: str
    """Its name."""
    version: int
    value: bytes | None
    """None: it was removed."""
    ttl: float = 0.0
    """Seconds that are left of it; 0 where it does not expire."""


@dataclass(frozen=True, slots=True)
class SharedReading:
    """Answer to :meth:`Store.read_shared`."""

    born: str
    """Which data set it is: another one after the store has lost this one. Empty while there is none."""
    version: int
    """The last one. All changes up to it are in here, or were known."""
    whole: bool
    """``changes`` are all values that there are; what is not in there was removed."""
    changes: Sequence[SharedChange] = ()


@dataclass(frozen=True, slots=True)
class SharedWrite:
    """One change of one shared value."""

    name: SharedName
    key: str
    value: bytes | None
    """None: remove it."""
    call: str
    """The same when this very write is repeated, different otherwise."""
    max_bytes: int
    """All values of ``name`` may have so many."""
    ttl: float = 0.0
    """Seconds after which it goes; 0 for never."""
    expected: int | None = None
    """The version that the writer has of it, 0 for none; None for whatever there is."""
    born: str = ""
    """The data set that the writer knows; empty for none."""
    version: int = 0
    """The last version of it that the writer has seen."""


class SharedOutcome(StrEnum):
    OK = "ok"
    """Written."""
    DONE = "done"
    """An earlier attempt of this very write was; the value may have changed since."""
    CHANGED = "changed"
    """It is not what was expected. Nothing was written."""
    LOST = "lost"
    """The store lost what the writer has seen. Nothing was written; :meth:`Store.restore_shared` helps."""
    FULL = "full"
    """All values together would have more than ``max_bytes``. Nothing was written."""


@dataclass(frozen=True, slots=True)
class SharedWritten:
    """Answer to :meth:`Store.write_shared`."""

    outcome: SharedOutcome
    born: str = ""
    change: SharedChange | None = None
    """What the value is now; given when the outcome is OK, DONE or CHANGED."""
    bytes: int = 0
    """With FULL: how many there would be."""


@dataclass(frozen=True, slots=True)
class TopicName:
    """Names one topic of an app on which messages are published."""

    app: str
    name: str

    @property
    def tag(self) -> str:
        """Stands for it in key names."""
        text = f"{self.app}\0{self.name}".encode("utf-8", "surrogatepass")
        return "m" + blake2b(text, digest_size=16).hexdigest()


class MessagePlace(NamedTuple):
    """Where a message is among those of its topic."""

    born: str = ""
    """Its data set: another one after the store has lost it. Empty before the first message."""
    version: int = 0
    """Grows with each message, and never goes back, not even when the store lost its data."""
    number: int = 0
    """The n-th of its data set."""


@dataclass(frozen=True, slots=True)
class Message:
    place: MessagePlace
    value: bytes


@dataclass(frozen=True, slots=True)
class TopicReading:
    """Answer to :meth:`Store.read_messages`."""

    last: MessagePlace
    """Of the last one that was published, whether it is kept or not."""
    messages: Sequence[Message] = ()
    """Oldest first. What is not kept any more shows in their numbers."""


@dataclass(frozen=True, slots=True)
class Publishing:
    """One message to be published."""

    topic: TopicName
    value: bytes
    call: str
    """The same when this very message is published again, different otherwise."""
    seen: MessagePlace
    """The last one of the topic that the publisher has seen."""
    max_count: int
    """So many messages of the topic are kept."""
    max_bytes: int
    """They are kept as long as they have so many."""
    known: float
    """Seconds for which it is not published again."""


@dataclass(frozen=True, slots=True)
class TaskName:
    """Names one task of an app that one replica at a time runs."""

    app: str
    name: str

    @property
    def tag(self) -> str:
        """Stands for it in key names."""
        text = f"{self.app}\0{self.name}".encode("utf-8", "surrogatepass")
        return "t" + blake2b(text, digest_size=16).hexdigest()


class LeaseState(StrEnum):
    RUN = "run"
    """The caller has the lease."""
    HELD = "held"
    """Another run has it."""
    DONE = "done"
    """Nothing is to be done before the next run is due."""


@dataclass(frozen=True, slots=True)
class TaskLease:
    """Answer to :meth:`Store.begin_task`. Times are wall-clock seconds by the store's clock."""

    turn: LeaseState
    now: float
    fence: int = 0
    """With RUN: grows with each run, and never goes back, not even when the store lost its data."""
    left: float = 0.0
    """With HELD: seconds that are left of the lease."""
    due: float = 0.0
    """The latest due time of which a run has begun."""


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """What is known of a task. Times are wall-clock seconds, 0 for never."""

    name: TaskName
    schedule: str
    """As the app has given it."""
    owner: str
    """Replica that runs it, or has run it last; empty before the first run."""
    running: bool
    fence: int
    began: float
    ended: float
    error: str
    """What the last run raised; empty when it raised nothing."""
    next: float
    """When it is due next."""


class Store(Journals, Results, Protocol):
    """Everything the service keeps outside its processes."""

    # -- lifecycle ---------------------------------------------------------------------------

    async def ping(self) -> None:
        """Return when the store answers and is usable (right version, writable)."""

    async def close(self) -> None:
        """Give back connections. Idempotent."""

    # -- handoffs ----------------------------------------------------------------------------

    async def put_handoff(self, key: SessionKey, token_id: str, request: PageRequest, ttl: float) -> None:
        """Leave ``request`` for the WebSocket that will come with token ``token_id``.

        Idempotent. Gone after ``ttl`` seconds. Not consumed by a claim: until it expires, its
        token may begin the session anew (after the session was discarded, as with Bokeh), unless
        somebody ended the session after this.
        """

    async def handoff(self, key: SessionKey, token_id: str) -> PageRequest | None:
        """What :meth:`put_handoff` left, or None once it is gone. Changes nothing."""

    # -- ownership ---------------------------------------------------------------------------

    async def claim(
        self, key: SessionKey, replica: str, *, token_id: str = "", request: PageRequest | None = None
    ) -> Claim:
        """Become the owner if nobody is; else say who is. Atomic.

        - no record: made from ``request`` if given, else from the handoff of ``token_id``; with
          neither, UNKNOWN. The epoch begins at the store's clock (milliseconds).
        - record without owner: OWN, epoch raised to ``max(epoch + 1, clock)``.
        - owned by ``replica``: OWN with the present epoch, so a retried call changes nothing.
        - owned by another: RELAY, nothing changes.

        A record that was just claimed expires by itself after a minute unless its owner's next
        :meth:`beat` lists it as opened: an owner that dies in between leaves nothing behind.
        """

    async def seize(self, key: SessionKey, replica: str, *, owner: str, epoch: int) -> Claim:
        """Take the session from ``owner`` if it still holds it at ``epoch``. Atomic.

        A lost race answers RELAY with the winner; a repeated call after success answers OWN with
        the same epoch; a session that is gone answers UNKNOWN; one that was released meanwhile
        is taken as by :meth:`claim`. The owner's death is counted once, see :attr:`Claim.deaths`.
        """

    async def release(self, key: SessionKey, replica: str, *, epoch: int, retention: float) -> bool:
        """Give the session up but keep it claimable for ``retention`` seconds. Atomic.

        False, and nothing happens, when ``replica`` is not its owner at ``epoch`` any more.
        A repeated call after success answers True.
        """

    async def discard(self, key: SessionKey, *, owner: str, epoch: int, retention: float = 0.0) -> bool:
        """Forget the session if it is still ``owner``'s at ``epoch``. Atomic.

        False, and nothing happens, when somebody else holds it by now. True when it is gone
        already. Handoffs of the session stay until they expire. With a ``retention`` a session
        that has a journal is released instead, and stays claimable for so many seconds.
        """

    async def end(self, key: SessionKey, *, owner: str, epoch: int) -> bool:
        """Forget the session for good if it is still ``owner``'s at ``epoch`` ('' for nobody's). Atomic.

        False, and nothing happens, when somebody else holds it by now. For a day no handoff that was
        left before begins it anew, and an owner that was away gets STALE.
        """

    async def announce(self, replica: str, key: SessionKey) -> None:
        """``replica`` is about to run code of the session that may end it. Idempotent.

        Known for ten minutes. If it dies before it says :meth:`withdraw`, :meth:`seize` finds this.
        """

    async def withdraw(self, replica: str, key: SessionKey) -> None:
        """``replica`` has survived what it announced. Idempotent."""

    async def park(
        self, key: SessionKey, replica: str, *, epoch: int, reason: ParkReason = ParkReason.DEATHS
    ) -> bool:
        """Set the session aside, if ``replica`` is still its owner at ``epoch``. Atomic, and idempotent.

        For a day claims answer PARKED, unless a page was viewed after this (:meth:`put_handoff`), which
        begins the session anew. Its journal is gone. False, and nothing happens, when somebody else holds it.
        """

    async def parked(self) -> list[Parked]:
        """The parked sessions, longest first, but for those that cannot be read."""

    async def begin_build(self, name: str, replica: str) -> list[str]:
        """``replica`` is about to build ``name`` (an app at a version) for its first time.

        Answers which others have begun within ten minutes and not ended: they are at it, or died of it, in a
        row. Idempotent.
        """

    async def end_build(self, name: str, replica: str, *, built: bool) -> None:
        """``replica`` has survived it. ``built``: it worked, which ends the row. Idempotent."""

    async def wake(self, key: SessionKey, replica: str, *, epoch: int) -> Written:
        """``replica``, which owns the session at ``epoch``, runs its app only now. Atomic, idempotent.

        If it dies within ten seconds, that counts as if it had just taken the session. STALE when another
        replica owns it by now, GONE when there is no such session.
        """

    # -- journals ----------------------------------------------------------------------------

    async def read_journal(self, key: SessionKey) -> JournalFields:
        """All fields of the session's journal; empty when there is none."""

    async def read(self, key: SessionKey) -> SessionRecord | None:
        """The session's record, or None. Raises :class:`~store.errors.RecordError` when it cannot be read."""

    # -- replicas ----------------------------------------------------------------------------

    async def beat(
        self,
        heartbeat: Heartbeat,
        *,
        ttl: float,
        opened: Collection[SessionKey] = (),
        ended: Collection[SessionKey] = (),
    ) -> Beat:
        """Publish the heartbeat for ``ttl`` seconds and bring the replica's session index up to date.

        ``opened`` sessions stop expiring (see :meth:`claim`) and enter the index, ``ended`` ones
        leave it. Idempotent; one round trip, not atomic as a whole.
        """

    async def ask_to_drain(self, replica: str, *, by: str = "") -> bool:
        """Let the replica's next beat say that it should drain; False if there is no such replica.

        ``by`` is who wants that, by their own word: it goes into an audit log, and nobody vouches for it.
        """

    async def ask_to_end(self, key: SessionKey, *, owner: str, epoch: int, by: str = "") -> bool:
        """Let ``owner``'s next beats say that it should end the session; False if that is gone."""

    async def replica(self, replica: str) -> Heartbeat | None:
        """The replica's last heartbeat, or None once it ran out."""

    async def replicas(self) -> list[Heartbeat]:
        """All replicas with a heartbeat, by address."""

    async def retire(self, replica: str) -> None:
        """Remove the replica's heartbeat and index at a clean stop. Idempotent."""

    async def sessions(self, replica: str, *, limit: int | None = None) -> list[SessionRecord]:
        """The sessions in the replica's index that it still owns. A hint: may lag by one beat.

        With a ``limit`` at most so many of them are read, always the same ones. Those that cannot be read
        are left out, and a log line says so.
        """

    async def sweep(self, lifetime: float, *, retention: float = 0.0, limit: int = 1000) -> int:
        """Discard sessions whose owner has been gone for ``lifetime`` seconds; how many it discarded.

        With a ``retention`` those that have a journal are released instead (see :meth:`discard`).

        Any replica may call it at any time, several at once: each discard is fenced by owner and
        epoch. Handles at most ``limit`` sessions a call.
        """

    # -- shared values -----------------------------------------------------------------------

    async def write_shared(self, write: SharedWrite) -> SharedWritten:
        """Change one value that all replicas share. Atomic; repeated within ten seconds it changes nothing.

        Each change has a version, which grows, and goes on growing when the store has lost its data. All
        values of a name are gone a month after they were last used.
        """

    async def read_shared(self, since: Sequence[tuple[SharedName, int, str]]) -> list[SharedReading]:
        """What has changed in each of these since a version of a data set (0 and "": all there is).

        One round trip. What has expired is removed first, and removing is a change, too. Values that cannot
        be read are left out. Without changes, and with those of another data set, nothing is read.
        """

    async def restore_shared(self, name: SharedName, changes: Sequence[SharedChange], version: int) -> str:
        """Put back what the store has lost; which data set that is now. Atomic, idempotent.

        ``version`` is the last one that the caller has seen. Of each value the later version counts, so all
        replicas can do this side by side.
        """

    # -- messages ----------------------------------------------------------------------------

    async def publish_message(self, publishing: Publishing) -> MessagePlace | None:
        """Publish a message. Atomic; repeated while it is known it changes nothing.

        Answers where the topic's last message is then; None, and nothing is published, when the store lost
        what the publisher has seen: :meth:`restore_messages` helps. Of more than is kept the oldest go. A
        day after the last one none is kept, and after a month nothing is known of the topic.
        """

    async def read_messages(
        self, since: Sequence[tuple[TopicName, int | None]], *, newest: int = 0
    ) -> list[TopicReading]:
        """What was published on each topic since a version, as far as it is kept. One round trip.

        With None: where its last message is, with the ``newest`` so many messages. Those that cannot be read
        are left out.
        """

    async def restore_messages(
        self,
        topic: TopicName,
        messages: Sequence[Message],
        seen: MessagePlace,
        *,
        max_count: int,
        max_bytes: int,
    ) -> str:
        """Put back what the store has lost; which data set that is now. Atomic, idempotent.

        ``seen`` is the last message that the caller knows of. Each has its place among what others put back,
        or have published since.
        """

    async def hear_messages(self, heard: Callable[[str | None], None]) -> None:
        """Call ``heard`` with the tag of each topic on which something is published, until cancelled.

        First with None: from then on it is told, and has to look what there was before. A wake-up only: it
        may be lost. Holds one connection. Raises StoreError when that is gone, or cannot be had.
        """

    # -- tasks -------------------------------------------------------------------------------

    async def begin_task(
        self,
        name: TaskName,
        replica: str,
        *,
        call: str,
        schedule: str,
        due: float,
        next_due: float,
        known: float,
        since: float,
        lease: float,
    ) -> TaskLease:
        """Take the lease of a run that was due at ``due``, if nobody has it and it was not run. Atomic.

        A run whose lease is over and that did not end is run again, with a higher fencing number; of those
        that were missed altogether the latest is run. Where nothing is known of the task, what was due before
        ``since`` is not run, and nothing up to ``known``, of which the caller knows that it has begun.
        Repeated with the same ``call`` it answers the same. With ``due`` 0 it tells the time only.
        """

    async def renew_task(self, name: TaskName, replica: str, *, fence: int, due: float, lease: float) -> bool:
        """Keep the lease for another ``lease`` seconds. Atomic, idempotent. False: another run has it."""

    async def end_task(self, name: TaskName, *, fence: int, error: str = "") -> bool:
        """The run has ended. Atomic, idempotent. False: another run has begun since."""

    async def tasks(self) -> list[TaskRecord]:
        """All tasks that replicas asked about within a week, but for those that cannot be read."""

    # -- jobs --------------------------------------------------------------------------------

    @property
    def jobs(self) -> JobStore:
        """Work that apps have handed over."""

    @property
    def maintenance(self) -> MaintenanceStore:
        """Apps that take no new pages."""

    # -- secrets -----------------------------------------------------------------------------

    async def agree_secret(self, name: str, proposal: str) -> str:
        """The secret all replicas use for ``name``: ``proposal`` if there was none yet. Atomic."""

    # -- users' tokens -----------------------------------------------------------------------
    # Encrypted in any case where the store is shared.

    async def put_tokens(self, login: str, tokens: UserTokens, ttl: float) -> int:
        """Keep ``tokens`` in the place of all earlier ones of ``login``, for ``ttl`` seconds; their number.

        ``login`` names one user in one browser. Atomic. A lease on earlier ones is worth nothing afterwards.
        """

    async def tokens(self, login: str) -> UserTokens | None:
        """The login's tokens; None when there are none, or they cannot be read."""

    async def token_numbers(self, logins: Sequence[str]) -> list[int]:
        """The number of each login's tokens, in order; 0 where there are none. One round trip."""

    async def lease_tokens(self, login: str, holder: str, *, number: int, ttl: float) -> TokenLease:
        """Let one caller in the fleet refresh the tokens of that ``number``. Atomic.

        Granted for ``ttl`` seconds unless somebody else has the lease. With tokens of a higher number in
        the store the answer is those. A repeated call of the same ``holder`` is granted again.
        """

    async def renew_tokens(
        self, login: str, holder: str, *, number: int, tokens: UserTokens | None, ttl: float
    ) -> bool:
        """Replace the tokens of that ``number`` and give the lease back. Atomic.

        Without ``tokens`` the lease is given back, and no more. False, and nothing happens, when somebody
        else has the lease or there are tokens of a higher number by now.
        """
