"""What replicas compute for each other: one of those that want a result does it, the others wait for that.

All of it is on the store's thread, but for the computing itself, which its caller does where he is.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
import weakref
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

from service.fleet.store_thread import MAX_LOOP_WAIT_SECONDS, StoreThread
from service.limits import MAX_RESULT_BYTES
from service.metrics import FleetMeter
from service.timings import RESULT_LEASE_SECONDS, RESULT_RENEW_SECONDS
from store.contract import Store
from store.errors import StoreError, StoreUnavailable
from store.pieces import LARGE, Pieces
from store.results import ResultName, ResultState

__all__ = ("Answer", "ComputeLease", "Found", "Raised", "ReplicaResults", "Wanted")

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.1
"""Between looks whether another replica has it by now."""

COMPUTE_APART_SECONDS = 2.0
"""In which all who waited compute by themselves after a failure: one after the other would take long."""

TOO_LARGE_COMPUTE_APART_SECONDS = 60.0
"""The same for a result that is too large to be kept."""

SILENT_SECONDS = 5.0
"""In which nobody asks a store that did not answer: each call would wait for it, with its session's lock."""

ON_LOOP_SECONDS = MAX_LOOP_WAIT_SECONDS / 2
"""For which code on an event loop, and so all sessions, wait for the store to answer."""

COPIES_BYTES = 64 * 2**20
"""Results that a replica has a copy of, so that they need not be read again."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A result, and how it is to be kept."""

    name: ResultName
    key: str
    ttl: float
    """Seconds; 0 for a month after its last use."""
    max_bytes: int
    """That all results of the name may have."""

    @property
    def id(self) -> tuple[ResultName, str]:
        return self.name, self.key

    @property
    def limit(self) -> int:
        """Bytes of one result."""
        return min(self.max_bytes, MAX_RESULT_BYTES)


@dataclass(frozen=True, slots=True)
class Found:
    """Somebody has computed it."""

    id: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Raised:
    """Somebody of this replica has tried to."""

    error: Exception


class ComputeLease:
    """The caller has to compute it, and to say how that went. If it is dropped, the next one has to."""

    def __init__(self, wanted: Wanted, flight: _SingleFlight) -> None:
        self.wanted = wanted
        self.flight = flight


Answer: TypeAlias = Found | Raised | ComputeLease


class _SingleFlight:
    """A result that somebody of this replica asks for or computes, and others of it wait for."""

    def __init__(self) -> None:
        self.call = secrets.token_hex(8)
        self.generation = ""
        """Empty: the store has not answered, or somebody else computes the same; it gets nothing."""
        self.landed: asyncio.Future[Found | Raised | None] = asyncio.get_running_loop().create_future()
        """None: who waits has to ask again."""
        self.lost = False
        """It was forgotten meanwhile, or another replica computes it by now."""
        self.renewing: asyncio.Task[None] | None = None

    def land(self, outcome: Found | Raised | None) -> None:
        if self.renewing is not None:
            self.renewing.cancel()
        if not self.landed.done():
            self.landed.set_result(outcome)


@dataclass(frozen=True, slots=True)
class _Copy:
    id: str
    data: bytes
    until: float

    @property
    def lives(self) -> bool:
        return time.monotonic() < self.until


class _Copies:
    """Results of this replica that were used last."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._copies: OrderedDict[tuple[ResultName, str], _Copy] = OrderedDict()

    def get(self, wanted: Wanted) -> _Copy | None:
        found = self._copies.get(wanted.id)
        if found is not None:
            self._copies.move_to_end(wanted.id)
        return found

    def put(self, wanted: Wanted, id_: str, data: bytes, ttl: float) -> None:
        self.remove(wanted.id)
        if len(data) > self._max_bytes // 4:  # one must not displace all others
            return
        self._copies[wanted.id] = _Copy(id_, data, time.monotonic() + ttl if ttl else float("inf"))
        self._bytes += len(data)
        while self._bytes > self._max_bytes:
            self.remove(next(iter(self._copies)))

    def remove(self, id_: tuple[ResultName, str]) -> None:
        found = self._copies.pop(id_, None)
        if found is not None:
            self._bytes -= len(found.data)

    def of(self, name: ResultName) -> list[tuple[ResultName, str]]:
        return [id_ for id_ in self._copies if id_[0] == name]


class ReplicaResults:
    """All results of a replica's apps."""

    def __init__(self, thread: StoreThread, meter: FleetMeter) -> None:
        self.thread = thread
        self.meter = meter
        self._flights: dict[tuple[ResultName, str], _SingleFlight] = {}
        self._copies = _Copies(COPIES_BYTES)
        self._away = False
        self._silent_until = 0.0
        """``time.monotonic()``; 0 where the store has answered last."""

    def computes(self, wanted: Wanted) -> bool:
        """Whether somebody of this replica does. On any thread."""
        flight = self._flights.get(wanted.id)
        return flight is not None and not flight.landed.done()

    # -- asking ----------------------------------------------------------------------------------

    async def ask(self, store: Store, wanted: Wanted, *, wait: bool = True, unreadable: str = "") -> Answer:
        """What became of it, once it is known. ``unreadable`` is the id of what was found and is damaged.

        Without ``wait`` whoever asks while another one computes has to compute it, too.
        """
        while (flight := self._flights.get(wanted.id)) is not None:
            if not wait and not flight.landed.done():
                return ComputeLease(wanted, _SingleFlight())
            outcome = await asyncio.shield(flight.landed)
            if outcome is not None:
                return outcome
        return await self._lead(store, wanted, wait, unreadable)

    async def _lead(self, store: Store, wanted: Wanted, wait: bool, unreadable: str) -> Found | ComputeLease:
        flight = self._flights[wanted.id] = _SingleFlight()
        try:
            found = await self._look(store, wanted, flight, wait, unreadable)
        except BaseException:
            self._land(wanted, flight, None)
            raise
        if isinstance(found, Found):
            self._land(wanted, flight, found)
            return found
        if found is ResultState.COMPUTE:
            flight.renewing = asyncio.create_task(self._renew(store, wanted, flight))
        turn = ComputeLease(wanted, flight)
        weakref.finalize(
            turn, self._dropped, asyncio.get_running_loop(), store, wanted, flight
        ).atexit = False
        return turn

    async def _look(
        self, store: Store, wanted: Wanted, flight: _SingleFlight, wait: bool, unreadable: str
    ) -> Found | ResultState:
        """If there is none, it has to be computed here: with COMPUTE for others, too."""
        copy = self._copies.get(wanted)
        while True:
            if time.monotonic() < self._silent_until:
                return _without_store(copy)
            if self._silent_until:  # one waits to see whether it is back, the others do not
                self._silent_until = time.monotonic() + SILENT_SECONDS
            try:
                async with _within(None if wait else ON_LOOP_SECONDS):
                    found = await store.find_result(
                        wanted.name, wanted.key, call=flight.call, known=copy.id if copy else "",
                        unreadable=unreadable, lease=RESULT_LEASE_SECONDS,
                    )  # fmt: skip
            except StoreError as error:
                self._note(error)
                return _without_store(copy)
            self._note(None)
            match found.state:
                case ResultState.SAME if copy is not None:
                    return Found(copy.id, copy.data)
                case ResultState.THERE if found.damage:
                    log.warning("a result of %s cannot be read: %s", wanted.name.name, found.damage)
                    unreadable = found.id
                case ResultState.THERE:
                    self._copies.put(wanted, found.id, found.data, found.ttl)
                    return Found(found.id, found.data)
                case ResultState.HELD if wait:
                    await asyncio.sleep(min(LOOK_SECONDS, found.left + 0.001))
                case ResultState.HELD:
                    return found.state
                case _:
                    flight.generation = found.generation
                    return found.state

    async def _renew(self, store: Store, wanted: Wanted, flight: _SingleFlight) -> None:
        """Until it is cancelled, or the lease is another one's."""
        while True:
            await asyncio.sleep(RESULT_RENEW_SECONDS)
            try:
                ours = await store.renew_result(
                    wanted.name, wanted.key, call=flight.call, generation=flight.generation,
                    lease=RESULT_LEASE_SECONDS,
                )  # fmt: skip
            except StoreError as error:
                self._note(error)
                continue
            if not ours:
                flight.lost = True
                self._unlist(wanted, flight)
                return

    # -- how it went -----------------------------------------------------------------------------

    async def computed(self, store: Store, turn: ComputeLease, data: bytes) -> None:
        """Others get it at once, and then the store."""
        wanted, flight = turn.wanted, turn.flight
        flight.land(Found(flight.call, data))
        try:
            if flight.generation and not flight.lost:
                await self._keep(store, wanted, flight, data)
        except StoreError as error:
            self._note(error)
            await self._give_up(store, wanted, flight)  # nobody needs to wait until the lease ends
        finally:
            self._unlist(wanted, flight)

    async def failed(self, store: Store, turn: ComputeLease, error: Exception) -> None:
        """Who waits on this replica gets the error; who waits on others tries it."""
        self._land(turn.wanted, turn.flight, Raised(error))
        await self._give_up(store, turn.wanted, turn.flight, COMPUTE_APART_SECONDS)

    async def abandoned(self, store: Store, turn: ComputeLease) -> None:
        """The next one has to compute it."""
        self._abandon(store, turn.wanted, turn.flight)

    async def forget(self, store: Store, name: ResultName, key: str | None) -> None:
        """Raises StoreError."""
        await store.forget_results(name, key)
        for id_ in [*self._copies.of(name), *(each for each in self._flights if each[0] == name)]:
            if key is None or id_[1] == key:
                self._copies.remove(id_)
                flight = self._flights.pop(id_, None)
                if flight is not None:
                    flight.lost = True

    async def _keep(self, store: Store, wanted: Wanted, flight: _SingleFlight, data: bytes) -> None:
        if len(data) > wanted.limit:
            self._say_too_large(wanted, len(data))
            await self._give_up(store, wanted, flight, TOO_LARGE_COMPUTE_APART_SECONDS)
            return
        kept = await store.keep_result(
            wanted.name, wanted.key, Pieces((data,)) if len(data) > LARGE else data, call=flight.call,
            generation=flight.generation, ttl=wanted.ttl, max_bytes=wanted.max_bytes,
        )  # fmt: skip
        self.meter.results(wanted.name.app, wanted.name.name).kept(kept.bytes, kept.evicted)
        if kept.kept and not flight.lost:
            self._copies.put(wanted, flight.call, data, wanted.ttl)

    def _dropped(
        self, loop: asyncio.AbstractEventLoop, store: Store, wanted: Wanted, flight: _SingleFlight
    ) -> None:
        """Nobody computes it any more. On any thread, at any time."""
        try:
            loop.call_soon_threadsafe(self._abandon, store, wanted, flight)
        except RuntimeError:  # the replica has stopped
            return

    def _abandon(self, store: Store, wanted: Wanted, flight: _SingleFlight) -> None:
        if not flight.landed.done():
            self._land(wanted, flight, None)
            flight.renewing = asyncio.create_task(self._give_up(store, wanted, flight))

    async def _give_up(self, store: Store, wanted: Wanted, flight: _SingleFlight, apart: float = 0.0) -> None:
        if not flight.generation:
            return
        try:
            await store.give_up_result(
                wanted.name, wanted.key, call=flight.call, generation=flight.generation, apart=apart
            )
        except StoreError as error:
            self._note(error)  # the lease ends by itself

    def _land(self, wanted: Wanted, flight: _SingleFlight, outcome: Found | Raised | None) -> None:
        flight.land(outcome)
        self._unlist(wanted, flight)

    def _unlist(self, wanted: Wanted, flight: _SingleFlight) -> None:
        if self._flights.get(wanted.id) is flight:
            del self._flights[wanted.id]

    def _note(self, error: StoreError | None) -> None:
        if error is not None and not self._away:
            log.warning("fleet.cache: each replica computes for itself while there is trouble: %s", error)
        self._away = error is not None
        self._silent_until = time.monotonic() + SILENT_SECONDS if isinstance(error, StoreUnavailable) else 0.0

    def _say_too_large(self, wanted: Wanted, size: int) -> None:
        log.warning(
            "fleet.cache: a result of %s has %d bytes, more than the %d that it may have: it is not kept",
            wanted.name.name,
            size,
            wanted.limit,
            extra={"app": wanted.name.app},
        )


@asynccontextmanager
async def _within(seconds: float | None) -> AsyncIterator[None]:
    """Raises StoreUnavailable when it takes longer."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise StoreUnavailable(f"no answer within {seconds:g} s") from None


def _without_store(copy: _Copy | None) -> Found | ResultState:
    return Found(copy.id, copy.data) if copy is not None and copy.lives else ResultState.APART
