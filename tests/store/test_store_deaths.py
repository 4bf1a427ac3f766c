"""Sessions that end their owners: what is counted, what is announced, and what is set aside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from store.contract import (
    Claim,
    Heartbeat,
    JournalWrite,
    Outcome,
    PageRequest,
    ParkReason,
    SessionKey,
    Written,
)
from store.redis_store import RedisStore

KEY = SessionKey("/app", "some session")
OTHER = SessionKey("/app", "another session")
REQUEST = PageRequest(uri="/app")


def beat(replica: str) -> Heartbeat:
    return Heartbeat(replica=replica, address=f"http://{replica}", version="1", started=0.0)


async def begun(store: RedisStore, key: SessionKey = KEY, owner: str = "a") -> Claim:
    await store.beat(beat(owner), ttl=60)
    return await store.claim(key, owner, request=REQUEST)


async def seized(store: RedisStore, claim: Claim, by: str, key: SessionKey = KEY) -> Claim:
    await store.beat(beat(by), ttl=60)
    return await store.seize(key, by, owner=claim.owner, epoch=claim.epoch)


async def test_deaths_in_a_row_are_counted(store: RedisStore) -> None:
    claim = await begun(store)
    counted = [claim.deaths]
    for replica in "bcd":
        claim = await seized(store, claim, replica)
        counted.append(claim.deaths)

    assert counted == [0, 1, 2, 3]
    assert await store.seize(KEY, "d", owner="c", epoch=claim.epoch - 1) == claim, "a retry counts nothing"
    assert (await store.claim(KEY, "d")).deaths == 3


async def test_an_owner_that_had_it_for_long_did_not_die_of_restoring_it(store: RedisStore, raw: Any) -> None:
    claim = await seized(store, await begun(store), "b")
    await lived(raw, KEY, seconds=60)

    assert (await seized(store, claim, "c")).deaths == 0


async def test_one_that_died_of_what_it_woke_later_counts(store: RedisStore, raw: Any) -> None:
    """A session that is shown first, or that hibernates, runs its app long after it was taken."""
    claim = await seized(store, await begun(store), "b")
    await lived(raw, KEY, seconds=60)
    assert await store.wake(KEY, "b", epoch=claim.epoch) is Written.OK

    assert (await seized(store, claim, "c")).deaths == 2


async def test_only_its_owner_wakes_it(store: RedisStore) -> None:
    claim = await begun(store)
    await seized(store, claim, "b")

    assert await store.wake(KEY, "a", epoch=claim.epoch) is Written.STALE
    assert await store.wake(OTHER, "a", epoch=claim.epoch) is Written.GONE


async def test_one_that_died_right_after_a_change_counts(store: RedisStore, raw: Any) -> None:
    claim = await seized(store, await begun(store), "b")
    await lived(raw, KEY, seconds=60)
    await store.write_journals("b", [JournalWrite(KEY, claim.epoch, 1, {"x": b"1"})])

    assert (await seized(store, claim, "c")).deaths == 1, "a row begins anew"


async def test_who_gives_it_up_has_survived_it(store: RedisStore) -> None:
    claim = await seized(store, await begun(store), "b")
    await store.release(KEY, "b", epoch=claim.epoch, retention=60)

    assert (await store.claim(KEY, "c")).deaths == 0


async def test_whose_work_was_announced_is_suspected(store: RedisStore) -> None:
    claim, other = await begun(store), await begun(store, OTHER)
    await store.announce("a", KEY)

    assert (await seized(store, claim, "b")).suspects == 1
    assert (await seized(store, other, "b", OTHER)).suspects == 0


async def test_with_several_it_is_not_known_which(store: RedisStore) -> None:
    claim, _ = await begun(store), await begun(store, OTHER)
    for key in (KEY, OTHER, OTHER):
        await store.announce("a", key)

    assert (await seized(store, claim, "b")).suspects == 2


async def test_what_was_survived_is_no_suspicion(store: RedisStore) -> None:
    claim = await begun(store)
    await store.announce("a", KEY)
    await store.withdraw("a", KEY)
    await store.withdraw("a", KEY)

    assert (await seized(store, claim, "b")).suspects == 0


async def test_suspicion_is_of_the_last_death_only(store: RedisStore) -> None:
    claim = await begun(store)
    await store.announce("a", KEY)
    claim = await seized(store, claim, "b")

    assert (await seized(store, claim, "c")).suspects == 0


async def test_deaths_in_which_it_alone_was_at_work_are_counted_in_a_row(store: RedisStore) -> None:
    claim = await begun(store)
    counted = []
    for number, work in enumerate([[], [KEY], [KEY], [KEY, OTHER], [KEY], [], [OTHER], [KEY], [KEY], [KEY]]):
        for key in work:
            await store.announce(claim.owner, key)
        claim = await seized(store, claim, f"r{number}")
        counted.append(claim.alone)

    assert counted == [0, 1, 2, 0, 1, 0, 0, 1, 2, 3]
    assert await store.seize(KEY, claim.owner, owner="r8", epoch=claim.epoch - 1) == claim, "a retry"
    assert (await store.claim(KEY, claim.owner)).alone == 3


async def test_a_row_of_lonely_deaths_is_part_of_the_row_of_deaths(store: RedisStore, raw: Any) -> None:
    claim = await begun(store)
    await store.announce("a", KEY)
    claim = await seized(store, claim, "b")
    await lived(raw, KEY, seconds=60)
    await store.announce("b", KEY)

    claim = await seized(store, claim, "c")

    assert (claim.deaths, claim.alone) == (1, 1), "b had it for long: what was before does not count"


async def test_who_gives_it_up_ends_the_row_of_lonely_deaths(store: RedisStore) -> None:
    claim = await begun(store)
    await store.announce("a", KEY)
    claim = await seized(store, claim, "b")
    await store.release(KEY, "b", epoch=claim.epoch, retention=60)

    assert (await store.claim(KEY, "c")).alone == 0


async def test_one_that_was_alone_at_work_by_chance_in_a_storm_of_kills_has_no_row(store: RedisStore) -> None:
    claim = await begun(store)
    for replica in "bc":
        claim = await seized(store, claim, replica)
    await store.announce("c", KEY)
    claim = await seized(store, claim, "d")

    assert (claim.deaths, claim.suspects, claim.alone) == (3, 1, 1)


async def test_a_parked_session_is_not_begun_anew_by_open_pages(store: RedisStore, raw: Any) -> None:
    await store.put_handoff(KEY, "token", REQUEST, ttl=60)
    claim = await seized(store, await begun(store), "b")
    await store.write_journals("b", [JournalWrite(KEY, claim.epoch, 1, {"x": b"1"})])

    assert await store.park(KEY, "b", epoch=claim.epoch)
    assert await store.park(KEY, "b", epoch=claim.epoch), "a retry finds it done"

    assert await store.claim(KEY, "c", token_id="token") == Claim(Outcome.PARKED)
    assert await store.read(KEY) is None
    assert await store.read_journal(KEY) == {}
    (parked,) = await store.parked()
    assert (parked.key, parked.deaths, parked.reason) == (KEY, 1, ParkReason.DEATHS)


async def test_why_it_was_parked_is_known(store: RedisStore) -> None:
    claim = await begun(store)
    assert await store.park(KEY, "a", epoch=claim.epoch, reason=ParkReason.MEMORY)

    assert await store.claim(KEY, "b") == Claim(Outcome.PARKED, reason=ParkReason.MEMORY)
    (parked,) = await store.parked()
    assert (parked.deaths, parked.reason) == (0, ParkReason.MEMORY)


async def test_a_new_page_view_begins_it_anew(store: RedisStore) -> None:
    claim = await begun(store)
    await store.park(KEY, "a", epoch=claim.epoch)

    await store.put_handoff(KEY, "new", REQUEST, ttl=60)
    anew = await store.claim(KEY, "b", token_id="new")

    assert (anew.outcome, anew.created, anew.deaths) == (Outcome.OWN, True, 0)
    assert anew.epoch > claim.epoch
    assert await store.parked() == []


async def test_parking_is_fenced(store: RedisStore) -> None:
    claim = await begun(store)
    await seized(store, claim, "b")

    assert not await store.park(KEY, "a", epoch=claim.epoch)
    assert await store.parked() == []
    assert await store.read(KEY) is not None


async def test_an_ended_session_is_not_a_parked_one(store: RedisStore) -> None:
    claim = await begun(store)
    await store.end(KEY, owner="a", epoch=claim.epoch)

    assert not await store.park(KEY, "a", epoch=claim.epoch)
    assert await store.claim(KEY, "b") == Claim(Outcome.UNKNOWN)


async def test_who_has_begun_to_build_an_app_is_known_to_the_others(store: RedisStore) -> None:
    others = []
    for replica in "abc":
        others.append(await store.begin_build("app 1", replica))
        assert await store.begin_build("app 1", replica) == others[-1]

    assert others == [[], ["a"], ["a", "b"]]
    assert await store.begin_build("app 2", "d") == []


@pytest.mark.parametrize(("built", "after"), [(True, []), (False, ["dead"])])
async def test_one_that_works_ends_the_row(store: RedisStore, built: bool, after: list[str]) -> None:
    await store.begin_build("app", "dead")
    assert await store.begin_build("app", "alive") == ["dead"]
    await store.end_build("app", "alive", built=built)

    assert await store.begin_build("app", "next") == after


async def lived(raw: Callable[..., Any], key: SessionKey, *, seconds: int) -> None:
    """As if the session had been taken, and been changed for the last time, so long ago."""
    name = f"svc:{{{key.tag}}}:session"
    taken = int(await raw("HGET", name, "taken"))
    await raw("HSET", name, "taken", taken - seconds * 1000)
    await raw("HDEL", name, "active")
