"""The assembler takes what BokehJS and bokeh.client send, and refuses everything else."""

from __future__ import annotations

import gc
import json
import sys
import weakref
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import MessageTooBig, ProtocolError
from service.protocol import MSGTYPES, Assembler, Frame, Message, compose

HEADER = '{"msgid": "1", "msgtype": "PATCH-DOC"}'


def header(**fields: Any) -> str:
    return json.dumps({"msgid": "1", "msgtype": "PATCH-DOC", **fields})


def feed(*frames: Frame, assembler: Assembler | None = None) -> list[Message]:
    assembler = assembler or Assembler()
    return [message for frame in frames if (message := assembler.feed(frame)) is not None]


def refusal(*frames: Frame, assembler: Assembler | None = None) -> str:
    """The reason for which the last of ``frames``, and none before, is refused."""
    assembler = assembler or Assembler()
    for frame in frames[:-1]:
        assembler.feed(frame)
    with pytest.raises(ProtocolError) as caught:
        assembler.feed(frames[-1])
    return str(caught.value)


def test_message_is_complete_with_its_content() -> None:
    [message] = feed(header(reqid="7"), '{"any": 1}', '{"events": []}')

    assert message == Message("PATCH-DOC", "1", "7", {"events": []}, [])


def test_message_with_buffers_is_complete_with_its_last_payload() -> None:
    assembler = Assembler()

    early = feed(
        header(num_buffers=2), "{}", "{}", '{"id": "a"}', b"\x00", '{"id": "b"}', assembler=assembler
    )
    [message] = feed(b"", assembler=assembler)

    assert early == []
    assert message.buffers == [("a", b"\x00"), ("b", b"")]


def test_messages_follow_each_other() -> None:
    frames = [frame for n in range(3) for frame in (header(msgid=str(n)), "{}", "{}")]

    assert [message.msgid for message in feed(*frames)] == ["0", "1", "2"]


@pytest.mark.parametrize("msgtype", sorted(MSGTYPES))
def test_every_message_type_is_known(msgtype: str) -> None:
    [message] = feed(header(msgtype=msgtype), "{}", "{}")

    assert message.msgtype == msgtype


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"{}", "binary frame where a header is due"),
        ("", "header is not JSON"),
        ("{", "header is not JSON"),
        ("[" * 100_000, "header is not JSON"),
        ('{"msgid": NaN}', "header is not JSON"),
        ("[]", "header is not a JSON object"),
        ("null", "header is not a JSON object"),
        ("{}", "msgtype is missing"),
        ('{"msgtype": "OK"}', "msgid is missing"),
        ('{"msgid": "1"}', "msgtype is missing"),
        (header(msgtype="HELLO"), "unknown msgtype"),
        (header(msgtype="patch-doc"), "unknown msgtype"),
        (header(msgtype=["OK"]), "unknown msgtype"),
        (header(msgid=1), "msgid is not a string of 1 to 256 characters"),
        (header(msgid=""), "msgid is not a string of 1 to 256 characters"),
        (header(msgid="x" * 257), "msgid is not a string of 1 to 256 characters"),
        (header(reqid=[]), "reqid is not a string of 1 to 256 characters"),
        (header(num_buffers=-1), "num_buffers is not between 0 and 4096"),
        (header(num_buffers=4097), "num_buffers is not between 0 and 4096"),
        (header(num_buffers=10**30), "num_buffers is not between 0 and 4096"),
        (header(num_buffers=True), "num_buffers is not between 0 and 4096"),
        (header(num_buffers=1.0), "num_buffers is not between 0 and 4096"),
        (header(num_buffers="1"), "num_buffers is not between 0 and 4096"),
        (header(num_buffers=None), "num_buffers is not between 0 and 4096"),
    ],
)
def test_bad_header_is_refused(frame: Frame, reason: str) -> None:
    assert refusal(frame) == reason


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        (("x",), "metadata is not JSON"),
        (("7",), "metadata is not a JSON object"),
        ((b"{}",), "binary frame where a metadata is due"),
        (("{}", "x"), "content is not JSON"),
        (("{}", "[]"), "content is not a JSON object"),
        (("{}", b"{}"), "binary frame where a content is due"),
    ],
)
def test_bad_metadata_and_content_are_refused(frames: tuple[Frame, ...], reason: str) -> None:
    assert refusal(HEADER, *frames) == reason


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        ((b"\x00",), "binary frame where a buffer header is due"),
        ((HEADER,), "buffer header is not an object with just an id"),
        (("{}",), "buffer header is not an object with just an id"),
        (('{"id": "a", "more": 1}',), "buffer header is not an object with just an id"),
        (('{"id": 1}',), "buffer id is not a string of 1 to 256 characters"),
        (('{"id": null}',), "buffer id is missing"),
        (('{"id": "a"}', "text"), "text frame where a binary buffer payload is due"),
        (('{"id": "a"}', b"", '{"id": "a"}'), "two buffers with the same id"),
    ],
)
def test_bad_buffers_are_refused(frames: tuple[Frame, ...], reason: str) -> None:
    assert refusal(header(num_buffers=2), "{}", "{}", *frames) == reason


def test_same_buffer_id_in_two_messages_is_fine() -> None:
    one = (header(num_buffers=1), "{}", "{}", '{"id": "0"}', b"x")

    assert len(feed(*one, *one)) == 2


def test_message_of_exactly_the_limit_passes() -> None:
    frames = (HEADER, "{}", '{"é": 1}')
    limit = sum(len(frame.encode()) for frame in frames)

    assert feed(*frames, assembler=Assembler(max_bytes=limit))
    with pytest.raises(MessageTooBig):
        feed(*frames, assembler=Assembler(max_bytes=limit - 1))


def test_limit_counts_all_frames_of_one_message_and_no_other() -> None:
    frames = (header(num_buffers=2), "{}", "{}", '{"id": "a"}', b"x" * 500, '{"id": "b"}', b"x" * 500)

    assert len(feed(*frames, *frames, assembler=Assembler(max_bytes=1200))) == 2
    assert refusal(*frames, assembler=Assembler(max_bytes=1000)) == "message is over 1000 bytes"


def test_limit_on_buffers_is_the_callers() -> None:
    reason = refusal(header(num_buffers=3), assembler=Assembler(max_buffers=2))

    assert reason == "num_buffers is not between 0 and 2"


def test_after_an_error_nothing_passes() -> None:
    assembler = Assembler()
    refusal("nonsense", assembler=assembler)

    assert refusal(HEADER, assembler=assembler) == "header is not JSON"


def test_assembler_leaves_no_cycle_behind() -> None:
    class Weak(Assembler):
        """Has room for a weak reference."""

    gc.disable()
    try:
        assembler = Weak()
        feed(HEADER, "{}", assembler=assembler)
        gone = weakref.ref(assembler)
        del assembler
        assert gone() is None
    finally:
        gc.enable()


def test_idle_assembler_holds_no_message() -> None:
    assembler = Assembler()
    payload = bytes(1000)
    before = sys.getrefcount(payload)

    feed(header(num_buffers=1), "{}", "{}", '{"id": "a"}', payload, assembler=assembler)

    assert sys.getrefcount(payload) == before


frames = st.one_of(
    st.text(max_size=40),
    st.binary(max_size=40),
    st.sampled_from([HEADER, header(num_buffers=1), "{}", '{"id": "a"}', b"payload"]),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=5,
    ).map(json.dumps),
)


def outcome(assembler: Assembler, frame: Frame) -> Message | ProtocolError | None:
    try:
        return assembler.feed(frame)
    except ProtocolError as error:
        return error


@given(st.lists(frames, max_size=12))
def test_any_frames_give_messages_or_a_protocol_error(sequence: list[Frame]) -> None:
    assembler = Assembler(max_bytes=300)

    outcomes = [outcome(assembler, frame) for frame in sequence]

    assert all(each.msgtype in MSGTYPES for each in outcomes if isinstance(each, Message))
    reasons = [str(each) for each in outcomes if isinstance(each, ProtocolError)]
    assert all(len(reason.encode()) <= 123 for reason in reasons)  # must fit into a close frame


json_objects = st.dictionaries(
    st.text(max_size=8),
    st.integers() | st.text(max_size=8) | st.lists(st.floats(allow_nan=False, allow_infinity=False)),
)
ids = st.text(min_size=1, max_size=20)


@given(
    st.sampled_from(sorted(MSGTYPES)),
    json_objects,
    st.none() | ids,
    st.lists(st.tuples(ids, st.binary()), unique_by=lambda pair: pair[0]),
)
def test_what_is_composed_comes_back(
    msgtype: str, content: dict[str, Any], reqid: str | None, buffers: list[tuple[str, bytes]]
) -> None:
    sent = compose(msgtype, json.dumps(content), reqid=reqid, buffers=buffers)

    [message] = feed(*sent)

    assert (message.msgtype, message.content, message.reqid, message.buffers) == (
        msgtype,
        content,
        reqid,
        buffers,
    )


@pytest.mark.parametrize("text", ['{"a": 1}', ' {"a": 1}', '{"a": 1}\n ', '\t{ "a" :1 }'])
def test_white_space_around_json_is_no_matter(text: str) -> None:
    [message] = feed(HEADER, text, text)

    assert message.content == {"a": 1}


@pytest.mark.parametrize("text", ["", " ", '{"a": 1}x', '{"a": 1}{}', '{"a": NaN}', ' {"a": -Infinity}'])
def test_json_with_something_behind_it_is_no_json(text: str) -> None:
    assert refusal(HEADER, "{}", text) == "content is not JSON"
