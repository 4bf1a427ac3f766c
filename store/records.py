"""How values become bytes and back: msgpack maps, each with a version.

The version changes only when older replicas could not make sense of the new form. Fields that
are merely new travel under the same version: readers skip what they do not know and give what
is missing its default, so that two releases can run side by side during a rolling deploy.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeAlias, TypeVar

import msgpack  # type: ignore[import-untyped]

from store.contract import (
    Heartbeat,
    PageRequest,
    Parked,
    ParkReason,
    SessionKey,
    SessionRecord,
    SessionState,
    UserTokens,
)
from store.errors import RecordDamaged, RecordError
from store.maintenance import MaintenanceNotice
from store.pieces import LARGE, Pieces

__all__ = (
    "JOURNAL_VERSION",
    "SESSION_VERSION",
    "Packed",
    "Payload",
    "as_payload",
    "decode_heartbeat",
    "decode_maintenance",
    "decode_parked",
    "decode_reason",
    "decode_request",
    "decode_session",
    "decode_tokens",
    "encode_heartbeat",
    "encode_maintenance",
    "encode_request",
    "encode_tokens",
    "pack_entry",
    "unpack_entry",
)

REQUEST_VERSION = 1
SESSION_VERSION = 1
HEARTBEAT_VERSION = 1
JOURNAL_VERSION = 1
TOKENS_VERSION = 1
MAINTENANCE_VERSION = 1

Packed: TypeAlias = bytes | Pieces
"""Large ones are in pieces, so that they are not copied once more."""

T = TypeVar("T")
_Check = Callable[[Any], bool]


@dataclass(frozen=True, slots=True)
class Payload:
    """Bytes within an entry that become a piece of it as they are. They must not change any more."""

    data: bytes | memoryview


def encode_request(request: PageRequest) -> bytes:
    """Raises :class:`RecordError` when the payload holds something other than JSON-like values and bytes."""
    values = _own_fields(request)
    for name in ("login", "trace", "app_path", "route_params"):  # cost nothing where there are none
        if not values[name]:
            del values[name]
    return bytes(_pack("page request", REQUEST_VERSION, values))


def decode_request(data: bytes | None) -> PageRequest:
    values = _unpack("page request", REQUEST_VERSION, data)
    return PageRequest(**_known("page request", values, _REQUEST))


def encode_tokens(tokens: UserTokens) -> bytes:
    values = _own_fields(tokens)
    del values["number"]
    return bytes(_pack("set of tokens", TOKENS_VERSION, values))


def decode_tokens(data: bytes, number: int) -> UserTokens:
    values = _unpack("set of tokens", TOKENS_VERSION, data)
    return UserTokens(**_known("set of tokens", values, _TOKENS), number=number)


def encode_heartbeat(heartbeat: Heartbeat, *, ttl_ms: int, beat: bytes) -> bytes:
    """``beat`` marks this one write, so that its repetition can be told from an earlier beat."""
    values = _own_fields(heartbeat)
    return bytes(_pack("heartbeat", HEARTBEAT_VERSION, {**values, "ttl_ms": ttl_ms, "beat": beat}))


def decode_heartbeat(data: bytes, *, left_ms: int) -> Heartbeat:
    """``left_ms`` is what is left of the key's time to live: with the whole of it, it gives the age."""
    values = _unpack("heartbeat", HEARTBEAT_VERSION, data)
    known = _known("heartbeat", values, _HEARTBEAT)
    ttl_ms = known.pop("ttl_ms", left_ms)
    slow = tuple(known.get("slow", ()))
    return _build("heartbeat", Heartbeat, {**known, "slow": slow, "age": max(0, ttl_ms - left_ms) / 1000})


def encode_maintenance(notice: MaintenanceNotice) -> bytes:
    return bytes(_pack("maintenance notice", MAINTENANCE_VERSION, _own_fields(notice)))


def decode_maintenance(data: bytes) -> MaintenanceNotice:
    what = "maintenance notice"
    known = _known(what, _unpack(what, MAINTENANCE_VERSION, data), _MAINTENANCE)
    return _build(what, MaintenanceNotice, known)


def decode_session(hash_: Mapping[bytes, bytes]) -> SessionRecord:
    """From the session's hash, which the scripts write field by field."""
    _check_version("session", SESSION_VERSION, _number(hash_, b"v"))
    return SessionRecord(
        key=SessionKey(_text(hash_, b"app"), _text(hash_, b"session_id")),
        state=_state(_text(hash_, b"state")),
        owner=_text(hash_, b"owner"),
        epoch=_number(hash_, b"epoch"),
        created=_number(hash_, b"created") / 1000,
        request=decode_request(hash_.get(b"request")),
    )


def decode_parked(at: bytes, app: bytes, session_id: bytes, deaths: bytes, reason: bytes | None) -> Parked:
    """From the fields that ``park.lua`` leaves."""
    key = SessionKey(app.decode(errors="surrogatepass"), session_id.decode(errors="surrogatepass"))
    return Parked(key, int(at) / 1000, int(deaths), decode_reason(reason or b""))


def decode_reason(reason: bytes) -> ParkReason:
    """Releases that knew one reason only did not say it."""
    return ParkReason.MEMORY if reason == b"memory" else ParkReason.DEATHS


def pack_entry(value: Any) -> Packed:
    """One field of a session's journal: lists, maps, text, numbers and bytes (also as :class:`Payload`).

    Raises :class:`RecordError` when ``value`` holds anything else.
    """
    return _pack("journal entry", JOURNAL_VERSION, {"value": value})


def pack_value(value: Any) -> bytes:
    """As :func:`pack_entry`, for a plain value of an app's. Raises TypeError, which says only why."""
    try:
        return bytes(pack_entry(value))
    except RecordError as error:
        raise TypeError(str(error.__cause__ or error)) from None


def as_payload(data: bytes | memoryview) -> bytes | memoryview | Payload:
    """Bytes for an entry: not to be copied if they are many."""
    return Payload(data) if len(data) > LARGE else data


def unpack_entry(data: Packed) -> Any:
    """Raises :class:`RecordError` when the field is damaged or of a version unknown to this release."""
    return _unpack("journal entry", JOURNAL_VERSION, data).get("value")


# -- msgpack ---------------------------------------------------------------------------------


def _pack(what: str, version: int, values: Mapping[str, Any]) -> Packed:
    try:
        packing = _spare.pop()
    except IndexError:
        packing = _Packing()
    try:
        packed = packing.pack({"v": version, **values})
    except (TypeError, ValueError, OverflowError) as error:
        packing.end()
        raise RecordError(f"this {what} cannot be stored: {error}") from error
    if type(packed) is bytes:
        _spare.append(packing)
    else:
        packing.end()  # its buffer is what the pieces are made of
    return packed


class _Packing:
    """A packer, which takes three times as long to make as to use, and what it found for others to write."""

    __slots__ = ("_packer", "_payloads")

    def __init__(self) -> None:
        self._payloads: list[tuple[int, bytes | memoryview]] = []
        self._packer = msgpack.Packer(unicode_errors="surrogatepass", autoreset=False, default=self._note)

    def pack(self, values: dict[str, Any]) -> Packed:
        self._packer.pack(values)
        packed: memoryview = self._packer.getbuffer()
        if self._payloads:
            return _interleaved(packed, self._payloads)
        if len(packed) > LARGE:
            return Pieces((packed,))
        small = bytes(packed)
        packed.release()
        self._packer.reset()
        return small

    def end(self) -> None:
        """Leave no cycle, in which large payloads would wait for the garbage collector."""
        del self._packer
        self._payloads = []

    def _note(self, found: object) -> None:
        """Called in the midst of it for what msgpack does not know; a nil is written, to be replaced."""
        if not isinstance(found, Payload):
            raise TypeError(f"can not serialize {type(found).__name__!r} object")
        self._payloads.append((len(self._packer.getbuffer()), found.data))


_spare: list[_Packing] = []
"""Empty ones: as many as threads have packed at the same time."""


def _interleaved(packed: memoryview, payloads: list[tuple[int, bytes | memoryview]]) -> Pieces:
    """``packed`` with each payload, as msgpack's ``bin 32``, in place of the nil at its offset."""
    parts: list[bytes | memoryview] = []
    begin = 0
    for at, payload in payloads:
        parts += [bytes(packed[begin:at]) + struct.pack(">BI", 0xC6, len(payload)), payload]
        begin = at + 1
    return Pieces((*parts, bytes(packed[begin:])))


def _unpack(what: str, version: int, data: Packed | None) -> dict[str, Any]:
    try:
        values = msgpack.unpackb(bytes(data or b""), unicode_errors="surrogatepass", strict_map_key=False)
    except (msgpack.UnpackException, ValueError, TypeError) as error:  # TypeError: a list as a key
        raise RecordDamaged(f"a stored {what} is damaged") from error
    if not isinstance(values, dict):
        raise RecordDamaged(f"a stored {what} is damaged")
    _check_version(what, version, values.get("v"))
    return values


def _check_version(what: str, known: int, found: object) -> None:
    if found != known:
        raise RecordError(f"a stored {what} has version {found!r:.20}; this release reads version {known}")


# -- fields ----------------------------------------------------------------------------------


def _own_fields(value: Any) -> dict[str, Any]:
    """Not ``asdict``: it copies deeply, and fails on mappings that are not dicts."""
    found = {field.name: getattr(value, field.name) for field in fields(value)}
    return {name: dict(item) if isinstance(item, Mapping) else item for name, item in found.items()}


def _known(what: str, values: Mapping[str, Any], checks: Mapping[str, _Check]) -> dict[str, Any]:
    known = {name: values[name] for name in checks if name in values}
    for name, value in known.items():
        if not checks[name](value):
            raise RecordDamaged(f"a stored {what} is damaged: its {name} has the wrong type")
    return known


def _build(what: str, type_: Callable[..., T], values: Mapping[str, Any]) -> T:
    try:
        return type_(**values)
    except TypeError as error:
        raise RecordDamaged(f"a stored {what} is damaged: a field is missing") from error


def _text(hash_: Mapping[bytes, bytes], name: bytes) -> str:
    try:
        return hash_[name].decode(errors="surrogatepass")
    except (KeyError, UnicodeDecodeError) as error:
        raise RecordDamaged(f"a stored session is damaged: its {name.decode()} cannot be read") from error


def _number(hash_: Mapping[bytes, bytes], name: bytes) -> int:
    try:
        return int(hash_[name])
    except (KeyError, ValueError) as error:
        raise RecordDamaged(f"a stored session is damaged: its {name.decode()} cannot be read") from error


def _state(text: str) -> SessionState:
    try:
        return SessionState(text)
    except ValueError as error:
        raise RecordError("a stored session is in a state unknown to this release") from error


def _is(*types: type) -> _Check:
    return lambda value: isinstance(value, types)


def _map_of(check: _Check) -> _Check:
    return lambda value: (
        isinstance(value, dict) and all(isinstance(name, str) and check(item) for name, item in value.items())
    )


def _list_of_bytes(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, bytes) for item in value)


_SLOW: Mapping[str, _Check] = {
    "at": _is(int, float),
    "app": _is(str),
    "session": _is(str),
    "place": _is(str),
    "seconds": _is(int, float),
    "running": _is(bool),
}


def _is_list_of_slow(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(item, dict) and all(name in item and check(item[name]) for name, check in _SLOW.items())
        for item in value
    )


_REQUEST: Mapping[str, _Check] = {
    "method": _is(str),
    "uri": _is(str),
    "host": _is(str),
    "protocol": _is(str),
    "remote_ip": _is(str),
    "arguments": _map_of(_list_of_bytes),
    "cookies": _map_of(_is(str)),
    "headers": _map_of(_is(str)),
    "user": _is(str, type(None)),
    "login": _is(str),
    "payload": _is(dict),
    "trace": _is(str),
    "app_path": _is(str),
    "route_params": _map_of(_is(str)),
}

_TOKENS: Mapping[str, _Check] = {
    "access_token": _is(str),
    "refresh_token": _is(str),
    "id_token": _is(str),
    "issued": _is(int, float),
    "expiry": _is(int, float, type(None)),
    "refused": _is(bool),
}

_MAINTENANCE: Mapping[str, _Check] = {
    "message": _is(str),
    "since": _is(int, float),
    "retry_after": _is(int),
    "operator": _is(str),
}

_HEARTBEAT: Mapping[str, _Check] = {
    "replica": _is(str),
    "address": _is(str),
    "version": _is(str),
    "started": _is(int, float),
    "sessions": _map_of(_is(int)),
    "asleep": _map_of(_is(int)),
    "errors": _map_of(_is(int)),
    "memory": _is(int),
    "connections": _is(int),
    "lag": _is(int, float),
    "load": _is(int, float),
    "queued": _is(int),
    "draining": _is(bool),
    "maintenance": _map_of(_is(int, float)),
    "versions": _map_of(_is(str)),
    "build": _is(str),
    "building": _map_of(_is(int, float)),
    "slow": _is_list_of_slow,
    "ttl_ms": _is(int),
}
