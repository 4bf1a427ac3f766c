"""The store's contract over Redis, standalone, Sentinel or Cluster, and over the embedded default.

Each transition of a session is one script on that session's keys; indexes in other slots follow
in pipelines and are repaired by :mod:`store.sweeper`. How commands travel is
:mod:`store.link`'s matter, how values are encoded is :mod:`store.records`'.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from store import records
from store.contract import (
    DRAIN,
    Beat,
    Claim,
    Heartbeat,
    JournalFields,
    JournalWrite,
    LeaseState,
    Message,
    MessagePlace,
    Outcome,
    PageRequest,
    Parked,
    ParkReason,
    Publishing,
    SessionKey,
    SessionRecord,
    SharedChange,
    SharedName,
    SharedOutcome,
    SharedReading,
    SharedWrite,
    SharedWritten,
    TaskLease,
    TaskName,
    TaskRecord,
    TokenLease,
    TopicName,
    TopicReading,
    UserTokens,
    Written,
)
from store.encryption import PLAIN, Encryption
from store.errors import RecordDamaged, RecordError
from store.facts import ServerFacts, ask_servers
from store.keys import Keys
from store.link import Link
from store.probe import check
from store.redis_jobs import RedisJobs
from store.redis_maintenance import RedisMaintenance
from store.redis_results import RedisResults
from store.scripts import Command, load
from store.sweeper import Sweeper
from store.values import StoredValues, field_of
from store.wake_ups import hear

__all__ = ("RedisStore",)

log = logging.getLogger(__name__)

T = TypeVar("T")

_JOURNAL_WEIGHT = 8
"""A journal may have MBs: a pipeline that others share reads so few that all replies come in time."""

_UNLISTED_SECONDS = 60.0
"""Seconds that a record lives which its owner has not listed as opened yet."""

_ENDED_SECONDS = 24 * 3600.0
"""Seconds in which a session that was ended is not begun anew from what was there before."""

_SURVIVED_SECONDS = 10.0
"""Seconds after which an owner that still lives has survived what it took a session for."""

_ANNOUNCED = 600.0
"""Seconds for which it is known what a dead replica had announced."""

_TASK_KEPT = 7 * 24 * 3600.0
"""Seconds in which a task is known that nobody asks about."""

_CALLS_KNOWN = 10_000
"""Of publishing on one topic."""

_REMOVED = -2
"""In the place of what is left of a shared value's time."""

_REASSERTED = {b"kept": Written.OK, b"restored": Written.BEHIND, b"lost": Written.STALE}


class RedisStore(RedisResults):
    """Implements :class:`store.contract.Store`. Made by :func:`store.connect.open_store`.

    Bound to the event loop it is first used in; :meth:`twin` gives another for another loop.
    """

    def __init__(
        self, link: Link, keys: Keys, encryption: Encryption = PLAIN, vault: Encryption | None = None
    ) -> None:
        self._link = link
        self._keys = keys
        self._encryption = encryption
        self._vault = vault or encryption
        self._values = StoredValues(keys.prefix, encryption, self._vault)
        self._sweeper = Sweeper(link, keys)
        self.jobs = RedisJobs(link, keys, self._values)
        self.maintenance = RedisMaintenance(link, keys)
        self._said_unreadable = False

    @property
    def where(self) -> str:
        """The store's address for messages: no credentials."""
        return self._link.where

    def twin(self) -> RedisStore:
        """A second store on the same data, for use in another event loop. To be closed by itself."""
        link = self._link
        twin = Link(link.connect, where=link.where, patience=link.patience, observe=link.observe)
        return RedisStore(twin, self._keys, self._encryption, self._vault)

    # -- lifecycle ---------------------------------------------------------------------------

    async def ping(self) -> None:
        await check(self._link)

    async def servers(self) -> list[ServerFacts]:
        """What the servers say of themselves; empty for the embedded store. Raises StoreError."""
        return await ask_servers(self._link)

    async def close(self) -> None:
        await self._link.close()

    # -- handoffs ----------------------------------------------------------------------------

    async def put_handoff(self, key: SessionKey, token_id: str, request: PageRequest, ttl: float) -> None:
        handoff = self._keys.handoff(key.tag, token_id)
        await self._link.pipe(
            [
                Command(("SET", handoff, self._values.request(key, request, token_id), "PX", _ms(ttl))),
                Command(("HDEL", self._keys.session(key.tag), "ended", "parked")),
            ]
        )

    async def handoff(self, key: SessionKey, token_id: str) -> PageRequest | None:
        found = await self._link.send("GET", self._keys.handoff(key.tag, token_id))
        return None if found is None else self._values.read_request(key.tag, found, [token_id])

    # -- ownership ---------------------------------------------------------------------------

    async def claim(
        self, key: SessionKey, replica: str, *, token_id: str = "", request: PageRequest | None = None
    ) -> Claim:
        touched = self._keys.record(key.tag)
        if token_id:
            touched.append(self._keys.handoff(key.tag, token_id))
        encoded = b"" if request is None else self._values.request(key, request)
        reply = await self._link.run(
            load("claim")(
                touched, replica, os.urandom(8), encoded, _ms(_UNLISTED_SECONDS),
                records.SESSION_VERSION, *self._values.identity(key),
            )
        )  # fmt: skip
        begun_with = [*([""] if request else []), *([token_id] if token_id else [])]
        return self._claimed(key, reply, begun_with)

    async def seize(self, key: SessionKey, replica: str, *, owner: str, epoch: int) -> Claim:
        work, last_beat = await self._link.pipe(
            [
                Command(("SMEMBERS", self._keys.work(owner))),
                Command(("ZSCORE", self._keys.replicas, owner)),
            ]
        )
        suspects = len(work) if key.tag.encode() in work else 0
        died = "" if last_beat is None else round(float(last_beat))
        keys = self._keys.record(key.tag)
        reply = await self._link.run(
            load("seize")(
                keys, replica, owner, epoch, _ms(_UNLISTED_SECONDS), died, suspects, _ms(_SURVIVED_SECONDS)
            )
        )
        return self._claimed(key, reply)

    def _claimed(self, key: SessionKey, reply: list[Any], begun_with: Collection[str] | None = None) -> Claim:
        """``begun_with``: whose handoffs may be its request, if this call began the session ("": ours)."""
        outcome = Outcome(reply[0].decode())
        if outcome is Outcome.UNKNOWN:
            return Claim(outcome)
        if outcome is Outcome.PARKED:
            return Claim(outcome, reason=records.decode_reason(reply[1]))
        owner, epoch = reply[1].decode(), int(reply[2])
        if outcome is Outcome.RELAY:
            return Claim(outcome, owner, epoch)
        deaths, suspects, alone = map(int, reply[5:8])
        claim = Claim(outcome, owner, epoch, bool(reply[3]), deaths=deaths, suspects=suspects, alone=alone)
        begun_with = begun_with if claim.created else None
        try:
            return replace(claim, request=self._values.read_request(key.tag, reply[4], begun_with))
        except RecordDamaged as error:
            return replace(claim, damage=str(error))

    async def announce(self, replica: str, key: SessionKey) -> None:
        work = self._keys.work(replica)
        await self._link.pipe([Command(("SADD", work, key.tag)), Command(("PEXPIRE", work, _ms(_ANNOUNCED)))])

    async def withdraw(self, replica: str, key: SessionKey) -> None:
        await self._link.send("SREM", self._keys.work(replica), key.tag)

    async def park(
        self, key: SessionKey, replica: str, *, epoch: int, reason: ParkReason = ParkReason.DEATHS
    ) -> bool:
        # Listed first: what is listed and not parked is taken off again by who lists it.
        await self._link.run(load("enlist")([self._keys.parked], key.tag))
        keys = self._keys.record(key.tag)
        return bool(await self._link.run(load("park")(keys, replica, epoch, _ms(_ENDED_SECONDS), reason)))

    async def parked(self) -> list[Parked]:
        tags = [tag.decode() for tag in await self._link.send("ZRANGE", self._keys.parked, 0, -1)]
        fields = ("parked", "app", "session_id", "deaths", "reason")
        found = await self._link.pipe([Command(("HMGET", self._keys.session(tag), *fields)) for tag in tags])
        listed = dict(zip(tags, found, strict=True))
        gone = [tag for tag, (at, *_) in listed.items() if at is None]
        if gone:
            await self._link.send("ZREM", self._keys.parked, *gone)
        return self._readable(self._parked(tag, held) for tag, held in listed.items() if tag not in gone)

    def _parked(self, tag: str, held: Sequence[bytes]) -> Callable[[], Parked]:
        at, app, session_id, deaths, reason = held

        def parked() -> Parked:
            held = self._values.read_session(tag, {b"app": app, b"session_id": session_id})
            return records.decode_parked(at, held[b"app"], held[b"session_id"], deaths, reason)

        return parked

    def _session(self, tag: str, hash_: Mapping[bytes, bytes]) -> SessionRecord:
        return records.decode_session(self._values.read_session(tag, hash_))

    def _readable(self, reads: Iterable[Callable[[], T]]) -> list[T]:
        """One that cannot be read must not hide the others."""
        found, damage = [], []
        for read in reads:
            try:
                found.append(read())
            except RecordError as error:
                damage.append(error)
        if damage:
            level = logging.DEBUG if self._said_unreadable else logging.WARNING
            log.log(level, "%d stored sessions cannot be read and are left out: %s", len(damage), damage[0])
            self._said_unreadable = True
        return found

    async def begin_build(self, name: str, replica: str) -> list[str]:
        noted = await self._link.run(load("build")([self._keys.building(name)], replica, _ms(_ANNOUNCED)))
        return [each.decode() for each in noted if each != replica.encode()]

    async def end_build(self, name: str, replica: str, *, built: bool) -> None:
        building = self._keys.building(name)
        await self._link.send(*(("DEL", building) if built else ("ZREM", building, replica)))

    async def release(self, key: SessionKey, replica: str, *, epoch: int, retention: float) -> bool:
        keys = self._keys.record(key.tag)
        return bool(await self._link.run(load("release")(keys, replica, epoch, _ms(retention))))

    async def discard(self, key: SessionKey, *, owner: str, epoch: int, retention: float = 0.0) -> bool:
        keys, kept = self._keys.record(key.tag), round(retention * 1000)
        return bool(await self._link.run(load("discard")(keys, owner, epoch, kept)))

    async def end(self, key: SessionKey, *, owner: str, epoch: int) -> bool:
        keys = self._keys.record(key.tag)
        return bool(await self._link.run(load("end")(keys, owner, epoch, _ms(_ENDED_SECONDS))))

    async def reassert(self, key: SessionKey, replica: str, *, epoch: int, request: PageRequest) -> Written:
        reply = await self._link.run(
            load("reassert")(
                self._keys.record(key.tag), replica, epoch, records.SESSION_VERSION,
                *self._values.identity(key), self._values.request(key, request),
            )
        )  # fmt: skip
        return _REASSERTED[reply]

    async def wake(self, key: SessionKey, replica: str, *, epoch: int) -> Written:
        reply = await self._link.run(load("wake")(self._keys.record(key.tag), replica, epoch))
        return Written(reply.decode())

    # -- journals ----------------------------------------------------------------------------

    async def write_journals(self, replica: str, writes: Sequence[JournalWrite]) -> list[Written]:
        replies = await self._link.pipe([self._journal(replica, write) for write in writes])
        return [Written(reply.decode()) for reply in replies]

    async def read_journal(self, key: SessionKey) -> JournalFields:
        found = await self._link.run(
            Command(("HGETALL", self._keys.journal(key.tag)), weight=_JOURNAL_WEIGHT)
        )
        return self._values.read_journal(key.tag, found)

    def _journal(self, replica: str, write: JournalWrite) -> Command:
        removed, pairs = self._values.journal(write)
        return load("journal")(
            self._keys.record(write.key.tag), replica, write.epoch, write.number,
            int(write.whole), len(removed), *removed, *pairs,
        )  # fmt: skip

    async def read(self, key: SessionKey) -> SessionRecord | None:
        found = await self._link.send("HGETALL", self._keys.session(key.tag))
        return self._session(key.tag, found) if b"owner" in found else None

    # -- replicas ----------------------------------------------------------------------------

    async def beat(
        self,
        heartbeat: Heartbeat,
        *,
        ttl: float,
        opened: Collection[SessionKey] = (),
        ended: Collection[SessionKey] = (),
    ) -> Beat:
        replica, encoded = heartbeat.replica, _encode_beat(heartbeat, ttl)
        before, drain, end, maintenance, ended_by, now, *_ = await self._link.pipe(
            [
                Command(
                    ("SET", self._keys.heartbeat(replica), encoded, "PX", _ms(ttl), "GET"), {"get": True}
                ),
                Command(("EXISTS", self._keys.drain(replica))),
                Command(("SMEMBERS", self._keys.end(replica))),
                *self.maintenance.reads,
                load("enlist")([self._keys.replicas], replica),
                *self._index("SADD", replica, opened),
                *self._index("SREM", replica, ended),
                *(load("keep")(self._keys.record(key.tag), replica) for key in opened),
            ]
        )
        # Our own bytes: an attempt of this call whose reply was lost, which hid what was there before.
        known = before is not None and before != encoded
        asked = await self._link.send("HGETALL", self._keys.asked(replica)) if drain or end else {}
        return Beat(
            known=known,
            now=now / 1000,
            drain=bool(drain),
            end=frozenset(map(_asked, end)),
            asked_by={what.decode(): by.decode(errors="replace") for what, by in asked.items()},
            maintenance=self.maintenance.found(maintenance),
            maintenance_ended_by=(ended_by or b"").decode(errors="replace"),
        )

    async def _note_who_asks(self, replica: str, what: str, by: str) -> None:
        """Before it is asked: the replica acts at once."""
        key, name = self._keys.asked(replica), by.encode(errors="replace")
        await self._link.pipe(
            [Command(("HSET", key, what, name)), Command(("PEXPIRE", key, _ms(_UNLISTED_SECONDS)))]
        )

    async def ask_to_drain(self, replica: str, *, by: str = "") -> bool:
        if await self.replica(replica) is None:
            return False
        await self._note_who_asks(replica, DRAIN, by)
        await self._link.send("SET", self._keys.drain(replica), b"1", "PX", _ms(_UNLISTED_SECONDS))
        return True

    async def ask_to_end(self, key: SessionKey, *, owner: str, epoch: int, by: str = "") -> bool:
        if await self.replica(owner) is None:
            return False
        await self._note_who_asks(owner, key.tag, by)
        asked = self._keys.end(owner)
        await self._link.pipe(
            [
                Command(("SADD", asked, f"{key.tag}/{epoch}")),
                Command(("PEXPIRE", asked, _ms(_UNLISTED_SECONDS))),
            ]
        )
        return True

    async def replica(self, replica: str) -> Heartbeat | None:
        found = await self._heartbeats([replica])
        return found[0] if found else None

    async def replicas(self) -> list[Heartbeat]:
        members = await self._link.send("ZRANGE", self._keys.replicas, 0, -1)
        found = await self._heartbeats(member.decode() for member in members)
        return sorted(found, key=lambda heartbeat: (heartbeat.address, heartbeat.replica))

    async def retire(self, replica: str) -> None:
        await self._link.send("DEL", self._keys.heartbeat(replica))
        # What it did not release stays claimable for a while, then goes as with a replica that died.
        while not await self._sweeper.bury(replica, _ms(_UNLISTED_SECONDS), limit=1000):
            pass

    async def sessions(self, replica: str, *, limit: int | None = None) -> list[SessionRecord]:
        members = await self._link.send("SMEMBERS", self._keys.sessions(replica))
        tags = [tag.decode() for tag in sorted(members)[:limit]]
        found = await self._link.pipe([Command(("HGETALL", self._keys.session(tag))) for tag in tags])
        return self._readable(
            partial(self._session, tag, hash_)
            for tag, hash_ in zip(tags, found, strict=True)
            if hash_.get(b"owner") == replica.encode()
        )

    async def sweep(self, lifetime: float, *, retention: float = 0.0, limit: int = 1000) -> int:
        return await self._sweeper.sweep(_ms(lifetime), round(retention * 1000), limit)

    def _index(self, verb: str, replica: str, sessions: Collection[SessionKey]) -> list[Command]:
        tags = [key.tag for key in sessions]
        return [Command((verb, self._keys.sessions(replica), *tags))] if tags else []

    async def _heartbeats(self, replicas: Iterable[str]) -> list[Heartbeat]:
        keys = [self._keys.heartbeat(replica) for replica in replicas]
        found = await self._link.pipe([Command((verb, key)) for key in keys for verb in ("GET", "PTTL")])
        return [
            records.decode_heartbeat(encoded, left_ms=left)
            for encoded, left in zip(found[::2], found[1::2], strict=True)
            if encoded is not None and left > 0
        ]

    # -- shared values -----------------------------------------------------------------------

    async def write_shared(self, write: SharedWrite) -> SharedWritten:
        tag, field = write.name.tag, field_of(write.key)
        value = b"" if write.value is None else self._values.shared(tag, write.key, write.value)
        reply = await self._link.run(
            load("shared_write")(
                self._keys.shared(tag), write.call, field, value, _ms(write.ttl) if write.ttl else 0,
                "" if write.expected is None else write.expected, write.born, write.version, write.max_bytes,
                self._values.shared_name(tag, write.key),
            )
        )  # fmt: skip
        return self._written(write, field, reply)

    def _written(self, write: SharedWrite, field: str, reply: list[Any]) -> SharedWritten:
        outcome = SharedOutcome(reply[0].decode())
        if outcome is SharedOutcome.LOST:
            return SharedWritten(outcome)
        born = reply[1].decode()
        if outcome is SharedOutcome.FULL:
            return SharedWritten(outcome, born, bytes=int(reply[2]))
        if outcome is SharedOutcome.OK:
            return SharedWritten(
                outcome, born, SharedChange(write.key, int(reply[2]), write.value, write.ttl)
            )
        change = self._changed(write.name.tag, *reply[2:])
        return SharedWritten(outcome, born, replace(change, key=write.key))

    def _changed(self, tag: str, field: bytes, version: bytes, data: bytes, left: int) -> SharedChange:
        """As ``describe`` in ``_shared.lua`` says it. Raises RecordDamaged."""
        if left == _REMOVED:
            name = self._values.read_shared_name(tag, field) if field else ""
            return SharedChange(name, int(version), None)
        key, value = self._values.read_shared(tag, field.decode(), data)
        return SharedChange(key, int(version), value, max(0, left) / 1000)

    async def read_shared(self, since: Sequence[tuple[SharedName, int, str]]) -> list[SharedReading]:
        replies = await self._link.pipe(
            [load("shared_read")(self._keys.shared(name.tag), version, born) for name, version, born in since]
        )
        return [self._reading(name.tag, reply) for (name, *_), reply in zip(since, replies, strict=True)]

    def _reading(self, tag: str, reply: list[Any]) -> SharedReading:
        born, version, whole, *found = reply
        changes = []
        for at in range(0, len(found), 4):
            try:
                changes.append(self._changed(tag, *found[at : at + 4]))
            except RecordDamaged as error:
                log.error("skipping a shared value: %s", error)
        return SharedReading(born.decode(), int(version), bool(whole), changes)

    async def restore_shared(self, name: SharedName, changes: Sequence[SharedChange], version: int) -> str:
        fields: list[Any] = []
        for each in changes:
            value = b"" if each.value is None else self._values.shared(name.tag, each.key, each.value)
            name_of = self._values.shared_name(name.tag, each.key)
            fields += [field_of(each.key), name_of, each.version, value, _ms(each.ttl) if each.ttl else -1]
        call = os.urandom(8).hex()
        (born,) = await self._link.run(
            load("shared_restore")(self._keys.shared(name.tag), call, version, *fields)
        )
        return str(born.decode())

    # -- messages ----------------------------------------------------------------------------

    async def publish_message(self, publishing: Publishing) -> MessagePlace | None:
        tag, seen = publishing.topic.tag, publishing.seen
        outcome, *last = await self._link.run(
            load("message_publish")(
                self._keys.messages(tag), publishing.call, self._values.message(tag, publishing.value),
                seen.born, seen.version, publishing.max_count, publishing.max_bytes,
                _ms(publishing.known), _CALLS_KNOWN, self._keys.wake_ups, tag,
            )
        )  # fmt: skip
        return None if outcome == b"lost" else _place(*last)

    async def read_messages(
        self, since: Sequence[tuple[TopicName, int | None]], *, newest: int = 0
    ) -> list[TopicReading]:
        read = load("message_read")
        replies = await self._link.pipe(
            [
                read(self._keys.messages(topic.tag), -1 if version is None else version, newest)
                for topic, version in since
            ]
        )
        return [self._topic(topic.tag, reply) for (topic, _), reply in zip(since, replies, strict=True)]

    def _topic(self, tag: str, reply: list[bytes]) -> TopicReading:
        messages = []
        for name, born, data in zip(reply[3::3], reply[4::3], reply[5::3], strict=True):
            try:
                value = self._values.read_message(tag, data)
            except RecordDamaged as error:
                log.error("dropping a message: %s", error)
            else:
                messages.append(Message(_place(born, *name.split(b"-")), value))
        return TopicReading(_place(*reply[:3]), messages)

    async def restore_messages(
        self,
        topic: TopicName,
        messages: Sequence[Message],
        seen: MessagePlace,
        *,
        max_count: int,
        max_bytes: int,
    ) -> str:
        given: list[Any] = []
        for each in messages:
            value = self._values.message(topic.tag, each.value)
            given += [each.place.version, each.place.number, each.place.born, value]
        (born,) = await self._link.run(
            load("message_restore")(
                self._keys.messages(topic.tag), seen.born or os.urandom(8).hex(), seen.version, seen.number,
                max_count, max_bytes, *given,
            )
        )  # fmt: skip
        return str(born.decode())

    async def hear_messages(self, heard: Callable[[str | None], None]) -> None:
        await hear(self._link.client, self._keys.wake_ups, self._link.where, heard)

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
        tag, encode = name.tag, self._values.task
        times = [round(seconds * 1000) for seconds in (due, next_due, known, since, lease, _TASK_KEPT)]
        begin = load("task_begin")(
            [self._keys.task(tag)], replica, call, *times,
            encode(tag, "app", name.app), encode(tag, "name", name.name), encode(tag, "schedule", schedule),
        )  # fmt: skip
        listed = [Command(("ZADD", self._keys.tasks, times[0], tag))] if times[0] else []
        (turn, number, now, *last), *_ = await self._link.pipe([begin, *listed])
        found = LeaseState(turn.decode())
        return TaskLease(
            found,
            int(now) / 1000,
            fence=int(number) if found is LeaseState.RUN else 0,
            left=int(number) / 1000 if found is LeaseState.HELD else 0.0,
            due=int(last[0]) / 1000 if last else due,
        )

    async def renew_task(self, name: TaskName, replica: str, *, fence: int, due: float, lease: float) -> bool:
        keys = [self._keys.task(name.tag)]
        return bool(
            await self._link.run(load("task_renew")(keys, replica, fence, _ms(lease), round(due * 1000)))
        )

    async def end_task(self, name: TaskName, *, fence: int, error: str = "") -> bool:
        encoded = self._values.task(name.tag, "error", error) if error else b""
        return bool(await self._link.run(load("task_end")([self._keys.task(name.tag)], fence, encoded)))

    async def tasks(self) -> list[TaskRecord]:
        tags = [tag.decode() for tag in await self._link.send("ZRANGE", self._keys.tasks, 0, -1)]
        (seconds, microseconds), *found = await self._link.pipe(
            [Command(("TIME",)), *(Command(("HGETALL", self._keys.task(tag))) for tag in tags)]
        )
        now = int(seconds) + int(microseconds) / 1e6
        held = {tag: hash_ for tag, hash_ in zip(tags, found, strict=True) if b"name" in hash_}
        if gone := [tag for tag in tags if tag not in held]:
            await self._link.send("ZREM", self._keys.tasks, *gone)
        records_ = self._readable(partial(self._task, tag, hash_, now) for tag, hash_ in held.items())
        return sorted(records_, key=lambda record: (record.name.app, record.name.name))

    def _task(self, tag: str, hash_: Mapping[bytes, bytes], now: float) -> TaskRecord:
        def text(field: str) -> str:
            data = hash_.get(field.encode(), b"")
            return self._values.read_task(tag, field, data) if data else ""

        def seconds(field: bytes) -> float:
            return int(hash_.get(field, b"0")) / 1000

        return TaskRecord(
            TaskName(text("app"), text("name")),
            schedule=text("schedule"),
            owner=hash_.get(b"owner", b"").decode(),
            running=seconds(b"until") > now,
            fence=int(hash_.get(b"fence", b"0")),
            began=seconds(b"began"),
            ended=seconds(b"ended_at"),
            error=text("error"),
            next=seconds(b"next"),
        )

    # -- secrets -----------------------------------------------------------------------------

    async def agree_secret(self, name: str, proposal: str) -> str:
        found = await self._agree(name, proposal)
        try:
            secret = self._values.read_secret(name, found)
        except RecordDamaged as error:
            log.error("the secret that replicas agreed on for %s is replaced: %s", name, error)
            found = await self._agree(name, proposal, instead_of=found)
            return self._values.read_secret(name, found)
        if not self._values.is_ours(found):
            await self._agree(name, secret, instead_of=found)
        return secret

    async def _agree(self, name: str, secret: str, *, instead_of: bytes = b"") -> bytes:
        encoded = self._values.secret(name, secret)
        found: bytes = await self._link.run(
            load("agree")([self._keys.secret(name)], bytes(encoded), instead_of)
        )
        return found

    # -- users' tokens -----------------------------------------------------------------------

    async def put_tokens(self, login: str, tokens: UserTokens, ttl: float) -> int:
        encoded = self._values.tokens(login, tokens)
        return int(await self._link.run(load("put_tokens")([self._tokens(login)], encoded, _ms(ttl))))

    async def tokens(self, login: str) -> UserTokens | None:
        number, data = await self._link.send("HMGET", self._tokens(login), "number", "data")
        return self._read_tokens(login, number, data)

    async def token_numbers(self, logins: Sequence[str]) -> list[int]:
        found = await self._link.pipe([Command(("HGET", self._tokens(login), "number")) for login in logins])
        return [int(number or 0) for number in found]

    async def lease_tokens(self, login: str, holder: str, *, number: int, ttl: float) -> TokenLease:
        reply = await self._link.run(load("lease_tokens")([self._tokens(login)], holder, number, _ms(ttl)))
        if reply[0] == b"newer":
            return TokenLease(False, self._read_tokens(login, reply[1], reply[2]))
        return TokenLease(reply[0] == b"granted")

    async def renew_tokens(
        self, login: str, holder: str, *, number: int, tokens: UserTokens | None, ttl: float
    ) -> bool:
        encoded = b"" if tokens is None else self._values.tokens(login, tokens)
        script = load("renew_tokens")
        return bool(await self._link.run(script([self._tokens(login)], holder, number, encoded, _ms(ttl))))

    def _tokens(self, login: str) -> str:
        return self._keys.tokens(self._values.login_tag(login))

    def _read_tokens(self, login: str, number: bytes | None, data: bytes | None) -> UserTokens | None:
        if number is None or data is None:
            return None
        try:
            return self._values.read_tokens(login, data, int(number))
        except RecordError as error:
            log.warning("a user's tokens cannot be read, who has to log in again: %s", error)
            return None


def _encode_beat(heartbeat: Heartbeat, ttl: float) -> bytes:
    return records.encode_heartbeat(heartbeat, ttl_ms=_ms(ttl), beat=os.urandom(8))


def _place(born: bytes, version: bytes, number: bytes) -> MessagePlace:
    return MessagePlace(born.decode(), int(version), int(number))


def _asked(member: bytes) -> tuple[str, int]:
    tag, _, epoch = member.decode().partition("/")
    return tag, int(epoch)


def _ms(seconds: float) -> int:
    """Redis refuses an expiry of zero."""
    return max(1, round(seconds * 1000))
