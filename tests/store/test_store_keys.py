"""The table of key families is what a store really leaves in Redis."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from harness.redis_server import RedisServer

from store.contract import (
    Heartbeat,
    JournalWrite,
    MessagePlace,
    PageRequest,
    Publishing,
    SessionKey,
    SharedName,
    SharedWrite,
    TaskName,
    TopicName,
    UserTokens,
)
from store.errors import StoreConfigError
from store.jobs import JobName, JobSubmission
from store.keys import FAMILIES, Family, Keys
from store.maintenance import MaintenanceNotice
from store.redis_store import RedisStore
from store.results import ResultName


def family_of(key: str) -> Family:
    found = [family for family in FAMILIES if family.matches(key)]
    assert found, f"{key} belongs to no family"
    return found[0]


async def work_out(store: RedisStore) -> None:
    """Leaves at least one key of each family, and sessions in every state."""
    live, claimed, stored, lost = (SessionKey("/app", f"{{x}}:{name}") for name in "abcd")
    for key in (live, claimed, stored, lost):
        await store.put_handoff(key, "token", PageRequest(), 100)
        await store.claim(key, "lost" if key is lost else "r1", token_id="token")
    await store.beat(beat("r1"), ttl=30, opened=[live, stored])
    await store.beat(beat("lost"), ttl=30, opened=[lost])
    await store.ask_to_drain("r1")
    epoch = await epoch_of(store, stored)
    await store.write_journals("r1", [JournalWrite(stored, epoch, 1, {"x": b"1"})])
    await store.write_journals("r1", [JournalWrite(live, await epoch_of(store, live), 1, {"x": b"1"})])
    await store.write_journals("r1", [JournalWrite(stored, epoch, 1, {"x": b"1"})])
    await store.ask_to_drain("r1")
    await store.ask_to_end(live, owner="r1", epoch=epoch)
    await store.release(stored, "r1", epoch=epoch, retention=100)
    await store.retire("lost")
    await store.announce("r1", live)
    await store.maintenance.end("/other", by="ada")
    await store.maintenance.begin("/app", MaintenanceNotice("back at nine", 1.0))
    await store.begin_build("/app 1", "r1")
    parked = await store.claim(SessionKey("/app", "p"), "r1", request=PageRequest())
    await store.park(SessionKey("/app", "p"), "r1", epoch=parked.epoch)
    await store.agree_secret("sign", "s3cret")
    await store.put_tokens("ada", UserTokens(access_token="a"), 100)
    await store.lease_tokens("grace", "r1", number=0, ttl=100)
    task = {"schedule": "1s", "due": 1.0, "next_due": 2.0, "known": 0.0, "since": 0.0, "lease": 5.0}
    await store.begin_task(TaskName("/app", "{task}"), "r1", call="call", **task)
    topic = TopicName("/app", "{topic}")
    await store.publish_message(Publishing(topic, b"1", "call", MessagePlace(), 10, 1000, 60))
    name = SharedName("/app", "{board}")
    await store.write_shared(SharedWrite(name, "{x}", b"1", "call", 1000, ttl=100))
    query = ResultName("/app", "{query}")
    found = await store.find_result(query, "x", call="a", lease=100)
    await store.keep_result(query, "x", b"1", call="a", generation=found.generation, ttl=100, max_bytes=1000)
    await store.find_result(query, "y", call="b", lease=100)
    await store.jobs.submit(JobSubmission(JobName("/app", "1"), "work", b"1", 3, 60, 60), b"queued")


async def epoch_of(store: RedisStore, key: SessionKey) -> int:
    record = await store.read(key)
    assert record is not None
    return record.epoch


def beat(replica: str) -> Heartbeat:
    return Heartbeat(replica=replica, address=f"http://{replica}", version="1", started=0.0)


async def test_every_key_is_of_a_known_family(store: RedisStore, raw: object) -> None:
    await work_out(store)
    found = await raw.keys()  # type: ignore[attr-defined]

    families = {key: family_of(key) for key in found}

    assert set(families.values()) == set(FAMILIES), "the workout leaves some family out"
    for key, (type_, _) in found.items():
        assert type_ == families[key].type, key


async def test_keys_expire_as_the_table_says(store: RedisStore, raw: object) -> None:
    await work_out(store)
    found = await raw.keys()  # type: ignore[attr-defined]
    expires: dict[str, set[bool]] = {}
    for key, (_, expiring) in found.items():
        expires.setdefault(family_of(key).pattern, set()).add(expiring)

    assert expires.pop("<prefix>:{<tag>}:session") == {True, False}
    assert expires.pop("<prefix>:{<tag>}:journal") == {True, False}
    assert expires.pop("<prefix>:replica:<id>:drain") == {True}
    assert expires.pop("<prefix>:replica:<id>:end") == {True}
    assert expires.pop("<prefix>:maintenance:ended_by") == {True}
    assert expires.pop("<prefix>:replica:<id>:asked") == {True}
    assert expires.pop("<prefix>:replica:<id>:work") == {True}
    assert expires.pop("<prefix>:building:<name>") == {True}
    assert expires.pop("<prefix>:{<tag>}:handoff:<token>") == {True}
    assert expires.pop("<prefix>:replica:<id>") == {True}
    assert expires.pop("<prefix>:tokens:<login>") == {True}
    assert expires.pop("<prefix>:{<tag>}:task") == {True}
    for part in ("", ":names", ":versions", ":expiry", ":about", ":calls"):
        assert expires.pop(f"<prefix>:{{<tag>}}:shared{part}") == {True}
    for part in ("", ":about", ":calls"):
        assert expires.pop(f"<prefix>:{{<tag>}}:messages{part}") == {True}
    for part in ("", ":used", ":expiry", ":about", ":ids", ":lease:<field>"):
        assert expires.pop(f"<prefix>:{{<tag>}}:results{part}") == {True}
    assert expires.pop("<prefix>:{<tag>}:job:<id>") == {True}
    for part in ("due", "kept", "sizes"):
        assert expires.pop(f"<prefix>:{{<tag>}}:jobs:{part}") == {True}
    assert all(seen == {False} for seen in expires.values())
    never = {family.pattern for family in FAMILIES if family.ttl.startswith("none")}
    assert set(expires) == never


async def test_all_keys_bear_the_prefix(opened: Callable[..., RedisStore]) -> None:
    store = opened(None, prefix="my.app")
    await work_out(store)
    keys = await store._link.send("KEYS", "*")
    assert len(keys) >= len(FAMILIES)
    assert all(key.startswith(b"my.app:") for key in keys)


@pytest.mark.redis
async def test_prefixes_do_not_meet(redis_server: RedisServer, opened: Callable[..., RedisStore]) -> None:
    redis_server.command("FLUSHALL")
    one, two = (opened(redis_server.url, prefix=prefix) for prefix in ("one", "two"))
    key = SessionKey("/app", "x")
    await one.claim(key, "a", request=PageRequest())
    assert await two.read(key) is None


async def test_embedded_stores_share_nothing(opened: Callable[..., RedisStore]) -> None:
    one, two = opened(None), opened(None)
    key = SessionKey("/app", "x")
    await one.claim(key, "a", request=PageRequest())
    assert await two.read(key) is None


@pytest.mark.parametrize("prefix", ["", "a b", "{x}", "a*", "x" * 65])
def test_a_prefix_that_would_break_keys_is_refused(prefix: str) -> None:
    with pytest.raises(StoreConfigError, match="prefix"):
        Keys(prefix)


def test_session_ids_do_not_show_in_keys() -> None:
    key = SessionKey("/app", "who has this may join")
    assert key.session_id not in Keys().session(key.tag)
