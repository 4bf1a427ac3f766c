"""The promises of :class:`store.contract.Store`, kept by the embedded store and over a real Redis."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from store.contract import Claim, Heartbeat, Outcome, PageRequest, SessionKey, SessionState, Written
from store.redis_store import RedisStore

KEY = SessionKey("/app", "some session")
REQUEST = PageRequest(
    method="POST",
    uri="/app?x=1",
    host="example.org:80",
    protocol="https",
    remote_ip="10.0.0.1",
    arguments={"x": [b"1", b"\xff\x00"]},
    cookies={"c": "ü"},
    headers={"H": "v"},
    user="somebody",
    payload={"n": [1, None, 2.5], "b": b"\x00"},
)


def heartbeat(replica: str = "a", **changes: Any) -> Heartbeat:
    values: dict[str, Any] = {"address": f"http://{replica}:5006", "version": "1", "started": 12.5}
    return Heartbeat(replica=replica, **{**values, **changes})


# -- lifecycle -----------------------------------------------------------------------------------


async def test_a_new_store_is_usable(store: RedisStore) -> None:
    await store.ping()


async def test_closing_twice_is_harmless(store: RedisStore) -> None:
    await store.ping()
    await store.close()
    await store.close()


async def test_a_twin_sees_the_same_data_from_another_loop(store: RedisStore) -> None:
    await store.claim(KEY, "a", request=REQUEST)
    found: list[Any] = []

    async def in_thread() -> None:
        twin = store.twin()
        await twin.beat(heartbeat(), ttl=5, opened=[KEY])
        found.extend(await twin.sessions("a"))
        await twin.close()

    thread = threading.Thread(target=lambda: asyncio.run(in_thread()))
    thread.start()
    await asyncio.to_thread(thread.join)

    assert [record.key for record in found] == [KEY]
    assert await store.replica("a") is not None


# -- claim ---------------------------------------------------------------------------------------


async def test_claim_without_anything_to_begin_with(store: RedisStore) -> None:
    assert await store.claim(KEY, "a") == Claim(Outcome.UNKNOWN)
    assert await store.claim(KEY, "a", token_id="t") == Claim(Outcome.UNKNOWN)
    assert await store.read(KEY) is None


async def test_claim_makes_the_record_from_a_request(store: RedisStore) -> None:
    claim = await store.claim(KEY, "a", request=REQUEST)

    assert (claim.outcome, claim.owner, claim.created) == (Outcome.OWN, "a", True)
    assert claim.request == REQUEST
    record = await store.read(KEY)
    assert record is not None
    assert (record.key, record.state, record.owner) == (KEY, SessionState.LIVE, "a")
    assert record.epoch == claim.epoch
    assert record.request == REQUEST
    assert record.created == pytest.approx(claim.epoch / 1000, abs=0.1)


async def test_claim_makes_the_record_from_a_handoff(store: RedisStore) -> None:
    await store.put_handoff(KEY, "t", REQUEST, 10)
    await store.put_handoff(KEY, "t", REQUEST, 10)

    assert (await store.claim(KEY, "a", token_id="other")).outcome is Outcome.UNKNOWN
    claim = await store.claim(KEY, "a", token_id="t")

    assert (claim.outcome, claim.created, claim.request) == (Outcome.OWN, True, REQUEST)


async def test_a_handoff_can_be_read_without_claiming(store: RedisStore) -> None:
    request = replace(REQUEST, trace="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    await store.put_handoff(KEY, "t", request, 10)

    assert await store.handoff(KEY, "t") == request
    assert await store.handoff(KEY, "other") is None
    assert await store.read(KEY) is None


async def test_a_given_request_wins_over_the_handoff(store: RedisStore) -> None:
    await store.put_handoff(KEY, "t", REQUEST, 10)
    own = PageRequest(uri="/own")
    assert (await store.claim(KEY, "a", token_id="t", request=own)).request == own


async def test_a_handoff_begins_the_session_anew_after_a_discard(store: RedisStore) -> None:
    await store.put_handoff(KEY, "t", REQUEST, 10)
    first = await store.claim(KEY, "a", token_id="t")
    assert await store.discard(KEY, owner="a", epoch=first.epoch)

    second = await store.claim(KEY, "b", token_id="t")

    assert (second.outcome, second.created) == (Outcome.OWN, True)


async def test_a_handoff_expires(store: RedisStore, until: Callable[..., Awaitable[Any]]) -> None:
    await store.put_handoff(KEY, "t", REQUEST, 0.05)

    async def gone() -> bool:
        claim = await store.claim(KEY, "a", token_id="t")
        if claim.outcome is Outcome.OWN:
            await store.discard(KEY, owner="a", epoch=claim.epoch)
        return claim.outcome is Outcome.UNKNOWN

    await until(gone)


async def test_claiming_again_changes_nothing(store: RedisStore, raw: Any) -> None:
    first = await store.claim(KEY, "a", request=REQUEST)
    before = await raw("HGETALL", f"svc:{{{KEY.tag}}}:session")

    second = await store.claim(KEY, "a", request=PageRequest(uri="/other"))

    assert second == Claim(Outcome.OWN, "a", first.epoch, created=False, request=REQUEST)
    assert await raw("HGETALL", f"svc:{{{KEY.tag}}}:session") == before


async def test_claim_of_an_owned_session_says_who_owns_it(store: RedisStore) -> None:
    first = await store.claim(KEY, "a", request=REQUEST)
    second = await store.claim(KEY, "b", request=REQUEST)
    assert second == Claim(Outcome.RELAY, "a", first.epoch)


async def test_claim_of_a_stored_session_raises_the_epoch(store: RedisStore) -> None:
    first = await store.claim(KEY, "a", request=REQUEST)
    await store.release(KEY, "a", epoch=first.epoch, retention=10)

    second = await store.claim(KEY, "b")

    assert (second.outcome, second.owner, second.created) == (Outcome.OWN, "b", False)
    assert second.epoch > first.epoch
    assert second.request == REQUEST


async def test_one_of_many_claims_wins(store: RedisStore) -> None:
    replicas = [f"r{i}" for i in range(20)]
    claims = await asyncio.gather(*(store.claim(KEY, each, request=REQUEST) for each in replicas))

    assert sum(claim.outcome is Outcome.OWN for claim in claims) == 1
    assert len({(claim.owner, claim.epoch) for claim in claims}) == 1


async def test_sessions_of_two_apps_may_have_the_same_id(store: RedisStore) -> None:
    await store.claim(SessionKey("/one", "x"), "a", request=REQUEST)
    assert (await store.claim(SessionKey("/two", "x"), "b", request=REQUEST)).outcome is Outcome.OWN


async def test_the_epoch_does_not_go_back_when_the_data_is_lost(store: RedisStore, raw: Any) -> None:
    epoch = (await store.claim(KEY, "a", request=REQUEST)).epoch
    await raw("FLUSHALL")
    assert (await store.claim(KEY, "b", request=REQUEST)).epoch >= epoch


async def test_the_epoch_does_not_go_back_when_the_clock_does(store: RedisStore, raw: Any) -> None:
    claim = await store.claim(KEY, "a", request=REQUEST)
    ahead = claim.epoch + 10_000_000
    await raw("HSET", f"svc:{{{KEY.tag}}}:session", "epoch", ahead)
    assert (await store.seize(KEY, "b", owner="a", epoch=ahead)).epoch == ahead + 1


# -- seize ---------------------------------------------------------------------------------------


async def test_seize_takes_the_session_once(store: RedisStore) -> None:
    first = await store.claim(KEY, "a", request=REQUEST)

    second = await store.seize(KEY, "b", owner="a", epoch=first.epoch)
    again = await store.seize(KEY, "b", owner="a", epoch=first.epoch)

    assert (second.outcome, second.owner, second.request) == (Outcome.OWN, "b", REQUEST)
    assert second.epoch > first.epoch
    assert again == second


async def test_a_lost_seize_says_who_won(store: RedisStore) -> None:
    first = await store.claim(KEY, "a", request=REQUEST)
    won = await store.seize(KEY, "b", owner="a", epoch=first.epoch)
    assert await store.seize(KEY, "c", owner="a", epoch=first.epoch) == Claim(Outcome.RELAY, "b", won.epoch)


async def test_seize_at_an_old_epoch_takes_nothing(store: RedisStore) -> None:
    first = await store.claim(KEY, "a", request=REQUEST)
    assert (await store.seize(KEY, "b", owner="a", epoch=first.epoch - 1)).outcome is Outcome.RELAY


async def test_one_of_many_seizes_wins(store: RedisStore) -> None:
    first = await store.claim(KEY, "a", request=REQUEST)
    replicas = [f"r{i}" for i in range(20)]
    claims = await asyncio.gather(
        *(store.seize(KEY, each, owner="a", epoch=first.epoch) for each in replicas)
    )
    assert sum(claim.outcome is Outcome.OWN for claim in claims) == 1
    assert len({(claim.owner, claim.epoch) for claim in claims}) == 1


async def test_seize_of_a_released_session_is_a_claim(store: RedisStore) -> None:
    first = await store.claim(KEY, "a", request=REQUEST)
    await store.release(KEY, "a", epoch=first.epoch, retention=10)
    second = await store.seize(KEY, "b", owner="a", epoch=first.epoch)
    assert (second.outcome, second.owner) == (Outcome.OWN, "b")
    assert second.epoch > first.epoch


async def test_seize_of_nothing(store: RedisStore) -> None:
    assert await store.seize(KEY, "b", owner="a", epoch=1) == Claim(Outcome.UNKNOWN)


# -- release, discard ----------------------------------------------------------------------------


async def test_release_keeps_the_record_without_owner(store: RedisStore) -> None:
    claim = await store.claim(KEY, "a", request=REQUEST)

    assert await store.release(KEY, "a", epoch=claim.epoch, retention=10) is True
    assert await store.release(KEY, "a", epoch=claim.epoch, retention=10) is True

    record = await store.read(KEY)
    assert record is not None
    assert (record.state, record.owner, record.epoch) == (SessionState.STORED, "", claim.epoch)


async def test_a_released_record_expires(store: RedisStore, until: Callable[..., Awaitable[Any]]) -> None:
    claim = await store.claim(KEY, "a", request=REQUEST)
    await store.release(KEY, "a", epoch=claim.epoch, retention=0.05)

    async def gone() -> bool:
        return await store.read(KEY) is None

    await until(gone)


async def test_only_the_owner_releases(store: RedisStore) -> None:
    claim = await store.claim(KEY, "a", request=REQUEST)

    assert await store.release(KEY, "b", epoch=claim.epoch, retention=10) is False
    assert await store.release(KEY, "a", epoch=claim.epoch - 1, retention=10) is False
    assert await store.release(SessionKey("/", "none"), "a", epoch=1, retention=10) is False

    assert (await store.claim(KEY, "b")).outcome is Outcome.RELAY


async def test_a_late_release_does_not_touch_the_successor(store: RedisStore) -> None:
    first = await store.claim(KEY, "a", request=REQUEST)
    await store.seize(KEY, "b", owner="a", epoch=first.epoch)
    assert await store.release(KEY, "a", epoch=first.epoch, retention=10) is False


async def test_a_release_that_is_not_ours_is_no_repetition(store: RedisStore) -> None:
    claim = await store.claim(KEY, "a", request=REQUEST)
    await store.release(KEY, "a", epoch=claim.epoch, retention=10)
    assert await store.release(KEY, "b", epoch=claim.epoch, retention=10) is False


async def test_discard_forgets_the_session(store: RedisStore) -> None:
    claim = await store.claim(KEY, "a", request=REQUEST)

    assert await store.discard(KEY, owner="a", epoch=claim.epoch) is True
    assert await store.discard(KEY, owner="a", epoch=claim.epoch) is True

    assert await store.read(KEY) is None


async def test_discard_is_fenced(store: RedisStore) -> None:
    first = await store.claim(KEY, "a", request=REQUEST)
    assert await store.discard(KEY, owner="b", epoch=first.epoch) is False
    assert await store.discard(KEY, owner="a", epoch=first.epoch + 1) is False
    await store.seize(KEY, "b", owner="a", epoch=first.epoch)
    assert await store.discard(KEY, owner="a", epoch=first.epoch) is False
    assert await store.read(KEY) is not None


# -- ending --------------------------------------------------------------------------------------


async def test_what_was_left_before_does_not_begin_an_ended_session_anew(store: RedisStore, raw: Any) -> None:
    await store.put_handoff(KEY, "t", REQUEST, 10)
    claim = await store.claim(KEY, "a", token_id="t")
    await store.beat(heartbeat("a"), ttl=5, opened=[KEY])

    assert await store.end(KEY, owner="a", epoch=claim.epoch) is True
    assert await store.end(KEY, owner="a", epoch=claim.epoch) is True

    assert await store.read(KEY) is None
    assert await store.sessions("a") == []
    assert (await store.claim(KEY, "b", token_id="t")).outcome is Outcome.UNKNOWN
    assert (await store.seize(KEY, "b", owner="a", epoch=claim.epoch)).outcome is Outcome.UNKNOWN
    assert 86_000_000 < await raw("PTTL", f"svc:{{{KEY.tag}}}:session") <= 86_400_000


@pytest.mark.parametrize("way", ["a page view", "a request"])
async def test_what_comes_later_begins_it_anew(store: RedisStore, raw: Any, way: str) -> None:
    first = await store.claim(KEY, "a", request=REQUEST)
    await store.end(KEY, owner="a", epoch=first.epoch)

    if way == "a page view":
        await store.put_handoff(KEY, "t", REQUEST, 10)
        again = await store.claim(KEY, "b", token_id="t")
    else:
        again = await store.claim(KEY, "b", request=REQUEST)

    assert (again.outcome, again.created) == (Outcome.OWN, True)
    assert again.epoch > first.epoch
    assert await raw("PTTL", f"svc:{{{KEY.tag}}}:session") <= 60_000


async def test_ending_is_fenced(store: RedisStore) -> None:
    first = await store.claim(KEY, "a", request=REQUEST)
    second = await store.seize(KEY, "b", owner="a", epoch=first.epoch)

    assert await store.end(KEY, owner="a", epoch=first.epoch) is False

    record = await store.read(KEY)
    assert record is not None
    assert (record.owner, record.epoch) == ("b", second.epoch)


async def test_a_session_nobody_owns_can_be_ended(store: RedisStore) -> None:
    claim = await store.claim(KEY, "a", request=REQUEST)
    await store.release(KEY, "a", epoch=claim.epoch, retention=10)

    assert await store.end(KEY, owner="", epoch=claim.epoch) is True

    assert await store.read(KEY) is None


async def test_an_owner_that_was_away_does_not_bring_an_ended_session_back(store: RedisStore) -> None:
    claim = await store.claim(KEY, "a", request=REQUEST)
    await store.end(KEY, owner="a", epoch=claim.epoch)

    assert await store.reassert(KEY, "a", epoch=claim.epoch, request=REQUEST) is Written.STALE
    assert await store.read(KEY) is None


async def test_the_owner_hears_that_it_shall_end_a_session(store: RedisStore) -> None:
    claim = await store.claim(KEY, "a", request=REQUEST)
    assert await store.ask_to_end(KEY, owner="a", epoch=claim.epoch) is False
    assert (await store.beat(heartbeat("a"), ttl=5)).end == frozenset()

    for _ in range(2):
        assert await store.ask_to_end(KEY, owner="a", epoch=claim.epoch, by="ada@laptop") is True

    told = await store.beat(heartbeat("a"), ttl=5)
    assert told.end == {(KEY.tag, claim.epoch)}
    assert told.asked_by == {KEY.tag: "ada@laptop"}
    assert (await store.beat(heartbeat("b"), ttl=5)).end == frozenset()


# -- replicas ------------------------------------------------------------------------------------


async def test_a_heartbeat_is_read_as_it_was_written(store: RedisStore) -> None:
    beat = heartbeat(sessions={"/app": 3}, connections=4, lag=0.25, load=0.5, draining=True)
    await store.beat(beat, ttl=5)

    found = await store.replica("a")

    assert found is not None
    assert 0 <= found.age < 60
    assert Heartbeat(**{name: getattr(found, name) for name in Heartbeat.__slots__ if name != "age"}) == beat


async def test_the_age_grows_by_the_stores_clock(
    store: RedisStore, until: Callable[..., Awaitable[Any]]
) -> None:
    await store.beat(heartbeat(), ttl=5)

    async def aged() -> bool:
        found = await store.replica("a")
        return found is not None and found.age >= 0.05

    await until(aged)


async def test_the_first_beat_is_new_to_the_store(store: RedisStore, raw: Any) -> None:
    assert (await store.beat(heartbeat(), ttl=5)).known is False
    assert (await store.beat(heartbeat(), ttl=5)).known is True
    await raw("FLUSHALL")
    assert (await store.beat(heartbeat(), ttl=5)).known is False


async def test_a_heartbeat_runs_out(store: RedisStore, until: Callable[..., Awaitable[Any]]) -> None:
    await store.beat(heartbeat(), ttl=0.05)

    async def gone() -> bool:
        return await store.replica("a") is None and not await store.replicas()

    await until(gone)
    assert (await store.beat(heartbeat(), ttl=5)).known is False


async def test_replicas_come_by_address(store: RedisStore) -> None:
    assert await store.replicas() == []
    for replica, address in (("x", "http://3"), ("y", "http://1"), ("z", "http://2")):
        await store.beat(heartbeat(replica, address=address), ttl=5)
    assert [each.replica for each in await store.replicas()] == ["y", "z", "x"]


async def test_the_index_follows_the_beats(store: RedisStore) -> None:
    one, two = SessionKey("/app", "1"), SessionKey("/app", "2")
    await store.claim(one, "a", request=REQUEST)
    claim = await store.claim(two, "a", request=REQUEST)
    assert await store.sessions("a") == []

    for _ in range(2):
        await store.beat(heartbeat(), ttl=5, opened=[one, two])
    assert {record.key for record in await store.sessions("a")} == {one, two}

    await store.release(two, "a", epoch=claim.epoch, retention=10)
    assert [record.key for record in await store.sessions("a")] == [one]

    for _ in range(2):
        await store.beat(heartbeat(), ttl=5, ended=[one, two])
    assert await store.sessions("a") == []


async def test_a_few_of_many_sessions_can_be_read(store: RedisStore) -> None:
    keys = [SessionKey("/app", str(n)) for n in range(5)]
    for key in keys:
        await store.claim(key, "a", request=REQUEST)
    await store.beat(heartbeat(), ttl=5, opened=keys)

    few = await store.sessions("a", limit=2)

    assert len(few) == 2
    assert await store.sessions("a", limit=2) == few
    assert await store.sessions("a", limit=0) == []
    assert len(await store.sessions("a", limit=9)) == 5


async def test_an_index_entry_of_somebody_elses_session_is_not_listed(store: RedisStore) -> None:
    first = await store.claim(KEY, "a", request=REQUEST)
    await store.beat(heartbeat("a"), ttl=5, opened=[KEY])
    await store.seize(KEY, "b", owner="a", epoch=first.epoch)
    assert await store.sessions("a") == []


async def test_a_claim_expires_until_a_beat_lists_it(store: RedisStore, raw: Any) -> None:
    session = f"svc:{{{KEY.tag}}}:session"
    first = await store.claim(KEY, "a", request=REQUEST)
    assert 50_000 < await raw("PTTL", session) <= 60_000

    await store.beat(heartbeat("a"), ttl=5, opened=[KEY])
    assert await raw("PTTL", session) == -1

    await store.seize(KEY, "b", owner="a", epoch=first.epoch)
    assert 50_000 < await raw("PTTL", session) <= 60_000


async def test_a_claim_does_not_cut_the_retention_short(store: RedisStore, raw: Any) -> None:
    first = await store.claim(KEY, "a", request=REQUEST)
    await store.release(KEY, "a", epoch=first.epoch, retention=3600)
    await store.claim(KEY, "b")
    assert await raw("PTTL", f"svc:{{{KEY.tag}}}:session") > 3_500_000


async def test_a_beat_keeps_only_what_its_replica_owns(store: RedisStore, raw: Any) -> None:
    claim = await store.claim(KEY, "a", request=REQUEST)
    await store.release(KEY, "a", epoch=claim.epoch, retention=10)
    await store.beat(heartbeat("a"), ttl=5, opened=[KEY])
    assert 0 < await raw("PTTL", f"svc:{{{KEY.tag}}}:session") <= 10_000


async def test_retire_removes_heartbeat_and_index(store: RedisStore) -> None:
    claim = await store.claim(KEY, "a", request=REQUEST)
    await store.beat(heartbeat("a"), ttl=5, opened=[KEY])
    await store.release(KEY, "a", epoch=claim.epoch, retention=10)

    await store.retire("a")
    await store.retire("a")

    assert await store.replica("a") is None
    assert await store.replicas() == []
    assert await store.sessions("a") == []
    assert await store.read(KEY) is not None


# -- secrets -------------------------------------------------------------------------------------


async def test_all_replicas_agree_on_a_secret(store: RedisStore) -> None:
    agreed = await asyncio.gather(*(store.agree_secret("sign", f"proposal {i}") for i in range(10)))
    assert len(set(agreed)) == 1
    assert await store.agree_secret("sign", "late") == agreed[0]
    assert await store.agree_secret("other", "late") == "late"
