"""Messages: what :class:`store.contract.Store` promises of them, embedded and over a real Redis."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

import pytest
from harness.redis_server import RedisServer

from store.contract import Message, MessagePlace, Publishing, TopicName, TopicReading
from store.encryption import Encryption
from store.errors import StoreError
from store.redis_store import RedisStore

TOPIC = TopicName("/app", "тема")
NOWHERE = MessagePlace()
BOUNDS = {"max_count": 1000, "max_bytes": 2**20}

calls = itertools.count()


async def publish(store: RedisStore, value: bytes, seen: MessagePlace = NOWHERE, **options: Any) -> Any:
    options = {"topic": TOPIC, "call": f"call {next(calls)}", "known": 60.0, **BOUNDS, **options}
    return await store.publish_message(Publishing(value=value, seen=seen, **options))


async def read(store: RedisStore, version: int | None = 0, newest: int = 0) -> TopicReading:
    (found,) = await store.read_messages([(TOPIC, version)], newest=newest)
    return found


async def values(store: RedisStore, version: int | None = 0, newest: int = 0) -> list[bytes]:
    return [each.value for each in (await read(store, version, newest)).messages]


# -- publishing and reading --------------------------------------------------------------------------


async def test_there_is_nothing_at_first(store: RedisStore) -> None:
    assert await read(store) == await read(store, None, 10) == TopicReading(NOWHERE, [])


async def test_what_is_published_is_read_in_its_order(store: RedisStore) -> None:
    places = [await publish(store, b"\x00%d" % number) for number in range(12)]

    found = await read(store)

    assert found.last == places[-1]
    assert found.messages == [Message(place, b"\x00%d" % at) for at, place in enumerate(places)]
    assert [place.number for place in places] == list(range(1, 13))
    assert sorted(places) == places


async def test_only_what_is_later_is_read(store: RedisStore) -> None:
    first, second, third = [await publish(store, b"%d" % number) for number in range(3)]

    assert await values(store, first.version) == [b"1", b"2"]
    assert await values(store, second.version) == [b"2"]
    assert await read(store, third.version) == TopicReading(third, [])


async def test_who_begins_here_gets_the_newest_it_asks_for(store: RedisStore) -> None:
    *_, last = [await publish(store, b"%d" % number) for number in range(5)]

    assert await read(store, None) == TopicReading(last, [])
    assert await values(store, None, 2) == [b"3", b"4"]
    assert len(await values(store, None, 10)) == 5


async def test_topics_have_nothing_to_do_with_each_other(store: RedisStore) -> None:
    others = [TopicName("/app", "other"), TopicName("/other", TOPIC.name)]
    for topic in (TOPIC, *others):
        assert (await publish(store, topic.app.encode(), topic=topic)).number == 1

    found = await store.read_messages([(topic, 0) for topic in (TOPIC, *others)])

    assert [[each.value for each in one.messages] for one in found] == [[b"/app"], [b"/app"], [b"/other"]]


async def test_a_message_that_is_published_again_is_there_once(store: RedisStore) -> None:
    await publish(store, b"1", call="same")
    other = await publish(store, b"2")

    assert await publish(store, b"1", call="same") == other
    assert await values(store) == [b"1", b"2"]


async def test_publishers_side_by_side_keep_their_order(store: RedisStore) -> None:
    twins = [store.twin() for _ in range(4)]

    async def go_on(at: int, each: RedisStore) -> None:
        for number in range(25):
            await publish(each, b"%d %02d" % (at, number))

    await asyncio.gather(*(go_on(*one) for one in enumerate(twins)))
    for each in twins:
        await each.close()

    found = await values(store)
    assert len(found) == 100
    for at in range(4):
        own = [each for each in found if each.startswith(b"%d " % at)]
        assert own == sorted(own)


async def test_a_message_that_cannot_be_read_is_left_out(store: RedisStore, raw: Any) -> None:
    await publish(store, b"1")
    (key,) = [each for each in await raw("KEYS", "*") if each.endswith(b":messages")]
    await raw("XADD", key, "9000000000000000-2", "b", "x", "m", b"\xc1\x01")

    assert await values(store) == [b"1"]


async def test_encrypted_messages_tell_who_looks_into_the_store_nothing(
    opened: Callable[..., RedisStore],
) -> None:
    store = opened(None, encryption=Encryption(["a secret"], writes=True))
    await publish(store, b"what nobody else shall read")

    keys = await store._link.send("KEYS", "*")
    (stream,) = [each for each in keys if each.endswith(b":messages")]
    stored = str([keys, await store._link.send("XRANGE", stream, "-", "+")])

    assert "what nobody" not in stored
    assert TOPIC.name not in stored
    assert await values(store) == [b"what nobody else shall read"]


# -- bounds ------------------------------------------------------------------------------------------


async def test_of_too_many_the_oldest_go(store: RedisStore) -> None:
    for number in range(7):
        await publish(store, b"%d" % number, max_count=3)

    found = await read(store)

    assert [each.value for each in found.messages] == [b"4", b"5", b"6"]
    assert [each.place.number for each in found.messages] == [5, 6, 7]


async def test_of_too_many_bytes_the_oldest_go_and_the_last_stays(store: RedisStore) -> None:
    for size in (400, 400, 600, 300):
        await publish(store, bytes(size), max_bytes=1300)
    assert [len(each) for each in await values(store)] == [600, 300]

    await publish(store, bytes(5000), max_bytes=1300)
    assert [len(each) for each in await values(store)] == [5000]
    await publish(store, bytes(10), max_bytes=1300)
    assert [len(each) for each in await values(store)] == [10]


async def test_numbers_go_on_when_messages_have_expired(store: RedisStore, raw: Any) -> None:
    await publish(store, bytes(900), max_bytes=1500)
    (key,) = [each for each in await raw("KEYS", "*") if each.endswith(b":messages")]
    await raw("DEL", key)

    assert (await publish(store, bytes(500), max_bytes=1500)).number == 2
    assert (await publish(store, bytes(400), max_bytes=1500)).number == 3
    assert [len(each) for each in await values(store)] == [500, 400]


# -- a store that lost it ----------------------------------------------------------------------------


async def test_what_the_store_lost_is_noticed_and_put_back(store: RedisStore, raw: Any) -> None:
    places = [await publish(store, b"%d" % number) for number in range(3)]
    kept = (await read(store)).messages
    await raw("FLUSHALL")

    assert (await read(store, places[-1].version)).last == NOWHERE
    assert await publish(store, b"3", seen=places[-1]) is None
    for _ in range(2):
        assert await store.restore_messages(TOPIC, kept[1:], places[-1], **BOUNDS) == places[0].born

    later = await publish(store, b"3", seen=places[-1])
    assert (later.born, later.number) == (places[0].born, 4)
    assert await values(store) == [b"1", b"2", b"3"]


async def test_each_that_is_put_back_has_its_place(store: RedisStore, raw: Any) -> None:
    before = [await publish(store, b"%d" % number) for number in range(3)]
    kept = (await read(store)).messages
    await raw("FLUSHALL")
    stranger = await publish(store, b"of another data set")

    assert await publish(store, b"3", seen=before[-1]) is None
    for part in (kept[1:], kept[:2]):
        assert await store.restore_messages(TOPIC, part, before[-1], **BOUNDS) == stranger.born

    assert (await read(store)).messages == [*kept, Message(stranger, b"of another data set")]
    assert (await publish(store, b"4", seen=before[-1]._replace(born=stranger.born))).number == 2


async def test_what_is_put_back_is_bounded(store: RedisStore, raw: Any) -> None:
    last = [await publish(store, b"%d" % number) for number in range(5)][-1]
    kept = (await read(store)).messages
    await raw("FLUSHALL")

    await store.restore_messages(TOPIC, kept, last, max_count=2, max_bytes=1000)

    assert await values(store) == [b"3", b"4"]


async def test_versions_go_on_when_nothing_is_put_back(store: RedisStore, raw: Any) -> None:
    before = await publish(store, b"1")
    await raw("FLUSHALL")

    after = await publish(store, b"2")

    assert after.version > before.version
    assert (after.born != before.born, after.number) == (True, 1)


# -- hearing of it at once ---------------------------------------------------------------------------


async def test_who_hears_is_told_where_something_was_published(store: RedisStore) -> None:
    heard: asyncio.Queue[str | None] = asyncio.Queue()
    hearing = asyncio.create_task(store.hear_messages(heard.put_nowait))
    async with asyncio.timeout(30):
        assert await heard.get() is None
        for number in range(3):
            await publish(store, b"%d" % number)
        assert [await heard.get() for _ in range(3)] == [TOPIC.tag] * 3
    hearing.cancel()
    await asyncio.gather(hearing, return_exceptions=True)


@pytest.mark.redis
async def test_who_hears_learns_that_the_store_is_gone(
    own_redis_server: Callable[..., RedisServer], opened: Callable[..., RedisStore]
) -> None:
    server = own_redis_server()
    heard: asyncio.Queue[str | None] = asyncio.Queue()
    hearing = asyncio.create_task(opened(server.url).hear_messages(heard.put_nowait))
    async with asyncio.timeout(30):
        await heard.get()
        server.kill()
        with pytest.raises(StoreError):
            await hearing


@pytest.mark.redis
async def test_a_user_without_pubsub_publishes_and_hears_nothing(
    own_redis_server: Callable[..., RedisServer], opened: Callable[..., RedisStore]
) -> None:
    server = own_redis_server()
    server.command("ACL", "SETUSER", "weak", "on", ">hunter2", "~*", "resetchannels", "+@all", "-@pubsub")
    store = opened(f"redis://weak:hunter2@127.0.0.1:{server.port}")

    assert await publish(store, b"1") is not None
    assert await values(store) == [b"1"]
    with pytest.raises(StoreError, match="permissions"):
        await store.hear_messages(lambda tag: None)
