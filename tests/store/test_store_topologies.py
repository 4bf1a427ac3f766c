"""The essentials over a real Redis Cluster and a real set of Sentinels, failures included."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator

import pytest
from harness.redis_server import SLOTS, RedisServer, eventually, running_cluster, running_sentinels

from store.contract import (
    DRAIN,
    Heartbeat,
    JournalWrite,
    LeaseState,
    MessagePlace,
    Outcome,
    PageRequest,
    Publishing,
    SessionKey,
    SessionState,
    SharedName,
    SharedOutcome,
    SharedWrite,
    TaskName,
    TopicName,
    Written,
)
from store.encryption import Encryption
from store.errors import StoreConfigError, StoreUnavailable
from store.jobs import JobEnd, JobName, JobState, JobSubmission, JobSubmitted, Renewed
from store.maintenance import MaintenanceNotice
from store.records import Payload, pack_entry
from store.redis_store import RedisStore
from store.results import ResultName

KEYS = [SessionKey("/app", str(i)) for i in range(30)]
Opened = Callable[..., RedisStore]

pytestmark = pytest.mark.redis


def heartbeat(replica: str) -> Heartbeat:
    return Heartbeat(replica, f"http://{replica}", "1", 0.0)


async def essentials(store: RedisStore) -> None:
    """A life of sessions on two replicas, one of which dies. Leaves nothing but a secret behind."""
    await store.ping()
    assert await store.agree_secret("sign", "one") == await store.agree_secret("sign", "two")
    epochs: dict[SessionKey, int] = {}
    for key in KEYS:
        await store.put_handoff(key, "t", PageRequest(uri=key.session_id), 60)
        claim = await store.claim(key, "a", token_id="t")
        assert (claim.outcome, claim.created) == (Outcome.OWN, True)
        assert (await store.claim(key, "b")).outcome is Outcome.RELAY
        epochs[key] = claim.epoch
    assert (await store.beat(heartbeat("a"), ttl=30, opened=KEYS)).known is False
    assert (await store.beat(heartbeat("b"), ttl=30)).known is False
    assert (await store.beat(heartbeat("a"), ttl=30)).known is True
    assert {record.key for record in await store.sessions("a")} == set(KEYS)
    assert [each.replica for each in await store.replicas()] == ["a", "b"]

    large = pack_entry(Payload(bytes(range(256)) * 1000))
    writes = [JournalWrite(key, epochs[key], 1, {"x": key.tag.encode(), "y": large}) for key in KEYS]
    assert set(await store.write_journals("a", writes)) == {Written.OK}
    assert await store.read_journal(KEYS[3]) == {"x": KEYS[3].tag.encode(), "y": bytes(large)}

    await close_for_maintenance(store)
    await share(store)
    await publish(store)
    await run_job(store)
    await run_tasks(store)

    stored, seized, *rest = KEYS
    assert await store.release(stored, "a", epoch=epochs[stored], retention=60)
    won = await store.seize(seized, "b", owner="a", epoch=epochs[seized])
    assert won.outcome is Outcome.OWN
    assert won.epoch > epochs[seized]
    await store.beat(heartbeat("b"), ttl=30, opened=[seized])

    await store._link.send("DEL", store._keys.heartbeat("a"))
    discarded, deadline = 0, time.monotonic() + 60
    while discarded < len(rest):
        assert time.monotonic() < deadline
        discarded += await store.sweep(0.01)
    kept = {key: record for key in KEYS if (record := await store.read(key)) is not None}
    assert {key: record.state for key, record in kept.items()} == {
        stored: SessionState.STORED,
        seized: SessionState.LIVE,
    }
    for key, record in kept.items():
        assert await store.discard(key, owner=record.owner, epoch=record.epoch)
    await store.retire("b")


async def close_for_maintenance(store: RedisStore) -> None:
    notice = MaintenanceNotice("back at nine", 1.0, operator="ada")
    await store.maintenance.begin("/app", notice)
    await store.ask_to_drain("b", by="ada@laptop")
    told = await store.beat(heartbeat("b"), ttl=30)
    assert (told.maintenance, told.asked_by) == ({"/app": notice}, {DRAIN: "ada@laptop"})
    await store.maintenance.end()
    assert (await store.beat(heartbeat("b"), ttl=30)).maintenance == {}


async def share(store: RedisStore) -> None:
    """Values that replicas share, in several slots at once."""
    names = [SharedName("/app", f"{number}") for number in range(10)]
    for name in names:
        call = os.urandom(4).hex()
        written = await store.write_shared(SharedWrite(name, "key", name.name.encode(), call, 1000, ttl=60))
        assert written.outcome is SharedOutcome.OK
    found = await store.read_shared([(name, 0, "") for name in names])
    assert [each.value for reading in found for each in reading.changes] == [
        name.name.encode() for name in names
    ]
    await compute(store)


async def compute(store: RedisStore) -> None:
    """Results of several functions."""
    for number in range(10):
        name, call = ResultName("/app", f"{number}"), os.urandom(4).hex()
        found = await store.find_result(name, "key", call=call, lease=60)
        options = {"call": call, "generation": found.generation}
        assert await store.renew_result(name, "key", **options, lease=60)
        assert (await store.keep_result(name, "key", b"result", **options, ttl=60, max_bytes=1000)).kept
        assert (await store.find_result(name, "key", call="other", lease=60)).data == b"result"
        assert await store.forget_results(name) == 1


async def publish(store: RedisStore) -> None:
    """Messages on topics in several slots at once, which a connection to one node hears of."""
    topics = [TopicName("/app", f"{number} {os.urandom(4).hex()}") for number in range(10)]
    heard: asyncio.Queue[str | None] = asyncio.Queue()
    hearing = asyncio.create_task(store.hear_messages(heard.put_nowait))
    async with asyncio.timeout(30):
        assert await heard.get() is None
        for topic in topics:
            sent = Publishing(topic, topic.name.encode(), os.urandom(4).hex(), MessagePlace(), 10, 1000, 60)
            assert await store.publish_message(sent) is not None
        assert {await heard.get() for _ in topics} == {topic.tag for topic in topics}
    found = await store.read_messages([(topic, 0) for topic in topics])
    assert [each.value for reading in found for each in reading.messages] == [
        topic.name.encode() for topic in topics
    ]
    hearing.cancel()
    await asyncio.gather(hearing, return_exceptions=True)


async def run_tasks(store: RedisStore) -> None:
    """Those that one replica at a time runs, in several slots."""
    names = [TaskName("/app", os.urandom(4).hex()) for _ in range(5)]
    options = {"schedule": "10s", "next_due": 20.0, "known": 0.0, "since": 0.0, "lease": 30.0}
    for name in names:
        first = await store.begin_task(name, "a", due=10, call=os.urandom(4).hex(), **options)
        held = await store.begin_task(name, "b", due=10, call=os.urandom(4).hex(), **options)
        assert (first.turn, held.turn) == (LeaseState.RUN, LeaseState.HELD)
        assert await store.renew_task(name, "a", fence=first.fence, due=10, lease=30)
        assert await store.end_task(name, fence=first.fence, error="no")
        second = await store.begin_task(name, "b", due=20, call=os.urandom(4).hex(), **options)
        assert second.turn is LeaseState.RUN
        assert second.fence > first.fence
        assert not await store.end_task(name, fence=first.fence)
    listed = {each.name: each.owner for each in await store.tasks()}
    assert [listed[name] for name in names] == ["b"] * len(names)


async def run_job(store: RedisStore) -> None:
    name = JobName("/app", os.urandom(4).hex())
    job = JobSubmission(name, "work:compute", b"arguments", 3, 60, 60)
    assert await store.jobs.submit(job, b"queued") is JobSubmitted.OK
    due = next(each for each in await store.jobs.due("/app") if each.name == name)
    run = await store.jobs.begin(due, "a", b"running", call="call", lease=30)
    assert run is not None
    assert await store.jobs.renew(run, b"half", lease=30) is Renewed.OK
    assert await store.jobs.end(run, JobState.DONE, b"done", result=b"42") is JobEnd.OK
    assert [each.state for each in await store.jobs.all() if each.name == name] == [JobState.DONE]
    assert await store.jobs.forget(name)


# -- Cluster -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cluster() -> Iterator[list[RedisServer]]:
    with running_cluster() as nodes:
        yield nodes


def cluster_url(nodes: list[RedisServer]) -> str:
    return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in nodes)


async def test_essentials_on_a_cluster(cluster: list[RedisServer], opened: Opened) -> None:
    await essentials(opened(cluster_url(cluster)))
    assert all(node.command("INFO", "commandstats")["cmdstat_evalsha"]["calls"] > 5 for node in cluster)


async def test_one_known_node_is_enough(cluster: list[RedisServer], opened: Opened) -> None:
    await essentials(opened(cluster_url(cluster[2:]), encryption=Encryption(["a secret"], writes=True)))


async def test_flushing_scripts_of_a_cluster(cluster: list[RedisServer], opened: Opened) -> None:
    store = opened(cluster_url(cluster))
    await essentials(store)
    for node in cluster:
        node.command("SCRIPT", "FLUSH")
    await essentials(store)


async def test_a_cluster_node_is_no_standalone_server(cluster: list[RedisServer], opened: Opened) -> None:
    store = opened(cluster[0].url)
    with pytest.raises(StoreConfigError, match=r"use a redis\+cluster"):
        await store.ping()
    with pytest.raises(StoreConfigError, match=r"use a redis\+cluster"):
        await store.beat(heartbeat("a"), ttl=5, opened=KEYS)


async def test_a_standalone_server_is_no_cluster(redis_server: RedisServer, opened: Opened) -> None:
    with pytest.raises(StoreUnavailable):
        await opened(cluster_url([redis_server]), patience=0.5).ping()


async def test_a_slot_that_moved(cluster: list[RedisServer], opened: Opened) -> None:
    store = opened(cluster_url(cluster))
    await store.ping()  # so that it knows the slots as they are now
    slot = cluster[0].command("CLUSTER KEYSLOT", KEYS[0].tag)
    place = next(i for i in range(3) if slot < SLOTS * (i + 1) // 3)
    giver, taker = cluster[place], cluster[place - 1]
    giver.command("FLUSHALL")

    taker_id = taker.command("CLUSTER MYID")
    for node in (taker, giver, *cluster):
        node.command("CLUSTER SETSLOT", slot, "NODE", taker_id)

    await essentials(store)


# -- Sentinel ------------------------------------------------------------------------------------


async def test_sentinels_and_a_failover(opened: Opened) -> None:
    with running_sentinels("main") as (master, replica, sentinels):
        hosts = ",".join(f"127.0.0.1:{each.port}" for each in sentinels)
        store = opened(f"redis+sentinel://{hosts}/main/0", encryption=Encryption(["a secret"], writes=True))
        await essentials(store)

        with pytest.raises(StoreConfigError, match="a Sentinel"):
            await opened(sentinels[0].url).ping()
        with pytest.raises(StoreUnavailable):
            await opened(f"redis+sentinel://{hosts}/other", patience=0.3).ping()

        claim = await store.claim(KEYS[0], "a", request=PageRequest())
        eventually(lambda: replica.info()["slave_repl_offset"] == master.info()["master_repl_offset"])
        master.kill()
        sentinels[0].pause()

        deadline = time.monotonic() + 60
        while True:
            try:
                again = await store.claim(KEYS[0], "b")
                break
            except StoreUnavailable:
                assert time.monotonic() < deadline
                await asyncio.sleep(0)

        assert (again.outcome, again.owner, again.epoch) == (Outcome.RELAY, "a", claim.epoch)
        assert await store.discard(KEYS[0], owner="a", epoch=claim.epoch)
        await essentials(store)
        assert replica.info()["role"] == "master"
        sentinels[0].resume()
