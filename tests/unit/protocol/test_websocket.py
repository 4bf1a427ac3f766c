"""WebSocket frames: as Tornado reads and writes them, whatever the pieces they come in."""

from __future__ import annotations

import asyncio
import inspect
import re
import struct
from hashlib import sha256
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tornado.websocket import WebSocketProtocol13

from service.protocol.websocket import (
    BINARY,
    TEXT,
    Deflater,
    FrameError,
    FrameReader,
    FrameTooBig,
    Inflater,
    NotText,
    answer_to_close,
    compression_offers,
    encode_frames,
)

LIMIT = 100_000
MASK = b"\x01\x80\xff\x10"


def frame(
    payload: bytes, opcode: int = TEXT, *, final: bool = True, masked: bool = True, flags: int = 0
) -> bytes:
    size, mask_bit = len(payload), 0x80 if masked else 0
    first = (0x80 if final else 0) | flags | opcode
    if size < 126:
        head = struct.pack("!BB", first, mask_bit | size)
    elif size < 65536:
        head = struct.pack("!BBH", first, mask_bit | 126, size)
    else:
        head = struct.pack("!BBQ", first, mask_bit | 127, size)
    if not masked:
        return head + payload
    return head + MASK + bytes(byte ^ MASK[at % 4] for at, byte in enumerate(payload))


def read(data: bytes, *, pieces: int = 1 << 30, limit: int = LIMIT) -> list[tuple[int, bytes]]:
    reader = FrameReader(limit)
    parts = [data[at : at + pieces] for at in range(0, len(data), pieces)]
    return [message for part in parts for message in reader.feed(part)]


def from_client(written: bytes) -> bytes:
    """What a server wrote, as a client would have: masked (by zeros)."""
    found, at = bytearray(), 0
    while at < len(written):
        size = written[at + 1]
        width = {126: 2, 127: 8}.get(size, 0)
        if width:
            size = int.from_bytes(written[at + 2 : at + 2 + width], "big")
        found += bytes((written[at], written[at + 1] | 0x80)) + written[at + 2 : at + 2 + width] + bytes(4)
        found += written[at + 2 + width : at + 2 + width + size]
        at += 2 + width + size
    return bytes(found)


messages = st.lists(
    st.tuples(
        st.just(TEXT),
        st.text(max_size=100).map(str.encode) | st.sampled_from([125, 126, 65535, 65536]),
        st.integers(1, 3),
    )
    | st.tuples(
        st.just(BINARY),
        st.binary(max_size=200) | st.sampled_from([125, 126, 65535, 65536]),  # a number: as many bytes
        st.integers(1, 3),
    ),
    max_size=4,
)


@settings(deadline=None)  # no speed is asserted
@given(messages, st.integers(1, 70_000))
def test_messages_arrive_whole_whatever_their_pieces(
    drawn: list[tuple[int, bytes | int, int]], pieces: int
) -> None:
    sent = [(opcode, b"x" * it if type(it) is int else it, count) for opcode, it, count in drawn]
    data = b"".join(_in_fragments(*each) for each in sent)
    if pieces < 50:
        pieces = max(pieces, len(data) // 500)  # not too many, for time
    found = read(data, pieces=max(1, pieces))
    assert [each for each in found if each[0] < 8] == [(opcode, payload) for opcode, payload, _ in sent]


def _in_fragments(opcode: int, payload: bytes, count: int) -> bytes:
    size = len(payload) // count + 1
    parts = [payload[at : at + size] for at in range(0, len(payload), size)] or [b""]
    written = []
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        written.append(frame(part, 0 if number else opcode, final=last))
        written.append(frame(b"a ping between", 9))
    return b"".join(written)


@pytest.mark.parametrize(
    "broken",
    [
        frame(b"x", flags=0x40),
        frame(b"x" * 126, 9),
        frame(b"x", 9, final=False),
        frame(b"x", 0),
        frame(b"x", final=False) + frame(b"y"),
    ],
    ids=["reserved bit", "long ping", "ping in pieces", "continuation of nothing", "message in a message"],
)
def test_what_breaks_the_protocol_is_refused(broken: bytes) -> None:
    with pytest.raises(FrameError):
        read(broken)


def test_what_came_before_an_error_is_still_handed_on() -> None:
    found = FrameReader(LIMIT).feed(frame(b"good") + frame(b"bad", 0))
    assert next(found) == (TEXT, b"good")
    with pytest.raises(FrameError):
        next(found)


def test_too_big_is_said_before_the_payload_is_there() -> None:
    with pytest.raises(FrameTooBig):
        read(frame(b"x" * 1000)[:4], limit=999)


def test_fragments_count_together() -> None:
    with pytest.raises(FrameTooBig):
        read(frame(b"x" * 600, final=False) + frame(b"y" * 600, 0), limit=1000)


@given(st.lists(st.text(max_size=50) | st.binary(max_size=50), max_size=4))
def test_written_frames_read_back(frames: list[str | bytes]) -> None:
    expected = [(TEXT, each.encode()) if isinstance(each, str) else (BINARY, each) for each in frames]
    assert read(from_client(b"".join(encode_frames(tuple(frames))))) == expected


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536, 20_000])
async def test_frames_are_written_as_by_tornado(size: int) -> None:
    class Stream:
        def __init__(self) -> None:
            self.written = b""

        def write(self, data: bytes) -> asyncio.Future[None]:
            self.written += data
            done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            done.set_result(None)
            return done

    class Params:
        compression_options = None

    tornado = WebSocketProtocol13(object(), False, Params())  # type: ignore[arg-type]
    stream = Stream()
    tornado.stream = stream  # type: ignore[assignment]
    frames = ("é" * (size // 2) + "x" * (size % 2), b"\0" * size)
    for each in frames:
        await tornado.write_message(each, binary=isinstance(each, bytes))
    assert b"".join(encode_frames(frames)) == stream.written


@pytest.mark.parametrize("size", [0, 100, 100_000])
def test_a_view_is_written_as_the_bytes_it_shows(size: int) -> None:
    payload = bytes(size)
    view = memoryview(payload)

    assert b"".join(encode_frames(("{}", view))) == b"".join(encode_frames(("{}", payload)))
    compressed = [b"".join(encode_frames(("{}", each), Deflater().deflate)) for each in (view, payload)]
    assert compressed[0] == compressed[1]


def test_a_large_payload_is_not_copied() -> None:
    payload = b"x" * 1_000_000
    assert any(piece is payload for piece in encode_frames(("{}", payload)))


# -- compression (RFC 7692) ------------------------------------------------------------------------

COMPRESSED = 0x40


def read_compressed(data: bytes, *, forgetful: bool = False, limit: int = LIMIT) -> list[tuple[int, bytes]]:
    reader = FrameReader(limit)
    reader.inflater = Inflater(limit, forgetful=forgetful)
    return list(reader.feed(data))


@pytest.mark.parametrize("forgetful", [False, True])
def test_compressed_messages_in_fragments_and_plain_ones_between(forgetful: bool) -> None:
    deflate = Deflater(forgetful=forgetful).deflate
    messages = [b"the same text" * 20, b"the same text" * 20, b"", b"another"]
    data = b""
    for message in messages:
        packed = deflate(message)
        data += frame(packed[:3], flags=COMPRESSED, final=False) + frame(b"ping", 9) + frame(packed[3:], 0)
        data += frame(b"as it is")

    found = [payload for opcode, payload in read_compressed(data, forgetful=forgetful) if opcode == TEXT]

    assert found == [each for message in messages for each in (message, b"as it is")]


@pytest.mark.parametrize(
    "broken",
    [
        frame(b"x", final=False, flags=COMPRESSED) + frame(b"x", 0, flags=COMPRESSED),
        frame(b"x", 9, flags=COMPRESSED),
        frame(b"\xff\xff\xff", flags=COMPRESSED),
        frame(b"x", flags=0x20),
    ],
    ids=["a continuation that is compressed", "a ping that is", "no compressed text", "another reserved bit"],
)
def test_what_breaks_compression_is_refused(broken: bytes) -> None:
    with pytest.raises(FrameError):
        read_compressed(broken)


def test_what_grows_beyond_the_limit_is_refused() -> None:
    bomb = Deflater().deflate(b"0" * 10_000_000)

    with pytest.raises(FrameTooBig):
        read_compressed(frame(bomb, flags=COMPRESSED), limit=100_000)


@pytest.mark.parametrize("options", [{"level": 1}, {"memory": 2}, {"window_bits": 9}])
def test_options_of_compression_change_what_is_written(options: dict[str, int]) -> None:
    text = " ".join(map(str, range(2000))).encode()

    assert Deflater(**options).deflate(text) != Deflater().deflate(text)
    assert Inflater(LIMIT).inflate(Deflater(**options).deflate(text)) == text


@given(st.lists(st.text(max_size=50) | st.binary(max_size=50), max_size=4))
def test_compressed_frames_read_back(frames: list[str | bytes]) -> None:
    expected = [(TEXT, each.encode()) if isinstance(each, str) else (BINARY, each) for each in frames]
    written = b"".join(encode_frames(tuple(frames), Deflater().deflate))
    assert read_compressed(from_client(written)) == expected


def test_tornados_handshake_is_the_one_that_is_built_upon() -> None:
    """Look at ``service.web.upgrade`` again when this fails, then note the new digest here."""
    functions = (
        *("_accept_connection", "accept_connection", "_receive_frame_loop", "_abort"),
        "_create_compressors",
    )
    text = "".join(inspect.getsource(getattr(WebSocketProtocol13, name)) for name in functions)
    assert sha256(text.encode()).hexdigest()[:16] in {"0fe09f13045df15c"}


def test_clients_have_to_mask() -> None:
    with pytest.raises(FrameError, match="without a mask") as refused:
        read(frame(b"x", masked=False))
    assert refused.value.close_code == 1002


def test_servers_must_not_mask() -> None:
    reader = FrameReader(LIMIT, masked=False)
    assert list(reader.feed(frame(b"x", masked=False))) == [(TEXT, b"x")]
    with pytest.raises(FrameError, match="with a mask"):
        list(reader.feed(frame(b"x")))


# Cases 7.3, 7.5, 7.7 and 7.9 of the Autobahn test suite 0.8.2 (RFC 6455, sections 5.5.1 and 7.4).


@pytest.mark.parametrize(
    "code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999]
)
@pytest.mark.parametrize("reason", ["", "hello", "\u03ba\u1f79\u03c3\u03bc\u03b5", "x" * 123])
def test_a_right_close_frame_is_answered_with_its_code(code: int, reason: str) -> None:
    assert answer_to_close(struct.pack("!H", code) + reason.encode()) == code


def test_one_without_a_code_is_answered_without() -> None:
    assert answer_to_close(b"") is None


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535])
def test_one_with_a_code_that_may_not_be_sent_breaks_the_protocol(code: int) -> None:
    assert answer_to_close(struct.pack("!H", code)) == 1002


def test_so_does_half_a_code() -> None:
    assert answer_to_close(b"\x03") == 1002


@pytest.mark.parametrize(
    "reason", [b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited", b"\xff"]
)
def test_one_whose_reason_is_not_text_is_answered_with_that(reason: bytes) -> None:
    assert answer_to_close(struct.pack("!H", 1000) + reason) == 1007


@pytest.mark.parametrize("size", [126, 200])
def test_a_close_frame_is_no_longer_than_a_control_frame_may_be(size: int) -> None:
    with pytest.raises(FrameError):
        read(frame(b"x" * size, 8))


@pytest.mark.parametrize(
    ("header", "offers"),
    [
        ("", []),
        ("permessage-deflate", [{}]),
        ("permessage-deflate; client_max_window_bits", [{"client_max_window_bits": None}]),
        ('permessage-deflate;server_max_window_bits="10"', [{"server_max_window_bits": "10"}]),
        ("permessage-deflate; server_no_context_takeover", [{"server_no_context_takeover": None}]),
        ("x, permessage-deflate; y, permessage-deflate", [{}]),
        ("permessage-deflate; server_no_context_takeover=1", []),
        ("permessage-deflate; server_max_window_bits", []),
        ("permessage-deflate; server_max_window_bits=8", []),
        ("permessage-deflate; server_max_window_bits=016", []),
        ("permessage-deflate; client_max_window_bits=10; client_max_window_bits=10", []),
        ("permessage-deflate;", []),
        (";;=,,", []),
    ],
)
def test_offers_that_cannot_be_taken_are_declined(header: str, offers: list[dict[str, str | None]]) -> None:
    assert compression_offers(header) == offers


# -- text that is not UTF-8 (cases 6.4 of the Autobahn test suite) ---------------------------------

GREEK = "κόσμε".encode()
TOO_HIGH = b"\xf4\x90\x80\x80"  # U+110000


def refused_after(parts: list[bytes]) -> tuple[int, list[tuple[int, bytes]]]:
    """How many of ``parts`` are taken before one is refused as not being text, and the messages in them."""
    reader, found = FrameReader(LIMIT), []
    for taken, part in enumerate(parts):
        try:
            found += list(reader.feed(part))
        except NotText:
            return taken, found
    return len(parts), found


def test_text_is_refused_with_the_fragment_that_makes_it_invalid() -> None:
    """6.4.1 and 6.4.2: not only once the last fragment is there."""
    parts = [frame(GREEK, final=False), frame(TOO_HIGH, 0, final=False), frame(b"edited", 0)]
    assert refused_after(parts) == (1, [])

    parts = [frame(GREEK + b"\xf4", final=False), frame(b"\x90", 0, final=False), frame(b"\x80\x80edited", 0)]
    assert refused_after(parts) == (1, [])


@pytest.mark.parametrize("head", [6, 8, 14], ids=lambda size: f"a head of {size} bytes")
@pytest.mark.parametrize("after", ["", "f4"])
def test_text_is_refused_within_a_frame_that_is_not_all_there(head: int, after: str) -> None:
    """6.4.3 and 6.4.4: the frame comes in three pieces."""
    size = {6: 125, 8: 126, 14: 65536}[head]
    begin = GREEK + bytes.fromhex(after)
    whole = frame((begin + TOO_HIGH[len(begin) - len(GREEK) :]).ljust(size, b"x"))
    cuts = [0, head + len(begin), head + len(GREEK) + 2, len(whole)]
    parts = [whole[a:b] for a, b in pairwise(cuts)]
    assert refused_after(parts) == (1, [])


@pytest.mark.parametrize("cut", range(1, 20))
def test_characters_may_be_cut_anywhere(cut: int) -> None:
    text = "aκ𝄞ü€z".encode() * 2
    parts = [frame(text[:cut], final=False), frame(b"a ping", 9), frame(text[cut:], 0), frame(text)]
    expected = [(9, b"a ping"), (TEXT, text), (TEXT, text)]
    assert refused_after(parts) == (len(parts), expected)
    whole = b"".join(parts)
    assert refused_after([whole[at : at + 1] for at in range(len(whole))]) == (len(whole), expected)
    assert refused_after([whole[:cut], whole[cut:]]) == (2, expected)


def test_bytes_that_are_no_text_may_be_anything() -> None:
    parts = [frame(TOO_HIGH, BINARY, final=False), frame(TOO_HIGH, 0, final=False), frame(TOO_HIGH, 0)]
    whole = b"".join(parts)
    assert refused_after([whole[at : at + 1] for at in range(len(whole))])[1] == [(BINARY, TOO_HIGH * 3)]


@example(b"\xed\xa0", 1)
@example(b"\xed\xa0\x80", 1)
@given(st.binary(max_size=12), st.integers(1, 12))
def test_nothing_is_refused_that_could_still_be_text(text: bytes, cut: int) -> None:
    """Nor anything taken that cannot, before the message ends."""
    taken, _ = refused_after([frame(text[:cut], final=False), frame(text[cut:], 0, final=False)])
    hopeless = [not could_be_text(part) for part in (text[:cut], text)]
    assert taken == (hopeless.index(True) if any(hopeless) else 2)


def could_be_text(data: bytes) -> bool:
    """Whether it is only cut off, if anything."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        # Of a surrogate CPython's incremental decoder (3.11 to 3.13) tells with its third byte.
        is_half_surrogate = re.fullmatch(rb"\xed[\xa0-\xbf]", data[error.start :]) is not None
        return error.reason == "unexpected end of data" or is_half_surrogate
    return True
