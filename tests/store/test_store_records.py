"""What is stored can be read by the next release and the one before, or is refused in clear words."""

from __future__ import annotations

import contextlib
import gc
import sys
from types import MappingProxyType
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from store import records
from store.contract import Heartbeat, PageRequest, SessionKey
from store.errors import RecordError
from store.redis_store import RedisStore

text = st.text(st.characters(), max_size=20)
payload = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | text
    | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=10,
)
requests = st.builds(
    PageRequest,
    method=text,
    uri=text,
    host=text,
    protocol=text,
    remote_ip=text,
    arguments=st.dictionaries(text, st.lists(st.binary(), max_size=3), max_size=3),
    cookies=st.dictionaries(text, text, max_size=3),
    headers=st.dictionaries(text, text, max_size=3),
    user=st.none() | text,
    payload=st.dictionaries(text, payload, max_size=3),
)

SLOW = {
    "at": 2.5,
    "app": "/app",
    "session": "ab",
    "place": "f (main.py, line 1)",
    "seconds": 1.5,
    "running": True,
}
BEAT = Heartbeat("a", "http://a", "1", 1.0, {"/app": 2}, slow=[SLOW])


@given(requests)
def test_requests_come_back_as_they_went_in(request: PageRequest) -> None:
    assert records.decode_request(records.encode_request(request)) == request


def test_any_mapping_will_do() -> None:
    request = PageRequest(cookies=MappingProxyType({"a": "b"}))
    assert records.decode_request(records.encode_request(request)).cookies == {"a": "b"}


@pytest.mark.parametrize("value", [object(), 2**70, {1, 2}])
def test_a_payload_that_cannot_be_stored_is_refused(value: Any) -> None:
    with pytest.raises(RecordError, match="page request cannot be stored"):
        records.encode_request(PageRequest(payload={"x": value}))


def changed(data: bytes, **changes: Any) -> bytes:
    return bytes(msgpack.packb({**msgpack.unpackb(data), **changes}))


def test_fields_of_a_later_release_are_skipped() -> None:
    request = PageRequest(uri="/x")
    assert records.decode_request(changed(records.encode_request(request), new=1)) == request
    beat = changed(records.encode_heartbeat(BEAT, ttl_ms=5000, beat=b"1"), new=[1])
    assert records.decode_heartbeat(beat, left_ms=4000).age == 1.0


def test_fields_of_a_later_release_are_defaults_in_an_earlier_record() -> None:
    assert records.decode_request(msgpack.packb({"v": 1, "uri": "/x"})) == PageRequest(uri="/x")


DAMAGED = {
    "empty": b"",
    "missing": None,
    "not msgpack": b"\xc1",
    "cut short": records.encode_request(PageRequest(uri="/x"))[:-3],
    "no map": msgpack.packb([1]),
    "a list as a key": b"\x81\x90\x00",
    "no version": msgpack.packb({"uri": "/"}),
    "wrong type": msgpack.packb({"v": 1, "uri": 3}),
    "wrong type within": msgpack.packb({"v": 1, "arguments": {"a": ["text"]}}),
}


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED)
def test_damaged_requests_are_refused(data: bytes | None) -> None:
    with pytest.raises(RecordError, match="a stored page request"):
        records.decode_request(data)


@given(st.binary(max_size=60))
def test_no_bytes_do_anything_else(data: bytes) -> None:
    for decode in (records.decode_request, lambda data: records.decode_heartbeat(data, left_ms=1)):
        with contextlib.suppress(RecordError):
            decode(data)


def test_a_heartbeat_without_its_address_is_refused() -> None:
    with pytest.raises(RecordError, match="missing"):
        records.decode_heartbeat(msgpack.packb({"v": 1, "replica": "a"}), left_ms=1)


def test_an_unknown_version_is_named() -> None:
    data = changed(records.encode_request(PageRequest()), v=7)
    with pytest.raises(RecordError, match="version 7; this release reads version 1"):
        records.decode_request(data)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("v", "9", "version 9"),
        ("v", "x", "its v cannot be read"),
        ("epoch", "x", "its epoch cannot be read"),
        ("state", "odd", "a state unknown"),
        ("app", b"\xff", "its app cannot be read"),
        ("request", b"\xc1", "page request is damaged"),
    ],
)
async def test_a_damaged_session_is_refused(
    store: RedisStore, raw: Any, field: str, value: Any, message: str
) -> None:
    key = SessionKey("/app", "x")
    await store.claim(key, "a", request=PageRequest())
    await raw("HSET", f"svc:{{{key.tag}}}:session", field, value)
    with pytest.raises(RecordError, match=message):
        await store.read(key)


async def test_a_session_of_a_later_release_with_more_fields_is_read(store: RedisStore, raw: Any) -> None:
    key = SessionKey("/app", "x")
    await store.claim(key, "a", request=PageRequest())
    await raw("HSET", f"svc:{{{key.tag}}}:session", "new", "1")
    assert await store.read(key) is not None


async def test_a_key_of_another_type_is_refused(store: RedisStore, raw: Any) -> None:
    key = SessionKey("/app", "x")
    await raw("SET", f"svc:{{{key.tag}}}:session", "text")
    for attempt in (store.read(key), store.claim(key, "a", request=PageRequest())):
        with pytest.raises(RecordError, match="another type"):
            await attempt


def nested(payload: Any) -> Any:
    inner = [payload(b""), "text", payload(b"\xc0" * 300_000)]
    return [payload(b"a" * 70_000), {"x": inner}, "z" * 70_000, None]


def test_a_payload_is_packed_as_the_bytes_it_holds() -> None:
    packed = records.pack_entry(nested(records.Payload))

    assert records.unpack_entry(packed) == nested(bytes)
    assert records.unpack_entry(bytes(packed)) == nested(bytes)
    assert len(packed) == len(bytes(packed))


def test_a_large_payload_makes_the_same_entry_as_its_bytes_and_is_not_copied() -> None:
    column = bytes(range(256)) * 1000
    packed = records.pack_entry(["before", records.as_payload(column), "after"])

    assert bytes(packed) == bytes(records.pack_entry(["before", column, "after"]))
    assert any(part is column for part in packed.parts)
    assert records.as_payload(b"few") == b"few"


@given(st.recursive(st.binary() | st.integers(0, 9) | text, lambda inner: st.lists(inner, max_size=4)))
def test_payloads_anywhere_in_an_entry(value: Any) -> None:
    def wrapped(inner: Any) -> Any:
        if isinstance(inner, list):
            return [wrapped(each) for each in inner]
        return records.Payload(inner) if isinstance(inner, bytes) else inner

    assert records.unpack_entry(records.pack_entry(wrapped(value))) == value


def test_a_packed_payload_does_not_wait_for_the_garbage_collector() -> None:
    column = bytes(range(256)) * 1000
    gc.disable()
    try:
        before = sys.getrefcount(column)
        records.pack_entry([records.Payload(column)])
        assert sys.getrefcount(column) == before
    finally:
        gc.enable()
