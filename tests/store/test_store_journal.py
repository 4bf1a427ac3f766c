"""Journals: fenced by owner and epoch, idempotent, and as long-lived as their session."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from store.contract import DRAIN, Heartbeat, JournalWrite, PageRequest, SessionKey, Written
from store.records import Packed, Payload, pack_entry, unpack_entry
from store.redis_store import RedisStore

KEY = SessionKey("/app", "one")
REQUEST = PageRequest()


def write(
    epoch: int, number: int, remove: tuple[str, ...] = (), whole: bool = False, **put: Packed
) -> JournalWrite:
    return JournalWrite(KEY, epoch, number, put, remove, whole)


async def owned(store: RedisStore, replica: str = "a") -> int:
    return (await store.claim(KEY, replica, request=REQUEST)).epoch


async def test_fields_are_put_and_removed(store: RedisStore) -> None:
    epoch = await owned(store)
    await store.write_journals("a", [write(epoch, 1, x=b"1", y=b"2")])
    answers = await store.write_journals("a", [write(epoch, 2, ("x",), y=b"\x00\xff", z=b"")])
    assert answers == [Written.OK]
    assert await store.read_journal(KEY) == {"y": b"\x00\xff", "z": b""}


async def test_a_repeated_write_changes_nothing(store: RedisStore) -> None:
    epoch = await owned(store)
    first, second = write(epoch, 1, x=b"1"), write(epoch, 2, x=b"2")
    for each in (first, second, second):
        assert await store.write_journals("a", [each]) == [Written.OK]
    assert await store.read_journal(KEY) == {"x": b"2"}


async def test_who_lost_the_session_cannot_write(store: RedisStore) -> None:
    epoch = await owned(store)
    await store.write_journals("a", [write(epoch, 1, x=b"a")])
    claim = await store.seize(KEY, "b", owner="a", epoch=epoch)
    assert await store.write_journals("a", [write(epoch, 2, x=b"zombie")]) == [Written.STALE]
    assert await store.read_journal(KEY) == {"x": b"a"}
    assert await store.write_journals("b", [write(claim.epoch, 1, y=b"b")]) == [Written.OK]
    assert await store.read_journal(KEY) == {"x": b"a", "y": b"b"}


async def test_lost_writes_are_noticed(store: RedisStore) -> None:
    epoch = await owned(store)
    await store.write_journals("a", [write(epoch, 1, x=b"1")])
    assert await store.write_journals("a", [write(epoch, 3, x=b"3")]) == [Written.BEHIND]
    assert await store.write_journals("a", [write(epoch, 3, whole=True, y=b"all")]) == [Written.OK]
    assert await store.read_journal(KEY) == {"y": b"all"}


async def test_a_session_the_store_lost_is_gone_until_reasserted(store: RedisStore) -> None:
    epoch = await owned(store)
    await store.discard(KEY, owner="a", epoch=epoch)
    assert await store.write_journals("a", [write(epoch, 1, x=b"1")]) == [Written.GONE]
    assert await store.reassert(KEY, "a", epoch=epoch, request=REQUEST) is Written.BEHIND
    assert await store.reassert(KEY, "a", epoch=epoch, request=REQUEST) is Written.OK
    assert await store.write_journals("a", [write(epoch, 1, x=b"1")]) == [Written.OK]
    record = await store.read(KEY)
    assert record is not None
    assert (record.owner, record.epoch) == ("a", epoch)


async def test_reasserting_loses_to_a_successor(store: RedisStore) -> None:
    epoch = await owned(store)
    await store.seize(KEY, "b", owner="a", epoch=epoch)
    assert await store.reassert(KEY, "a", epoch=epoch, request=REQUEST) is Written.STALE


async def test_reasserting_wins_over_an_older_record(store: RedisStore) -> None:
    """As after a failover to a Redis that had not heard of the last change of owner."""
    epoch = await owned(store, "old")
    assert await store.reassert(KEY, "a", epoch=epoch + 5, request=REQUEST) is Written.BEHIND
    assert (await store.claim(KEY, "b")).owner == "a"


async def test_a_released_journal_expires_with_its_record(
    store: RedisStore, until: Callable[..., Awaitable[object]]
) -> None:
    epoch = await owned(store)
    await store.write_journals("a", [write(epoch, 1, x=b"1")])
    assert await store.release(KEY, "a", epoch=epoch, retention=0.05)

    async def gone() -> bool:
        return await store.read(KEY) is None and not await store.read_journal(KEY)

    await until(gone)


async def test_the_next_owner_keeps_the_journal(store: RedisStore) -> None:
    epoch = await owned(store)
    await store.write_journals("a", [write(epoch, 1, x=b"1")])
    await store.release(KEY, "a", epoch=epoch, retention=60)
    claim = await store.claim(KEY, "b")
    assert (claim.owner, claim.created) == ("b", False)
    assert await store.read_journal(KEY) == {"x": b"1"}


async def test_discarding_removes_the_journal_or_with_a_retention_keeps_both(store: RedisStore) -> None:
    epoch = await owned(store)
    await store.write_journals("a", [write(epoch, 1, x=b"1")])
    assert await store.discard(KEY, owner="a", epoch=epoch, retention=60)
    assert await store.read_journal(KEY) == {"x": b"1"}
    claim = await store.claim(KEY, "b")
    assert claim.epoch > epoch
    await store.discard(KEY, owner="b", epoch=claim.epoch)
    assert await store.read_journal(KEY) == {}
    assert await store.read(KEY) is None


async def test_a_replica_is_asked_to_drain_by_its_heartbeat(store: RedisStore) -> None:
    beat = Heartbeat("a", "http://a", "1", 0.0)
    assert await store.ask_to_drain("a") is False
    assert (await store.beat(beat, ttl=5)).drain is False
    assert await store.ask_to_drain("a", by="ada@laptop") is True
    told = await store.beat(beat, ttl=5)
    assert (told.drain, told.asked_by) == (True, {DRAIN: "ada@laptop"})


async def test_large_values_come_back_and_what_is_written_with_them(store: RedisStore) -> None:
    epoch = await owned(store)
    column = bytes(range(256)) * 10_000
    other = SessionKey("/app", "other")
    claim = await store.claim(other, "a", request=REQUEST)
    writes = [
        write(epoch, 1, x=pack_entry([1, Payload(column), "end"]), y=b"small", z=column),
        JournalWrite(other, claim.epoch, 1, {"x": b"1"}),
    ]
    assert await store.write_journals("a", writes) == [Written.OK, Written.OK]
    found = await store.read_journal(KEY)
    assert unpack_entry(found["x"]) == [1, column, "end"]
    assert (found["y"], found["z"]) == (b"small", column)
    assert await store.read_journal(other) == {"x": b"1"}


async def test_a_large_value_reaches_a_store_that_does_not_know_the_script(
    store: RedisStore, raw: Callable[..., Awaitable[object]]
) -> None:
    epoch = await owned(store)
    column = bytes(range(256)) * 10_000
    await raw("SCRIPT", "FLUSH")

    assert await store.write_journals("a", [write(epoch, 1, x=pack_entry(Payload(column)))]) == [Written.OK]

    assert unpack_entry((await store.read_journal(KEY))["x"]) == column
