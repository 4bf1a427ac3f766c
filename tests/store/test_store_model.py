"""Random histories: embedded stores (also encrypted), a real Redis and a model always give the same answers.

Epochs come from clocks, so each side's are compared by their rank: the n-th epoch a session had.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from harness.redis_server import RedisServer
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from store.connect import open_store
from store.contract import Beat, Claim, Heartbeat, PageRequest, SessionKey
from store.encryption import PLAIN, Encryption

REPLICAS = ("a", "b", "c")
KEYS = (SessionKey("/app", "1"), SessionKey("/app", "2"))
LONG = 1000.0

keys = st.sampled_from(KEYS)
replicas = st.sampled_from(REPLICAS)
ranks = st.integers(0, 4)


@dataclass
class Model:
    """What the contract says, in a few dictionaries. An epoch is a session's count of owners."""

    records: dict[SessionKey, dict[str, Any]] = field(default_factory=dict)
    handoffs: set[SessionKey] = field(default_factory=set)
    ranks: dict[SessionKey, int] = field(default_factory=dict)
    beating: set[str] = field(default_factory=set)
    index: set[tuple[str, SessionKey]] = field(default_factory=set)

    def claim(self, key: SessionKey, replica: str, request: bool) -> tuple[Any, ...]:
        record = self.records.get(key)
        if record is None:
            if not request and key not in self.handoffs:
                return ("unknown", "", 0, False)
            return ("own", replica, self._take(key, replica), True)
        return self._taken(key, replica, free=not record["owner"])

    def seize(self, key: SessionKey, replica: str, owner: str, epoch: int) -> tuple[Any, ...]:
        record = self.records.get(key)
        if record is None:
            return ("unknown", "", 0, False)
        free = not record["owner"] or (record["owner"], record["epoch"]) == (owner, epoch)
        return self._taken(key, replica, free=free)

    def release(self, key: SessionKey, replica: str, epoch: int) -> bool:
        record = self.records.get(key)
        if record is None or record["epoch"] != epoch:
            return False
        if record["owner"] == replica:
            record.update(owner="", by=replica)
        return not record["owner"] and record.get("by") == replica

    def discard(self, key: SessionKey, owner: str, epoch: int) -> bool:
        record = self.records.get(key)
        if record is None:
            return True
        if (record["owner"], record["epoch"]) != (owner, epoch):
            return False
        del self.records[key]
        return True

    def beat(self, replica: str, opened: list[SessionKey], ended: list[SessionKey]) -> Beat:
        known = replica in self.beating
        self.beating.add(replica)
        self.index |= {(replica, key) for key in opened}
        self.index -= {(replica, key) for key in ended}
        return Beat(known)

    def retire(self, replica: str) -> None:
        self.beating.discard(replica)
        self.index = {(by, key) for by, key in self.index if by != replica}

    def sessions(self, replica: str) -> set[SessionKey]:
        held = {key for key, record in self.records.items() if record["owner"] == replica}
        return {key for by, key in self.index if by == replica} & held

    def _taken(self, key: SessionKey, replica: str, *, free: bool) -> tuple[Any, ...]:
        record = self.records[key]
        if record["owner"] == replica:
            return ("own", replica, record["epoch"], False)
        if not free:
            return ("relay", record["owner"], record["epoch"], False)
        return ("own", replica, self._take(key, replica), False)

    def _take(self, key: SessionKey, replica: str) -> int:
        self.ranks[key] = self.ranks.get(key, 0) + 1
        self.records[key] = {"owner": replica, "epoch": self.ranks[key]}
        return self.ranks[key]


class Side:
    """One real store, spoken to in ranks instead of epochs."""

    def __init__(self, url: str | None, run: Callable[[Any], Any], encryption: Encryption = PLAIN) -> None:
        self.store, self.run = open_store(url, encryption=encryption), run
        self.epochs: dict[SessionKey, list[int]] = {key: [0] for key in KEYS}

    def epoch(self, key: SessionKey, rank: int) -> int:
        known = self.epochs[key]
        return known[rank] if rank < len(known) else rank

    def rank(self, key: SessionKey, epoch: int) -> int:
        known = self.epochs[key]
        if epoch > known[-1]:
            known.append(epoch)
        return known.index(epoch)

    def claimed(self, key: SessionKey, claim: Claim) -> tuple[Any, ...]:
        return (claim.outcome.value, claim.owner, self.rank(key, claim.epoch), claim.created)

    def state(self) -> tuple[Any, ...]:
        return self.run(self._state())  # type: ignore[no-any-return]

    async def _state(self) -> tuple[Any, ...]:
        records = {key: await self.store.read(key) for key in KEYS}
        held = {
            key: (record.owner, self.rank(key, record.epoch), record.state.value)
            for key, record in records.items()
            if record is not None
        }
        listed = {each: {record.key for record in await self.store.sessions(each)} for each in REPLICAS}
        return held, [each.replica for each in await self.store.replicas()], listed


class Histories(RuleBasedStateMachine):
    redis_url = ""
    run: Callable[[Any], Any]

    @initialize()
    def begin(self) -> None:
        self.model = Model()
        self.sides = [Side(url, self.run) for url in (None, self.redis_url)]
        self.sides.append(Side(None, self.run, Encryption(["a secret"], writes=True)))
        self.run(self.sides[1].store._link.send("FLUSHALL"))

    def both(self, expected: Any, ask: Callable[[Side], Any]) -> None:
        for side in self.sides:
            assert ask(side) == expected, side.store.where

    @rule(key=keys)
    def put_handoff(self, key: SessionKey) -> None:
        self.model.handoffs.add(key)
        self.both(None, lambda side: self.run(side.store.put_handoff(key, "t", PageRequest(), LONG)))

    @rule(key=keys, replica=replicas, request=st.booleans())
    def claim(self, key: SessionKey, replica: str, request: bool) -> None:
        given = PageRequest() if request else None
        self.both(
            self.model.claim(key, replica, request),
            lambda side: side.claimed(
                key, self.run(side.store.claim(key, replica, token_id="t", request=given))
            ),
        )

    @rule(key=keys, replica=replicas, owner=replicas, rank=ranks)
    def seize(self, key: SessionKey, replica: str, owner: str, rank: int) -> None:
        self.both(
            self.model.seize(key, replica, owner, rank),
            lambda side: side.claimed(
                key, self.run(side.store.seize(key, replica, owner=owner, epoch=side.epoch(key, rank)))
            ),
        )

    @rule(key=keys, replica=replicas)
    def seize_from_the_owner(self, key: SessionKey, replica: str) -> None:
        record = self.model.records.get(key, {"owner": "a", "epoch": 1})
        self.seize(key, replica, record["owner"], record["epoch"])

    @rule(key=keys, replica=replicas, rank=ranks)
    def release(self, key: SessionKey, replica: str, rank: int) -> None:
        self.both(
            self.model.release(key, replica, rank),
            lambda side: self.run(
                side.store.release(key, replica, epoch=side.epoch(key, rank), retention=LONG)
            ),
        )

    @rule(key=keys)
    def release_by_the_owner(self, key: SessionKey) -> None:
        record = self.model.records.get(key, {"owner": "a", "epoch": 1})
        self.release(key, record["owner"], record["epoch"])

    @rule(key=keys, owner=replicas, rank=ranks)
    def discard(self, key: SessionKey, owner: str, rank: int) -> None:
        self.both(
            self.model.discard(key, owner, rank),
            lambda side: self.run(side.store.discard(key, owner=owner, epoch=side.epoch(key, rank))),
        )

    @rule(replica=replicas, opened=st.lists(keys, unique=True), ended=st.lists(keys, unique=True))
    def beat(self, replica: str, opened: list[SessionKey], ended: list[SessionKey]) -> None:
        heartbeat = Heartbeat(replica, f"http://{replica}", "1", 0.0)
        self.both(
            self.model.beat(replica, opened, ended),
            lambda side: self.run(side.store.beat(heartbeat, ttl=LONG, opened=opened, ended=ended)),
        )

    @rule(replica=replicas)
    def retire(self, replica: str) -> None:
        self.model.retire(replica)
        self.both(None, lambda side: self.run(side.store.retire(replica)))

    @rule()
    def flush_scripts(self) -> None:
        self.both(True, lambda side: bool(self.run(side.store._link.send("SCRIPT", "FLUSH"))))

    @invariant()
    def all_agree(self) -> None:
        held = {
            key: (record["owner"], record["epoch"], "live" if record["owner"] else "stored")
            for key, record in self.model.records.items()
        }
        listed = {each: self.model.sessions(each) for each in REPLICAS}
        self.both((held, sorted(self.model.beating), listed), Side.state)

    def teardown(self) -> None:
        for side in getattr(self, "sides", ()):
            self.run(side.store.close())


@pytest.fixture
def run() -> Iterator[Callable[[Any], Any]]:
    with asyncio.Runner() as runner:
        yield runner.run


@pytest.mark.redis
def test_any_history_has_the_same_outcome_everywhere(
    redis_server: RedisServer, run: Callable[[Any], Any]
) -> None:
    machine = type("Bound", (Histories,), {"redis_url": redis_server.socket_url, "run": staticmethod(run)})
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        machine,
        settings=settings(
            max_examples=30,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
