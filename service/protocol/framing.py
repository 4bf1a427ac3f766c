"""Puts frames together into messages, and refuses what a well-behaved BokehJS never sends.

One :class:`Assembler` per connection and direction. It does no I/O and never waits; what it
raises closes that connection and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NoReturn

from service.errors import MessageTooBig, ProtocolError
from service.limits import DEFAULT_MAX_MESSAGE_BYTES
from service.protocol.messages import MSGTYPES, Frame, Message

__all__ = ("DEFAULT_MAX_BUFFERS", "Assembler")

DEFAULT_MAX_BUFFERS = 4096

MAX_ID_LENGTH = 256
"""Of message and buffer ids; BokehJS and bokeh.client use at most 36 characters."""

_NOTHING = Message("", "", None, {})


class Assembler:
    """Frames of one direction of one connection, fed in the order they came.

    After the first error every further frame raises that error again: the position in the
    stream is lost, and what follows must not be taken for a message.
    """

    __slots__ = (
        "_broken",
        "_buffer_id",
        "_expect",
        "_max_buffers",
        "_max_bytes",
        "_message",
        "_missing",
        "_seen",
        "_size",
    )

    def __init__(
        self, *, max_bytes: int = DEFAULT_MAX_MESSAGE_BYTES, max_buffers: int = DEFAULT_MAX_BUFFERS
    ) -> None:
        self._max_bytes = max_bytes
        self._max_buffers = max_buffers
        # Plain functions, not bound methods: those would make a reference cycle per connection.
        self._expect: Callable[[Assembler, Frame], Message | None] = Assembler._header
        self._message = _NOTHING
        self._buffer_id = ""
        self._seen: set[str] | None = None
        """Ids of the message's buffers. Nearly always there are none, and an empty set takes 216 bytes."""
        self._missing = 0
        self._size = 0
        self._broken: ProtocolError | None = None

    def feed(self, frame: Frame) -> Message | None:
        """The message that ``frame`` completes, or None while frames are missing.

        Raises ProtocolError, with a reason that fits into a close frame (123 bytes), and
        MessageTooBig when the message's frames together exceed ``max_bytes`` (UTF-8).
        """
        if self._broken is not None:
            raise self._broken
        try:
            self._account(frame)
            return self._expect(self, frame)
        except ProtocolError as error:
            self._broken = error
            raise

    def _account(self, frame: Frame) -> None:
        self._size += _byte_length(frame)
        if self._size > self._max_bytes:
            raise MessageTooBig(f"message is over {self._max_bytes} bytes")

    def _header(self, frame: Frame) -> None:
        header = _object(frame, "header")
        self._message = Message(
            msgtype=_msgtype(header),
            msgid=_ident(header.get("msgid"), "msgid"),
            reqid=None if header.get("reqid") is None else _ident(header["reqid"], "reqid"),
            content={},
        )
        self._missing = self._num_buffers(header)
        self._expect = Assembler._metadata

    def _num_buffers(self, header: dict[str, Any]) -> int:
        number = header.get("num_buffers", 0)
        if type(number) is not int or not 0 <= number <= self._max_buffers:  # bool is an int, too
            raise ProtocolError(f"num_buffers is not between 0 and {self._max_buffers}")
        return number

    def _metadata(self, frame: Frame) -> None:
        if frame != "{}":  # as BokehJS and bokeh.client send it
            _object(frame, "metadata")
        self._expect = Assembler._content

    def _content(self, frame: Frame) -> Message | None:
        self._message.content = _object(frame, "content")
        return self._next()

    def _buffer_header(self, frame: Frame) -> None:
        header = _object(frame, "buffer header")
        if header.keys() != {"id"}:
            raise ProtocolError("buffer header is not an object with just an id")
        self._buffer_id = _ident(header["id"], "buffer id")
        seen = self._seen = self._seen or set()
        if self._buffer_id in seen:
            raise ProtocolError("two buffers with the same id")
        seen.add(self._buffer_id)
        self._expect = Assembler._buffer_payload

    def _buffer_payload(self, frame: Frame) -> Message | None:
        if not isinstance(frame, bytes):
            raise ProtocolError("text frame where a binary buffer payload is due")
        self._message.buffers.append((self._buffer_id, frame))
        self._missing -= 1
        return self._next()

    def _next(self) -> Message | None:
        if self._missing:
            self._expect = Assembler._buffer_header
            return None
        message, self._message = self._message, _NOTHING  # an idle connection holds no old message
        self._expect = Assembler._header
        self._size = 0
        self._seen = None
        return message


def _byte_length(frame: Frame) -> int:
    if isinstance(frame, bytes) or frame.isascii():
        return len(frame)
    return len(frame.encode("utf-8", "surrogatepass"))


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


# Python's NaN and Infinity are no JSON; BokehJS would choke on them if they came back to it.
_decoder = json.JSONDecoder(parse_constant=_no_constant)


def _decode(text: str) -> Any:
    """As the decoder's own ``decode``, which looks for white space at both ends first."""
    try:
        value, end = _decoder.raw_decode(text)
    except ValueError:
        return _decoder.decode(text)
    return value if end == len(text) else _decoder.decode(text)


def _object(frame: Frame, what: str) -> dict[str, Any]:
    if not isinstance(frame, str):
        raise ProtocolError(f"binary frame where a {what} is due")
    try:
        value = _decode(frame)
    except (ValueError, RecursionError):  # the cause may quote content, so it stays here
        raise ProtocolError(f"{what} is not JSON") from None
    if not isinstance(value, dict):
        raise ProtocolError(f"{what} is not a JSON object")
    return value


def _msgtype(header: dict[str, Any]) -> str:
    msgtype = header.get("msgtype")
    if msgtype is None:
        raise ProtocolError("msgtype is missing")
    if not isinstance(msgtype, str) or msgtype not in MSGTYPES:
        raise ProtocolError("unknown msgtype")
    return msgtype


def _ident(value: Any, what: str) -> str:
    if value is None:
        raise ProtocolError(f"{what} is missing")
    if not isinstance(value, str) or not 0 < len(value) <= MAX_ID_LENGTH:
        raise ProtocolError(f"{what} is not a string of 1 to {MAX_ID_LENGTH} characters")
    return value
