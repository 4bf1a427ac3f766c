"""What users left is unreadable in the store, cannot be moved or changed there; secrets can be replaced."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from harness.redis_server import RedisServer
from hypothesis import given
from hypothesis import strategies as st

from store import encryption
from store.contract import Heartbeat, JournalWrite, PageRequest, SessionKey, Written
from store.encryption import PLAIN, Encryption, Place
from store.errors import RecordDamaged, StoreConfigError, StoreUnavailable
from store.pieces import Pieces
from store.records import Payload, pack_entry, unpack_entry
from store.redis_store import RedisStore

MARK = "what-a-user-typed"
KEY, OTHER = SessionKey(f"/app/{MARK}", f"id {MARK}"), SessionKey("/app", "other")
REQUEST = PageRequest(
    uri=f"/app?{MARK}",
    arguments={MARK: [MARK.encode()]},
    cookies={MARK: MARK},
    headers={"X": MARK},
    user=MARK,
    payload={"x": MARK},
)
PLACE = Place("svc", "journal", "a tag", "a field")
BEAT = Heartbeat("a", "http://a", "1", 0.0)

Opened = Callable[..., RedisStore]


def encrypting(*secrets: str, **options: bool) -> Encryption:
    return Encryption(secrets or ("secret",), **{"writes": True, **options})


def another(store: RedisStore, with_: Encryption) -> RedisStore:
    """Another replica on the same data."""
    return RedisStore(store._link, store._keys, with_)


@pytest.fixture(params=["embedded", pytest.param("redis", marks=pytest.mark.redis)])
def store(request: pytest.FixtureRequest, opened: Opened) -> RedisStore:
    if request.param == "embedded":
        return opened(None, encryption=encrypting())
    server: RedisServer = request.getfixturevalue("redis_server")
    server.command("FLUSHALL")
    return opened(server.socket_url, encryption=encrypting())


async def begun(store: RedisStore, key: SessionKey = KEY, **put: Any) -> int:
    """A session of replica `a` with a journal; its epoch."""
    epoch = (await store.claim(key, "a", request=REQUEST)).epoch
    if put:
        assert await store.write_journals("a", [JournalWrite(key, epoch, 1, put)]) == [Written.OK]
    await store.beat(BEAT, ttl=30, opened=[key])
    return epoch


async def everything(store: RedisStore) -> bytes:
    """All that a thief of the data has: keys, and what is in them."""
    send, found = store._link.send, []
    read = {
        b"string": ("GET",),
        b"hash": ("HGETALL",),
        b"set": ("SMEMBERS",),
        b"zset": ("ZRANGE", 0, -1),
    }
    for key in await send("KEYS", "*"):
        verb, *rest = read[await send("TYPE", key)]
        found += [key, repr(await send(verb, key, *rest)).encode()]
    return b" ".join(found)


async def test_nothing_that_a_user_left_can_be_found(store: RedisStore, raw: Any) -> None:
    column = Payload(MARK.encode() * 20_000)
    value = pack_entry([MARK, column])
    await store.put_handoff(KEY, "token", REQUEST, 60)
    epoch = await begun(store, **{"base": value, f"a:{MARK}": pack_entry(MARK)})
    await store.agree_secret("cookies", MARK)
    parked = SessionKey(KEY.app, f"parked {MARK}")
    await store.park(parked, "a", epoch=await begun(store, parked))

    dump = await everything(store)

    assert MARK.encode() not in dump
    assert KEY.tag.encode() in dump
    assert await store.read_journal(KEY) == {"base": bytes(value), f"a:{MARK}": pack_entry(MARK)}
    assert [each.key for each in await store.sessions("a")] == [KEY]
    assert [each.key for each in await store.parked()] == [parked]
    assert await store.agree_secret("cookies", "another") == MARK
    assert (await store.handoff(KEY, "token")) == REQUEST
    record = await store.read(KEY)
    assert record is not None
    assert (record.epoch, record.request) == (epoch, REQUEST)
    assert MARK.encode() in await everything(await in_plain_text(store))


async def in_plain_text(store: RedisStore) -> RedisStore:
    """The proof that the search finds what there is."""
    plain = another(store, PLAIN)
    await plain.put_handoff(KEY, "plain", REQUEST, 60)
    return plain


@pytest.mark.redis
async def test_nor_in_the_file_that_redis_keeps(
    own_redis_server: Callable[..., RedisServer], opened: Opened
) -> None:
    server = own_redis_server(appendonly="yes", appendfsync="always")
    store = opened(server.url, encryption=encrypting())
    await store.put_handoff(KEY, "token", REQUEST, 60)
    await begun(store, base=pack_entry(MARK))

    files = [path.read_bytes() for path in server.directory.rglob("*") if path.is_file()]

    assert any(KEY.tag.encode() in each for each in files)
    assert not any(MARK.encode() in each for each in files)


# -- nothing can be put in another's place -----------------------------------------------------


async def swap(raw: Any, one: tuple[str, ...], other: tuple[str, ...]) -> None:
    get, put = ("HGET", "HSET") if len(one) == 2 else ("GET", "SET")
    first, second = await raw(get, *one), await raw(get, *other)
    await raw(put, *one, second)
    await raw(put, *other, first)


def session_of(key: SessionKey) -> str:
    return f"svc:{{{key.tag}}}:session"


def journal_of(key: SessionKey) -> str:
    return f"svc:{{{key.tag}}}:journal"


@pytest.mark.parametrize("field", ["request", "session_id", "app"])
async def test_values_of_two_sessions(store: RedisStore, raw: Any, field: str) -> None:
    for key in (KEY, OTHER):
        await begun(store, key)

    await swap(raw, (session_of(KEY), field), (session_of(OTHER), field))

    for key in (KEY, OTHER):
        with pytest.raises(RecordDamaged, match="moved here"):
            await store.read(key)
    assert await store.sessions("a") == []
    assert bool((await store.claim(KEY, "a")).damage) == (field == "request")


async def test_values_of_two_fields(store: RedisStore, raw: Any) -> None:
    await begun(store, x=b"1", y=b"2")
    one, other = (name.decode() for name in await raw("HKEYS", journal_of(KEY)) if name != b"write")

    await swap(raw, (journal_of(KEY), one), (journal_of(KEY), other))

    found = await store.read_journal(KEY)
    assert (found, "moved here" in found.damage) == ({}, True)


async def test_fields_of_two_sessions(store: RedisStore, raw: Any) -> None:
    for key in (KEY, OTHER):
        await begun(store, key, x=b"1")
    found = await raw("HGETALL", journal_of(OTHER))
    field, value = next(item for item in found.items() if item[0] != b"write")
    await raw("HSET", journal_of(KEY), field, value)
    assert "moved here" in (await store.read_journal(KEY)).damage


async def test_handoffs_of_two_tokens(store: RedisStore, raw: Any) -> None:
    for token in ("one", "two"):
        await store.put_handoff(KEY, token, replace(REQUEST, user=token), 60)
    await swap(raw, *((f"svc:{{{KEY.tag}}}:handoff:{token}",) for token in ("one", "two")))
    assert "another token" in (await store.claim(KEY, "a", token_id="one")).damage


async def test_a_request_of_its_own_wins_over_the_handoff(store: RedisStore) -> None:
    await store.put_handoff(KEY, "token", PageRequest(), 60)
    assert (await store.claim(KEY, "a", token_id="token", request=REQUEST)).request == REQUEST
    assert (await store.claim(KEY, "b", token_id="token")).owner == "a"


async def test_what_a_later_owner_wrote_is_not_an_earlier_ones(store: RedisStore, raw: Any) -> None:
    epoch = await begun(store, x=b"before")
    await raw("HSET", journal_of(KEY), "write", f"{epoch - 1}/1")
    assert "a later owner" in (await store.read_journal(KEY)).damage


async def test_the_next_owner_reads_what_the_one_before_wrote(store: RedisStore) -> None:
    epoch = await begun(store, x=b"1")
    later = (await store.seize(KEY, "b", owner="a", epoch=epoch)).epoch
    await store.write_journals("b", [JournalWrite(KEY, later, 1, {"y": b"2"})])
    found = await store.read_journal(KEY)
    assert (found, found.outdated) == ({"x": b"1", "y": b"2"}, False)


@given(st.integers(0, 190), st.integers(1, 255))
def test_a_changed_byte_is_noticed(at: int, by: int) -> None:
    data = bytearray(bytes(encrypting().encrypt(PLACE, b"a value" * 12)))
    data[at] ^= by
    reader = encrypting(requires=True)
    with pytest.raises(RecordDamaged):
        reader.decrypt(PLACE, bytes(data))


@given(st.binary(max_size=300))
def test_no_bytes_do_anything_else(data: bytes) -> None:
    for given_ in (encryption.FORMAT + data, data):
        with pytest.raises(RecordDamaged):
            encrypting(requires=True).decrypt(PLACE, given_)


def test_parts_of_a_place_cannot_be_taken_for_each_other() -> None:
    data = bytes(encrypting().encrypt(Place("svc", "journal", "ab", "c"), b"x"))
    with pytest.raises(RecordDamaged):
        encrypting().decrypt(Place("svc", "journal", "a", "bc"), data)


# -- large values ------------------------------------------------------------------------------


def test_pieces_are_encrypted_one_by_one() -> None:
    parts = (b"head", memoryview(b"a" * 100_000), b"", b"tail")

    encrypted = encrypting().encrypt(PLACE, Pieces(parts))

    assert isinstance(encrypted, Pieces)
    assert encrypting().decrypt(PLACE, bytes(encrypted))[0] == b"".join(parts)


async def test_a_large_column_comes_back(store: RedisStore) -> None:
    column = bytes(range(256)) * 10_000
    await begun(store, base=pack_entry(["x", Payload(column)]))
    assert unpack_entry((await store.read_journal(KEY))["base"]) == ["x", column]


def test_a_data_key_is_not_used_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encryption, "VALUES_PER_DATA_KEY", 2)
    writer = encrypting()
    heads = [bytes(writer.encrypt(PLACE, b"x"))[:71] for _ in range(5)]
    assert [len(set(heads[:2])), len(set(heads[:3])), len(set(heads))] == [1, 2, 3]


# -- replicas of two kinds ---------------------------------------------------------------------


async def test_what_was_there_in_plain_text_is_read_and_written_anew(store: RedisStore) -> None:
    plain = another(store, Encryption(["secret"]))
    await begun(plain, x=b"1")

    found, claim = await store.read_journal(KEY), await store.claim(KEY, "a")

    assert (found, found.outdated, claim.request) == ({"x": b"1"}, True, REQUEST)
    await store.write_journals("a", [JournalWrite(KEY, claim.epoch, 2, dict(found), whole=True)])
    again = await store.read_journal(KEY)
    assert (again, again.outdated) == ({"x": b"1"}, False)


async def test_replicas_that_do_not_encrypt_read_what_others_have(store: RedisStore) -> None:
    await store.agree_secret("cookies", "agreed")
    epoch = await begun(store, x=b"1")
    plain = another(store, Encryption(["secret"]))

    found = await plain.read_journal(KEY)

    assert (found, found.outdated) == ({"x": b"1"}, True)
    assert (await plain.claim(KEY, "a")).request == REQUEST
    assert await plain.agree_secret("cookies", "mine") == "agreed"
    await plain.write_journals("a", [JournalWrite(KEY, epoch, 2, dict(found), whole=True)])
    assert await plain.read_journal(KEY) == {"x": b"1"}


async def test_where_encryption_is_required_plain_text_does_not_count(store: RedisStore) -> None:
    plain, strict = another(store, PLAIN), another(store, encrypting(requires=True))
    await begun(plain, x=b"1")
    assert "is not encrypted" in (await strict.read_journal(KEY)).damage
    assert "is not encrypted" in (await strict.claim(KEY, "a")).damage


async def test_a_secret_that_cannot_be_read_is_replaced(
    store: RedisStore, caplog: pytest.LogCaptureFixture
) -> None:
    before, after = another(store, encrypting("old")), another(store, encrypting("new"))
    await before.agree_secret("cookies", "first")

    assert await after.agree_secret("cookies", "second") == "second"
    assert await after.agree_secret("cookies", "third") == "second"
    assert "agreed on for cookies is replaced: it is encrypted with another secret key" in caplog.text


async def test_a_secret_outlives_the_one_that_it_was_encrypted_with(store: RedisStore) -> None:
    for secrets in ("old",), ("new", "old"), ("old",), ("new",):
        replica = another(store, encrypting(*secrets))
        assert await replica.agree_secret("cookies", f"proposed by {secrets}") == "proposed by ('old',)"


async def test_an_agreed_secret_in_plain_text_is_encrypted(store: RedisStore) -> None:
    await another(store, PLAIN).agree_secret("cookies", MARK)
    assert await store.agree_secret("cookies", "another") == MARK
    assert MARK.encode() not in await everything(store)


ROTATION = {"old": ("old",), "both": ("new", "old"), "new": ("new",)}


@pytest.mark.parametrize(("writer", "reader", "readable"), [
    ("old", "both", True), ("both", "old", True), ("both", "new", True), ("new", "both", True),
    ("old", "new", False), ("new", "old", False),
])  # fmt: skip
async def test_secrets_are_replaced_one_replica_after_the_other(
    store: RedisStore, writer: str, reader: str, readable: bool
) -> None:
    one, other = (another(store, encrypting(*ROTATION[which])) for which in (writer, reader))
    await one.put_handoff(KEY, "t", REQUEST, 60)
    epoch = (await one.claim(KEY, "a", token_id="t")).epoch
    await one.write_journals("a", [JournalWrite(KEY, epoch, 1, {"x": b"1"})])
    await one.release(KEY, "a", epoch=epoch, retention=60)

    found, claim = await other.read_journal(KEY), await other.claim(KEY, "b", token_id="t")

    if readable:
        assert (found, claim.request) == ({"x": b"1"}, REQUEST)
        assert found.outdated == (ROTATION[writer][0] != ROTATION[reader][0])
    else:
        assert "another secret key" in found.damage
        assert "another secret key" in claim.damage


# -- what is missing ---------------------------------------------------------------------------


async def test_without_a_secret_it_is_said_what_to_give(
    store: RedisStore, caplog: pytest.LogCaptureFixture
) -> None:
    await begun(store)
    visitor = another(store, PLAIN)
    with caplog.at_level(logging.WARNING):
        assert await visitor.sessions("a") == await visitor.sessions("a") == []
    (line,) = caplog.messages
    assert "1 stored sessions cannot be read" in line
    assert "SVC_SECRET_KEY" in line


async def test_one_that_cannot_be_read_does_not_hide_the_others(store: RedisStore) -> None:
    await begun(store)
    await begun(another(store, encrypting("another")), OTHER)
    assert [each.key for each in await store.sessions("a")] == [KEY]


async def test_without_the_package_nothing_is_thrown_away(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await begun(store, x=b"1")
    lacking = another(store, Encryption(["secret"]))
    monkeypatch.setattr(encryption, "missing_package", lambda: encryption.MISSING)

    for attempt in (lacking.claim(KEY, "a"), lacking.read_journal(KEY)):
        with pytest.raises(StoreUnavailable, match=r"svc-bokeh\[encrypt\]"):
            await attempt
    with pytest.raises(StoreConfigError, match=r"pip install 'svc-bokeh\[encrypt\]'"):
        encrypting()


def test_encryption_without_a_secret_is_refused() -> None:
    with pytest.raises(StoreConfigError, match="secret"):
        Encryption((), writes=True)
