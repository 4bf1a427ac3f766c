"""WebSocket frames (RFC 6455) without I/O: many out of one read, many into one write.

Tornado reads each frame in up to four steps and writes each by itself; BokehJS sends and gets
three frames or more per message, so that costs more than the work the message asks for.
"""

from __future__ import annotations

import codecs
import os
import struct
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TypeAlias

from service.close_codes import INVALID_DATA, MAY_BE_SENT, MESSAGE_TOO_BIG, PROTOCOL_ERROR
from service.protocol.messages import Frame, Frames, Piece

__all__ = (
    "BINARY",
    "CLOSE",
    "PING",
    "PONG",
    "TEXT",
    "Deflater",
    "FrameError",
    "FrameReader",
    "FrameTooBig",
    "Inflater",
    "NotText",
    "Received",
    "answer_to_close",
    "close_payload",
    "compression_offers",
    "encode_control",
    "encode_frames",
    "encode_masked",
    "encode_once",
)

CONTINUATION, TEXT, BINARY = 0, 1, 2
CLOSE, PING, PONG = 8, 9, 10
_FIN, _RESERVED, _OPCODE, _CONTROL, _MASKED, _SIZE = 0x80, 0x70, 0x0F, 0x08, 0x80, 0x7F
_COMPRESSED = 0x40
_SHORT_TEXT = _FIN | TEXT
_CUT_OFF = b"\x00\x00\xff\xff"
"""What RFC 7692 has the sender leave out at the end of a compressed message."""
_LONGEST_REASON = 123
"""Bytes: the limit of a control frame, without the code."""
_LARGE = 16 * 1024
"""Bytes from which a payload is handed on as it is instead of being copied next to others."""

_WINDOW_BITS = {str(bits) for bits in range(9, 16)}
"""That zlib can do; its windows of 8 bits are ones of 9 in truth."""
_COMPRESSION: Mapping[str, Collection[str | None]] = {
    "server_no_context_takeover": {None},
    "client_no_context_takeover": {None},
    "server_max_window_bits": _WINDOW_BITS,
    "client_max_window_bits": {*_WINDOW_BITS, None},
}
"""The parameters of RFC 7692, and with which values they can be taken."""

Received: TypeAlias = tuple[int, bytes]
"""Opcode and payload of one whole message (fragments put together) or one control frame."""


class FrameError(ValueError):
    """The client breaks RFC 6455."""

    close_code = PROTOCOL_ERROR


class FrameTooBig(FrameError):
    """A message is longer than allowed; said before it is read."""

    close_code = MESSAGE_TOO_BIG


class NotText(FrameError):
    """A text message is not UTF-8."""

    close_code = INVALID_DATA


class Deflater:
    """Compresses what one client is sent (RFC 7692); ``level`` and ``memory`` as :mod:`zlib` has them.

    ``forgetful`` clients want each message to be readable without the ones before it.
    """

    def __init__(
        self, level: int = 6, memory: int = 8, *, window_bits: int = zlib.MAX_WBITS, forgetful: bool = False
    ) -> None:
        self._options = (level, zlib.DEFLATED, -window_bits, memory)
        one = zlib.compressobj(*self._options)  # ValueError here rather than later
        self._context = None if forgetful else one

    def deflate(self, message: Piece) -> bytes:
        context = self._context or zlib.compressobj(*self._options)
        return (context.compress(message) + context.flush(zlib.Z_SYNC_FLUSH)).removesuffix(_CUT_OFF)


class Inflater:
    """What the client compresses (RFC 7692); ``limit`` bounds a message afterwards, in bytes.

    ``forgetful`` clients begin anew with each message, all others refer to earlier ones.
    """

    def __init__(self, limit: int, *, window_bits: int = zlib.MAX_WBITS, forgetful: bool = False) -> None:
        self._limit = limit
        self._window_bits = window_bits
        self._context = None if forgetful else zlib.decompressobj(-window_bits)

    def inflate(self, data: bytes) -> bytes:
        """The message. Raises FrameError."""
        context = self._context or zlib.decompressobj(-self._window_bits)
        try:
            message = context.decompress(data + _CUT_OFF, self._limit)
        except zlib.error as error:
            raise FrameError("a compressed message that is none") from error
        if context.unconsumed_tail:
            raise FrameTooBig("message too big")
        return message


_Utf8 = codecs.getincrementaldecoder("utf-8")


class FrameReader:
    """Frames out of bytes as they come in, in pieces of any size; those of clients are ``masked``."""

    __slots__ = (
        "_buffer", "_checked", "_compressed", "_fragments", "_kind", "_limit", "_longest_short", "_mask_size",
        "_midway", "_text", "inflater",
    )  # fmt: skip

    def __init__(self, limit: int, *, masked: bool = True) -> None:
        self.inflater: Inflater | None = None
        """Set where compression was agreed upon."""
        self._compressed = False
        self._limit = limit
        self._mask_size = 4 if masked else 0
        self._longest_short = _MASKED | min(125, limit) if masked else 0
        self._buffer = bytearray()
        self._fragments: bytearray | None = None
        self._kind = TEXT
        self._text: codecs.IncrementalDecoder | None = None
        """What has come of a text message that is not all there yet, as far as it was looked at."""
        self._checked = 0
        """Bytes of the present frame's payload that were."""
        self._midway = False
        """Within a message: a part of it has been dealt with."""

    def feed(self, data: bytes) -> Iterator[Received]:
        """Yield what is complete now; to be exhausted before the next call. Raises FrameError."""
        buffer, at = self._buffer, 0
        source: bytes | bytearray = data
        if buffer:
            buffer += data
            source = buffer
        whole = len(source)
        while at + 1 < whole:
            if source[at] == _SHORT_TEXT and _MASKED <= source[at + 1] <= self._longest_short:
                # Nearly all that BokehJS sends is this: a short masked text in one frame.
                body = at + 6
                end = body + (source[at + 1] & _SIZE)
                if end <= whole and not self._midway:
                    yield TEXT, _unmasked(bytes(source[body:end]), bytes(source[at + 2 : body]))
                    at = end
                    continue
            found = self._frame(source, at)
            if found is None:
                break
            at, message = found
            if message is not None:
                yield message
        if buffer:
            del buffer[:at]
        else:
            buffer += data[at:]

    def _frame(self, buffer: bytes | bytearray, at: int) -> tuple[int, Received | None] | None:
        """The frame that begins at ``at``: where it ends, and what it completes. None: not all there."""
        have = len(buffer) - at
        if have < 2:
            return None
        first, second = buffer[at], buffer[at + 1]
        size, begin = second & _SIZE, at + 2
        if self._is_reserved(first) or (first & _CONTROL and (size > 125 or not first & _FIN)):
            raise FrameError("a frame with reserved bits, or a control frame that is long or in pieces")
        if bool(second & _MASKED) != bool(self._mask_size):
            raise FrameError("a frame without a mask" if self._mask_size else "a frame with a mask")
        if size > 125:
            width, form = (2, "!H") if size == 126 else (8, "!Q")
            if have < 2 + width:
                return None
            (size,), begin = struct.unpack_from(form, buffer, begin), begin + width
        if size + len(self._fragments or b"") > self._limit:
            raise FrameTooBig("message too big")
        body = begin + self._mask_size
        end = body + size
        if len(buffer) < end:
            if self._is_plain_text(first):
                self._check_more(bytes(buffer[body + self._checked :]), bytes(buffer[begin:body]))
            return None
        payload = _unmasked(bytes(buffer[body:end]), bytes(buffer[begin:body]))
        return end, self._message(first, payload)

    def _is_reserved(self, first: int) -> bool:
        """Whether bits are set that mean nothing here; the first frame of a message says it is compressed."""
        may_be_compressed = self.inflater is not None and first & _OPCODE in (TEXT, BINARY)
        return bool(first & _RESERVED & ~(_COMPRESSED if may_be_compressed else 0))

    def _message(self, first: int, payload: bytes) -> Received | None:
        opcode, final = first & _OPCODE, first & _FIN
        if opcode & _CONTROL:
            return opcode, payload
        if (opcode == CONTINUATION) != (self._fragments is not None):
            raise FrameError("a continuation of nothing, or a message inside another")
        if not final and self._is_plain_text(first):
            self._check(payload[self._checked :])
        self._checked = 0
        if self._fragments is None:
            self._kind, self._compressed = opcode, bool(first & _COMPRESSED)
            if final:
                self._end_message()
                return opcode, self._plain(payload)
            self._fragments = bytearray()
        self._fragments += payload
        self._midway = True
        if not final:
            return None
        whole = bytes(self._fragments)
        self._end_message()
        return self._kind, self._plain(whole)

    def _end_message(self) -> None:
        self._fragments, self._text, self._midway = None, None, False

    # Text that is not UTF-8 is refused as soon as that can be told, which may be long before its message ends
    # (RFC 6455 section 8.1). Whole messages are decoded by whoever gets them.

    def _is_plain_text(self, first: int) -> bool:
        """Whether the payload of this frame is text as it is."""
        if self._fragments is None:
            return first & (_OPCODE | _COMPRESSED) == TEXT
        return first & _OPCODE == CONTINUATION and self._kind == TEXT and not self._compressed

    def _check_more(self, masked: bytes, mask: bytes) -> None:
        """More of a frame has come, and not yet all."""
        turned = self._checked % 4
        self._check(_unmasked(masked, mask[turned:] + mask[:turned]))
        self._checked += len(masked)
        self._midway = True

    def _check(self, part: bytes) -> None:
        if self._text is None:
            self._text = _Utf8()
        try:
            self._text.decode(part)
        except UnicodeDecodeError as error:
            raise NotText("text that is not UTF-8") from error

    def _plain(self, payload: bytes) -> bytes:
        return self.inflater.inflate(payload) if self._compressed and self.inflater else payload


def _unmasked(data: bytes, mask: bytes) -> bytes:
    """``data`` XOR ``mask`` over and over, as one operation on two long integers."""
    if not mask:
        return data
    size = len(data)
    over = int.from_bytes((mask * (size // 4 + 1))[:size], "little")
    return (int.from_bytes(data, "little") ^ over).to_bytes(size, "little")


def encode_frames(
    frames: Sequence[Frame | Piece], deflate: Callable[[Piece], bytes] | None = None
) -> list[Piece]:
    """Each of ``frames`` as one unfragmented, unmasked WebSocket message: bytes to write, in order.

    Large views remain views, which are as good as bytes to who writes them. ``deflate`` compresses
    (RFC 7692).
    """
    pieces: list[Piece] = []
    small = bytearray()
    for frame in frames:
        opcode, payload = (TEXT, frame.encode()) if isinstance(frame, str) else (BINARY, frame)
        if deflate is not None:
            opcode, payload = opcode | _COMPRESSED, deflate(payload)
        small += _head(opcode, len(payload))
        if len(payload) < _LARGE:
            small += payload
        else:
            pieces += bytes(small), payload
            small.clear()
    if small:
        pieces.append(bytes(small))
    return pieces


def encode_once(frames: Frames) -> list[Piece]:
    """As :func:`encode_frames`, the first time; whoever else gets this message is sent the same bytes."""
    if frames.pieces is None:
        frames.pieces = encode_frames(frames)
    return frames.pieces


def encode_control(opcode: int, payload: bytes) -> bytes:
    """A control frame; its payload has at most 125 bytes."""
    return _head(opcode, len(payload)) + payload


def encode_masked(opcode: int, payload: bytes) -> bytes:
    """A whole frame as a client sends it."""
    mask = os.urandom(4)
    head = bytearray(_head(opcode, len(payload)))
    head[1] |= _MASKED
    return b"".join((head, mask, _unmasked(payload, mask)))


def close_payload(code: int | None, reason: str = "") -> bytes:
    """What a close frame says; a reason that is too long for one is cut off."""
    if code is None:
        return b""
    whole = reason.encode("utf-8", "replace")[:_LONGEST_REASON]
    return struct.pack("!H", code) + whole.decode("utf-8", "ignore").encode()


def answer_to_close(payload: bytes) -> int | None:
    """The code with which a client's close frame is answered: its own, unless the frame breaks RFC 6455."""
    if not payload:
        return None
    (code,) = struct.unpack_from("!H", payload) if len(payload) > 1 else (0,)
    if code not in MAY_BE_SENT:
        return FrameError.close_code
    try:
        payload[2:].decode()
    except UnicodeDecodeError:
        return NotText.close_code
    return int(code)


def compression_offers(header: str) -> list[dict[str, str | None]]:
    """The offers of compression (RFC 7692) in a ``Sec-WebSocket-Extensions`` that can be taken, in order.

    Parameters have None where no value is given. The others are to be declined, by saying nothing.
    """
    found = []
    for offer in header.split(","):
        name, *rest = (part.strip() for part in offer.split(";"))
        pairs = [part.partition("=") for part in rest]
        parameters = {
            key.strip(): value.strip().strip('"') if equals else None for key, equals, value in pairs
        }
        possible = all(value in _COMPRESSION.get(key, ()) for key, value in parameters.items())
        if name == "permessage-deflate" and possible and len(parameters) == len(rest):
            found.append(parameters)
    return found


def _head(opcode: int, size: int) -> bytes:
    if size < 126:
        return struct.pack("!BB", _FIN | opcode, size)
    if size < 1 << 16:
        return struct.pack("!BBH", _FIN | opcode, 126, size)
    return struct.pack("!BBQ", _FIN | opcode, 127, size)
