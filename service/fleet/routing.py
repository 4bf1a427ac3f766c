"""From a session key to the session: here, or through a relay to its owner.

Drives :class:`~service.fleet.ownership.Ownership` with the store, the registry and the dialer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import NoReturn, TypeVar

from tornado.httpclient import HTTPError

from service.errors import MemoryExceeded, SessionMoved, SessionUnknown, Unavailable
from service.fleet.dials import Dials
from service.fleet.link import RelayLink
from service.fleet.ownership import Dialled, Ownership, Step
from service.fleet.peers import Peers
from service.fleet.relay import ADOPT_EPOCH, ReplicaClient, result_of
from service.metrics import Metrics
from service.page_versions import PageVersions
from service.sessions.building import OwnershipGrant
from service.sessions.crash_guard import CrashGuard, TakeoverMode, takeover_mode
from service.sessions.parking import Parking, parked
from service.sessions.registry import Registry, SessionSlot
from service.sessions.session import Session
from service.sessions.slot import Slot
from service.sessions.waking import Waking
from service.timings import ADOPT_SECONDS, OWNER_POLL_SECONDS, SILENT_REPLICA_SECONDS
from service.tracing import OFF, Tracing
from store.contract import (
    Claim,
    Heartbeat,
    JournalFields,
    Outcome,
    PageRequest,
    ParkReason,
    SessionKey,
    SessionRecord,
    SessionState,
    Store,
)
from store.errors import RecordDamaged

__all__ = ("Router",)

log = logging.getLogger(__name__)

T = TypeVar("T")
Dial = Callable[[Heartbeat, int], Awaitable[T]]

RELEASE_WAIT_SECONDS = 0.05
"""Seconds until a session that is about to be released is claimed again."""

MAX_ADOPTERS = 3
"""Replicas with a page's versions that are asked to take its session, before this one does."""


def _pages_of(replica: Heartbeat) -> PageVersions:
    return PageVersions.of(replica.versions)


class Router:
    """Finds or opens sessions on behalf of pages and sockets that hit this replica.

    ``is_ours`` says whether a session that lives here still may: the replica may have been frozen or cut off.
    ``failed`` is told of sessions that could not be built. With ``waking`` those that can be shown from their
    record are not built before somebody needs that.
    ``versions`` is what pages are made with here, ``peers`` who may make others.
    """

    def __init__(
        self,
        store: Store,
        registry: Registry,
        replica: str,
        replica_client: ReplicaClient,
        metrics: Metrics,
        *,
        failed: Callable[[SessionSlot], Awaitable[None]],
        is_ours: Callable[[SessionSlot], Awaitable[bool]],
        crash_guard: CrashGuard | None = None,
        waking: Waking | None = None,
        tracing: Tracing = OFF,
        versions: PageVersions | None = None,
        peers: Peers | None = None,
    ) -> None:
        self._versions = versions or PageVersions()
        self._peers = peers or Peers(store, replica)
        self._store = store
        self._registry = registry
        self._replica = replica
        self._replica_client = replica_client
        self._failed = failed
        self._is_ours = is_ours
        self._crash_guard = crash_guard or CrashGuard(store, replica)
        self._waking = waking
        self._parking = Parking(store, replica, metrics)
        self._claims = metrics.claims
        self._dials = Dials()
        self._tracing = tracing

    async def session(
        self,
        key: SessionKey,
        token_id: str,
        request: PageRequest | None = None,
        page: PageVersions | None = None,
    ) -> SessionSlot | RelayLink:
        """The session, live or asleep, or an open relay to its owner.

        Begins the session from ``request``, or else from the handoff of ``token_id``: at a replica that makes
        pages like ``page``, as long as there is one. Raises SessionUnknown if there is neither nor a session,
        AppError, Unavailable, StoreError.
        """

        def dial(owner: Heartbeat, epoch: int) -> Awaitable[RelayLink]:
            return self._replica_client.relay(owner, key, epoch, token_id, page)

        return await self._route(key, token_id, request, dial, page)

    async def adopt(self, key: SessionKey, token_id: str) -> SessionSlot | None:
        """The session, for a replica whose pages are not like ours; None if a third one holds it."""
        found = await self.session(key, token_id)
        if isinstance(found, Slot):
            return found
        found.close()
        return None

    async def page(self, key: SessionKey, request: PageRequest, dial: Dial[str]) -> Session | str:
        """The live session, or the page that ``dial`` gets from its owner.

        Raises as :meth:`session`, and SessionMoved.
        """
        found = await self._route(key, "", request, dial)
        if not isinstance(found, Slot):
            return found
        session = await found.awake()
        if session is None:
            raise SessionMoved("the session has just left this replica")
        return session

    async def holder_of_other_versions(self, key: SessionKey) -> tuple[Heartbeat, int] | None:
        """Who holds the session, and at which epoch, if a page of that replica is not like one of ours.

        Raises StoreError.
        """
        if not any(self._differs(_pages_of(each)) for each in await self._peers.alive()):
            return None
        record = await self._read(key)
        owner = await self._owner_of(record)
        if record is None or owner is None or not self._differs(_pages_of(owner)):
            return None
        return owner, record.epoch

    async def local(self, key: SessionKey, epoch: int) -> SessionSlot | None:
        """The session if this replica holds it at ``epoch``, waiting while it is being opened."""
        opening = self._registry.opening(key)
        if opening is not None:
            await asyncio.wait([opening])
        slot = await self._registry.slot(key)
        return slot if slot is not None and slot.epoch == epoch else None

    async def _route(
        self,
        key: SessionKey,
        token_id: str,
        request: PageRequest | None,
        dial: Dial[T],
        page: PageVersions | None = None,
    ) -> SessionSlot | T:
        slot = await self._registry.slot(key)
        if slot is not None and await self._is_ours(slot):
            return slot
        other_page = page if page is not None and self._differs(page) else None
        if other_page and not await self._owner_of(await self._read(key)):
            adopted = await self._adopted(key, other_page, dial)
            if adopted is not None:
                return adopted[0]
        ownership = Ownership(silence=SILENT_REPLICA_SECONDS)
        claim = partial(self._store.claim, key, self._replica, token_id=token_id, request=request)
        answer = await self._open(key, claim, "own", ownership)
        while not isinstance(answer, Slot):
            if ownership.step is Step.FIND_OWNER:
                reached = await self._reach(ownership, dial)
                if reached is not None:
                    self._claims.labels("relay").inc()
                    return reached[0]
                adopted = await self._adopted(key, other_page, dial) if other_page else None
                if adopted is not None:
                    return adopted[0]
            if ownership.step is Step.CLAIM:
                await asyncio.sleep(RELEASE_WAIT_SECONDS)
                answer = await self._open(key, claim, "own", ownership)
                continue
            owner, epoch = ownership.claim.owner, ownership.claim.epoch
            log.warning("seizing the session from %s, which is gone", owner, extra=key.facts)
            seize = partial(self._store.seize, key, self._replica, owner=owner, epoch=epoch)
            answer = await self._open(key, seize, "seize", ownership)
        return answer

    def _differs(self, page: PageVersions) -> bool:
        return not page.made_as(self._versions)

    async def _read(self, key: SessionKey) -> SessionRecord | None:
        """What cannot be read is nothing to go by; who claims the session will say so."""
        with suppress(RecordDamaged):
            return await self._store.read(key)
        return None

    async def _owner_of(self, record: SessionRecord | None) -> Heartbeat | None:
        """The replica that holds the session, unless it seems to be gone."""
        if record is None or record.state is not SessionState.LIVE:
            return None
        owner = await self._store.replica(record.owner)
        return owner if owner is not None and owner.age <= SILENT_REPLICA_SECONDS else None

    async def _adopted(self, key: SessionKey, page: PageVersions, dial: Dial[T]) -> tuple[T] | None:
        """A relay to a replica that makes pages like ``page``, and has become the session's owner for it."""
        for peer in (await self._peers.with_versions(page))[:MAX_ADOPTERS]:
            try:
                async with asyncio.timeout(ADOPT_SECONDS):
                    reached = await dial(peer, ADOPT_EPOCH)
            except (HTTPError, OSError) as error:  # TimeoutError is an OSError
                log.info("%s does not take the session: %s", peer.replica, error, extra=key.facts)
            else:
                self._claims.labels("relay").inc()
                return (reached,)
        return None

    async def _open(
        self, key: SessionKey, ask: Callable[[], Awaitable[Claim]], kind: str, ownership: Ownership
    ) -> SessionSlot | Claim:
        """Claim or seize (``kind``), and take up what became ours; one at a time per session."""
        answer = await self._open_once(key, ask, kind)
        if isinstance(answer, Claim):
            match ownership.claimed(answer):
                case Step.UNKNOWN:
                    raise SessionUnknown("the session was ended, or its token is too old to begin it anew")
                case Step.PARKED:
                    raise parked(answer.reason)
                case Step.GIVE_UP:
                    raise Unavailable("the session keeps moving between replicas")
        return answer

    async def _open_once(
        self, key: SessionKey, ask: Callable[[], Awaitable[Claim]], kind: str
    ) -> SessionSlot | Claim:
        self._registry.app(key.app)
        while (slot := await self._registry.slot(key)) is None:
            others = self._registry.opening(key)
            if others is None:
                return await asyncio.shield(self._registry.open(key, partial(self._open_now, ask, kind)))
            answer: SessionSlot | Claim = await asyncio.shield(others)
            if isinstance(answer, Slot) or answer.outcome != Outcome.UNKNOWN:
                return answer  # else ours may know what theirs did not: the handoff of another token
        return slot

    async def _open_now(
        self, ask: Callable[[], Awaitable[Claim]], kind: str, slot: SessionSlot
    ) -> SessionSlot | Claim:
        key = slot.key
        with self._tracing.span("claim" if kind == "own" else kind, session=key.short):
            claim = await ask()
        fields: JournalFields | None = None
        if claim.damage:
            fields, claim = await self._anew(key, claim, ask)
        if claim.outcome != "own":
            return claim
        self._claims.labels(kind).inc()
        assert claim.request is not None
        slot.granted(claim.epoch, claim.request)
        try:
            await self._take_up(slot, claim, takeover_mode(claim), fields)
        except Exception:
            await self._failed(slot)
            raise
        return slot

    async def _anew(
        self, key: SessionKey, claim: Claim, ask: Callable[[], Awaitable[Claim]]
    ) -> tuple[JournalFields, Claim]:
        """Without the request it was opened with a session cannot be restored: it begins afresh."""
        log.error("the session's record cannot be read: %s", claim.damage, extra=key.facts)
        await self._store.discard(key, owner=self._replica, epoch=claim.epoch)
        fields = JournalFields()
        fields.damage = claim.damage
        claim = await ask()
        if claim.damage:  # its handoff, too
            await self._store.discard(key, owner=self._replica, epoch=claim.epoch)
            claim = Claim(Outcome.UNKNOWN)
        return fields, claim

    async def _take_up(
        self, slot: SessionSlot, claim: Claim, mode: TakeoverMode, fields: JournalFields | None
    ) -> None:
        """Build it, unless its record will do for now: ``fields``, where that is known already."""
        key = slot.key
        if mode is TakeoverMode.PARK:
            why = f"{claim.deaths} replicas died with it, one after another"
            await self._parking.park(key, claim.epoch, ParkReason.DEATHS, why)
        if mode is not TakeoverMode.NONE:
            log.warning("%d replicas died with the session: it is restored without running its inputs again",
                        claim.deaths, extra=key.facts)  # fmt: skip
        if fields is None and not claim.created:
            fields = await self._store.read_journal(key)
            if self._waking is not None and self._waking.leave_asleep(slot, fields, mode):
                return
        async with (
            self._crash_guard.taking_over(key, mode),
            self._crash_guard.building(self._registry.app(key.app)),
        ):
            grant = OwnershipGrant(
                key, slot.epoch, slot.request, fields,
                replay=mode is TakeoverMode.NONE, most_memory=self._crash_guard.most_memory,
            )  # fmt: skip
            with self._tracing.span("build" if claim.created else "restore", session=key.short):
                try:
                    await self._registry.build(slot, grant)
                except MemoryExceeded as error:
                    await self._parking.park(key, claim.epoch, ParkReason.MEMORY, f"to restore {error}")

    async def _reach(self, ownership: Ownership, dial: Dial[T]) -> tuple[T] | None:
        """Dial the owner; None when the session has to be seized from it, or claimed once more."""
        refused = await self._dials.refused(ownership.claim.owner)
        owner = await self._store.replica(ownership.claim.owner)
        if ownership.found(owner) is Step.SEIZE or owner is None:
            return None
        if refused:
            ownership.dialled(Dialled.REFUSED)
            return None
        attempt: asyncio.Future[T] = asyncio.ensure_future(dial(owner, ownership.claim.epoch))
        self._dials.note(owner.replica, attempt)
        try:
            step = await self._listen(ownership, attempt)
            return (attempt.result(),) if step is Step.RELAY else None
        finally:
            attempt.cancel()

    async def _listen(self, ownership: Ownership, attempt: asyncio.Future[T]) -> Step:
        pause = SILENT_REPLICA_SECONDS
        while True:
            await asyncio.wait([attempt], timeout=pause)
            result = result_of(attempt) if attempt.done() else Dialled.SILENT
            if result is Dialled.REFUSED:
                return ownership.refused(await self._store.replica(ownership.claim.owner))
            if ownership.dialled(result) is not Step.KEEP_WAITING:
                return ownership.step
            if ownership.obstacle is not None:
                await asyncio.sleep(SILENT_REPLICA_SECONDS)
            pause = OWNER_POLL_SECONDS
            owner = await self._store.replica(ownership.claim.owner)
            match ownership.looked_again(owner):
                case Step.SEIZE:
                    return Step.SEIZE
                case Step.DENIED:
                    self._denied(ownership.claim.owner)
                case Step.UNREACHED:
                    self._unreached(ownership.claim.owner, attempt.exception())

    def _denied(self, owner: str) -> NoReturn:
        self._claims.labels("denied").inc()
        log.error(
            "replica %s, which is alive, does not let this one in: do they have the same secret key?", owner
        )
        raise Unavailable("the session's owner does not let this replica in")

    def _unreached(self, owner: str, error: BaseException | None) -> NoReturn:
        self._claims.labels("unreached").inc()
        log.error("replica %s, which is alive, cannot be dialled from here: %s", owner, error)
        raise Unavailable("this replica cannot reach the session's owner")
