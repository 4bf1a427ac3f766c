"""Shared values: what :class:`store.contract.Store` promises of them, embedded and over a real Redis."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Any

from store.contract import SharedChange, SharedName, SharedOutcome, SharedReading, SharedWrite, SharedWritten
from store.redis_store import RedisStore

NAME = SharedName("/app", "board")
MAX_BYTES = 2**20

calls = itertools.count()


async def write(store: RedisStore, key: str, value: bytes | None, **options: Any) -> SharedWritten:
    options = {"name": NAME, "call": f"call {next(calls)}", "max_bytes": MAX_BYTES, **options}
    return await store.write_shared(SharedWrite(key=key, value=value, **options))


async def read(store: RedisStore, version: int = 0, born: str = "", name: SharedName = NAME) -> SharedReading:
    (found,) = await store.read_shared([(name, version, born)])
    return found


async def values(store: RedisStore) -> dict[str, bytes | None]:
    return {each.key: each.value for each in (await read(store)).changes}


def version(written: SharedWritten) -> int:
    assert written.change is not None
    return written.change.version


# -- writing and reading -----------------------------------------------------------------------------


async def test_there_is_nothing_at_first(store: RedisStore) -> None:
    assert await read(store) == SharedReading("", 0, whole=True, changes=[])


async def test_what_is_written_is_read(store: RedisStore) -> None:
    written = await write(store, "ключ", b"\x00one")

    assert written.outcome is SharedOutcome.OK
    assert written.change == SharedChange("ключ", version(written), b"\x00one")
    assert await read(store) == SharedReading(
        written.born,
        version(written),
        whole=True,
        changes=[SharedChange("ключ", version(written), b"\x00one")],
    )


async def test_only_what_changed_is_read(store: RedisStore) -> None:
    first = await write(store, "a", b"1")
    await write(store, "b", b"1")
    known = await read(store)
    last = await write(store, "b", b"2")

    found = await read(store, known.version, known.born)

    assert version(first) < known.version < version(last) == found.version
    assert found == SharedReading(first.born, version(last), False, [SharedChange("b", version(last), b"2")])
    assert await read(store, found.version, found.born) == SharedReading(found.born, found.version, False, [])


async def test_that_something_was_removed_is_read(store: RedisStore) -> None:
    await write(store, "a", b"1")
    known = await read(store)
    removed = await write(store, "a", None)

    (change,) = (await read(store, known.version, known.born)).changes

    assert change == SharedChange("a", version(removed), None)
    assert await values(store) == {}


async def test_many_names_are_read_at_once(store: RedisStore) -> None:
    other = SharedName("/app", "other")
    await write(store, "a", b"1")
    await write(store, "b", b"2", name=other)

    found = await store.read_shared([(NAME, 0, ""), (other, 0, ""), (SharedName("/other", "board"), 0, "")])

    assert [[each.key for each in one.changes] for one in found] == [["a"], ["b"], []]


async def test_after_many_removals_a_late_reader_gets_all_there_is(store: RedisStore) -> None:
    await write(store, "kept", b"1")
    known = await read(store)
    for first in range(0, 1010, 101):
        await asyncio.gather(*(write(store, f"{number}", None) for number in range(first, first + 101)))

    found = await read(store, known.version, known.born)

    assert found.whole
    assert [each.key for each in found.changes] == ["kept"]


# -- versions ----------------------------------------------------------------------------------------


async def test_a_write_that_expects_another_version_changes_nothing(store: RedisStore) -> None:
    first = await write(store, "a", b"1", expected=0)
    second = await write(store, "a", b"2", expected=version(first))
    third = await write(store, "a", b"3", expected=version(first))

    assert (first.outcome, second.outcome) == (SharedOutcome.OK, SharedOutcome.OK)
    assert third.outcome is SharedOutcome.CHANGED
    assert third.change == SharedChange("a", version(second), b"2")
    assert await values(store) == {"a": b"2"}


async def test_what_was_removed_is_expected_to_be_nothing(store: RedisStore) -> None:
    first = await write(store, "a", b"1")
    await write(store, "a", None)

    late = await write(store, "a", b"2", expected=version(first))

    assert late.outcome is SharedOutcome.CHANGED
    assert late.change is not None
    assert (late.change.key, late.change.value) == ("a", None)
    assert (await write(store, "a", b"2", expected=0)).outcome is SharedOutcome.OK


async def test_a_repeated_write_is_done_once(store: RedisStore) -> None:
    first = await write(store, "a", b"1", call="same", expected=0)
    again = await write(store, "a", b"1", call="same", expected=0)
    other = await write(store, "a", b"2", expected=version(first))
    late = await write(store, "a", b"1", call="same", expected=0)

    assert (again.outcome, again.change) == (SharedOutcome.DONE, first.change)
    assert (late.outcome, late.change) == (SharedOutcome.DONE, other.change)
    assert await values(store) == {"a": b"2"}


async def test_writers_side_by_side_lose_nothing(store: RedisStore) -> None:
    twins = [store.twin() for _ in range(4)]

    async def add(each: RedisStore) -> None:
        known, number = 0, 0
        for _ in range(25):
            while True:
                answer = await write(each, "n", b"%d" % (number + 1), expected=known)
                assert answer.change is not None
                known, number = answer.change.version, int(answer.change.value or b"0")
                if answer.outcome is SharedOutcome.OK:
                    break

    await asyncio.gather(*map(add, twins))
    for each in twins:
        await each.close()

    assert await values(store) == {"n": b"100"}


# -- bounds ------------------------------------------------------------------------------------------


async def test_more_than_may_be_is_not_written(store: RedisStore) -> None:
    await write(store, "a", b"x" * 600, max_bytes=1000)
    refused = await write(store, "b", b"x" * 600, max_bytes=1000)

    assert refused.outcome is SharedOutcome.FULL
    assert refused.bytes > 1200
    assert set(await values(store)) == {"a"}


async def test_what_is_replaced_or_removed_makes_room(store: RedisStore) -> None:
    for _ in range(3):
        assert (await write(store, "a", b"x" * 600, max_bytes=1000)).outcome is SharedOutcome.OK
    await write(store, "a", None, max_bytes=1000)

    assert (await write(store, "b", b"x" * 600, max_bytes=1000)).outcome is SharedOutcome.OK


async def test_a_value_goes_when_its_time_is_over(
    store: RedisStore, until: Callable[..., Awaitable[Any]]
) -> None:
    await write(store, "a", b"1", ttl=0.3)
    kept = await write(store, "b", b"1")
    known = await read(store)
    assert 0 < next(each.ttl for each in known.changes if each.key == "a") <= 0.3

    async def gone() -> Any:
        return (await read(store, version(kept), kept.born)).changes

    (change,) = await until(gone)

    assert (change.key, change.value, change.version > version(kept)) == ("a", None, True)
    assert await values(store) == {"b": b"1"}


async def test_who_writes_without_an_end_takes_the_end_away(store: RedisStore) -> None:
    await write(store, "a", b"1", ttl=60)
    await write(store, "a", b"2")

    assert [each.ttl for each in (await read(store)).changes] == [0]


# -- a store that lost it ----------------------------------------------------------------------------


async def test_what_the_store_lost_is_noticed_and_put_back(store: RedisStore, raw: Any) -> None:
    first = await write(store, "a", b"1")
    removed = await write(store, "b", None)
    before = await read(store)
    await raw("FLUSHALL")

    lost = await read(store, before.version, before.born)
    refused = await write(store, "a", b"2", born=first.born, version=before.version)
    assert first.change is not None
    assert removed.change is not None
    put_back = [first.change, removed.change]
    born = await store.restore_shared(NAME, put_back, before.version)
    assert await store.restore_shared(NAME, put_back, before.version) == born

    assert lost == SharedReading("", 0, whole=False, changes=[])
    assert refused.outcome is SharedOutcome.LOST
    assert born not in ("", first.born)
    assert await read(store) == SharedReading(born, before.version, True, [first.change])
    assert (await write(store, "a", b"2", born=born, expected=version(first))).outcome is SharedOutcome.OK


async def test_of_what_is_put_back_the_later_version_counts(store: RedisStore, raw: Any) -> None:
    first = await write(store, "a", b"1")
    second = await write(store, "a", b"2")
    await raw("FLUSHALL")
    assert first.change is not None
    assert second.change is not None

    for change in (second.change, first.change):
        await store.restore_shared(NAME, [change], change.version)

    assert await values(store) == {"a": b"2"}
    assert (await read(store)).version == version(second)


async def test_a_version_is_never_given_twice(store: RedisStore, raw: Any) -> None:
    before = await write(store, "a", b"1")
    await raw("FLUSHALL")

    assert version(await write(store, "a", b"1")) > version(before)


async def test_a_writer_that_has_seen_more_than_there_is_notices(store: RedisStore) -> None:
    written = await write(store, "a", b"1")
    late = await write(store, "a", b"2", born=written.born, version=version(written) + 1)

    assert late.outcome is SharedOutcome.LOST


async def test_a_value_that_cannot_be_read_is_left_out(store: RedisStore, raw: Any) -> None:
    await write(store, "a", b"1")
    (key,) = [each for each in await raw("KEYS", "*") if each.endswith(b":shared")]
    await raw("HSET", key, "damaged", b"\x00")

    assert await values(store) == {"a": b"1"}
