"""What is sent to a real process: requests, handshakes, frames and messages, each damaged by chance.

An input follows from its seed alone (and from the page whose token and models it uses),
so it can be made again.
"""

from __future__ import annotations

import base64
import gzip
import json
import random
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import quote_from_bytes

from loadtests.fuzz.mutations import NASTY_BYTES, NASTY_VALUES, altered, mutated

__all__ = ("Input", "Page", "input_of")


@dataclass(frozen=True)
class Page:
    """A page that was opened: what a browser has."""

    host: str
    app: str
    token: str
    models: Mapping[str, str]
    """Ids by name."""
    document: Mapping[str, Any]


@dataclass(frozen=True)
class Input:
    """Bytes for one connection. With ``upgrade``, that is sent first and has to be answered with 101."""

    kind: str
    chunks: Sequence[bytes]
    upgrade: bytes = b""


def input_of(seed: str, page: Page) -> Input:
    rng = random.Random(seed)
    kind = rng.choices(list(KINDS), [weight for weight, _ in KINDS.values()])[0]
    return KINDS[kind][1](rng, page)


# -- HTTP ----------------------------------------------------------------------------------------

ARGUMENTS = (
    "bokeh-session-id", "bokeh-absolute-url", "bokeh-app-path", "bokeh-autoload-element", "bokeh-token",
    "resources", "v", "next", "arguments",
)  # fmt: skip
HEADERS: Sequence[tuple[bytes, bytes]] = [
    (b"Cookie", b'a=1; b="2"; user="2|1:0|10:1|4:user|0:|x"'), (b"If-None-Match", b'"x", W/"y"'),
    (b"Range", b"bytes=0-9,-1"), (b"Accept-Encoding", b"gzip;q=0.5, br"), (b"Bokeh-Session-Id", b"abc"),
    (b"X-Forwarded-For", b"1.2.3.4, ::1"), (b"X-Forwarded-Proto", b"https"), (b"Referer", b"http://a/b?c"),
    (b"If-Modified-Since", b"Sat, 01 Jan 2000 00:00:00 GMT"), (b"Content-Length", b"5"), (b"Expect",
    b"100-continue"),
    (b"Transfer-Encoding", b"chunked"), (b"traceparent", b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01"),
    (b"Content-Type", b"multipart/form-data; boundary=x"), (b"Content-Encoding", b"gzip"),
    (b"Authorization", b"Bearer x"), (b"Content-Type", b"application/x-www-form-urlencoded"),
]  # fmt: skip


def _request(rng: random.Random, page: Page) -> Input:
    path = rng.choice((
        f"/{page.app}", f"/{page.app}/", f"/{page.app}/autoload.js", f"/{page.app}/metadata",
        f"/{page.app}/ws", "/",
        "/static/js/bokeh.min.js", "/static/extensions/panel/panel.min.js", "/healthz", "/readyz",
        "/startupz",
        "/metrics", "/favicon.ico", "/login", "/logout", f"/{page.app}/static/x.css", "/internal/relay",
        "/static/js/", "/components/a/b/c", f"/{page.app}/.././etc",
    )).encode()  # fmt: skip
    if rng.random() < 0.3:
        path = mutated(path, rng)
    arguments = b"&".join(_argument(rng, page) for _ in range(rng.randrange(4)))
    method = rng.choice((b"GET", b"GET", b"GET", b"HEAD", b"POST", b"OPTIONS", b"PUT", b"get", b"\0"))
    lines = [method + b" " + path + (b"?" + arguments if arguments else b"") + b" HTTP/1.1"]
    lines += [b"Host: " + page.host.encode(), b"Connection: close"]
    for name, value in rng.sample(HEADERS, rng.randrange(4)):
        lines.append(name + b": " + (mutated(value, rng) if rng.random() < 0.5 else value))
    body = rng.choice((b"", b"", b"hello", b"5\r\nhello\r\n0\r\n\r\n", b"--x\r\n\r\n--x--", b"a=%ff&b=\xff"))
    whole = b"\r\n".join(lines) + b"\r\n\r\n" + body
    return Input("HTTP", _in_pieces(mutated(whole, rng) if rng.random() < 0.3 else whole, rng))


def _argument(rng: random.Random, page: Page) -> bytes:
    value = rng.choice((page.token.encode(), b"server", b"/x", b"http://h/x", rng.choice(NASTY_BYTES)))
    if rng.random() < 0.5:
        value = mutated(value, rng)
    written = quote_from_bytes(value).encode() if rng.random() < 0.7 else value.replace(b" ", b"+")
    return rng.choice(ARGUMENTS).encode() + b"=" + written


# -- handshakes ----------------------------------------------------------------------------------

OFFER = b"permessage-deflate; client_max_window_bits; server_max_window_bits=12"


def upgrade(page: Page, token: bytes, extensions: bytes = b"") -> bytes:
    """A browser's handshake."""
    offered = b"Sec-WebSocket-Extensions: " + extensions + b"\r\n" if extensions else b""
    return (
        (
            f"GET /{page.app}/ws HTTP/1.1\r\nHost: {page.host}\r\nOrigin: http://{page.host}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        ).encode()
        + offered
        + b"Sec-WebSocket-Protocol: bokeh, "
        + token
        + b"\r\n\r\n"
    )


def _handshake(rng: random.Random, page: Page) -> Input:
    token = _token(rng, page)
    whole = upgrade(page, token, mutated(OFFER, rng) if rng.random() < 0.5 else b"")
    if rng.random() < 0.4:
        whole = mutated(whole, rng)
    return Input("handshake", _in_pieces(whole + frame(rng, 1, b"{}"), rng))


def _token(rng: random.Random, page: Page) -> bytes:
    """A token that may have been tampered with, or is of Bokeh's own form, or a bomb."""
    header, claims, signature = page.token.split(".")
    fields = json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))
    changed = _base64(json.dumps(altered(fields, rng)).encode()).decode()
    bokehs = altered(
        {"session_id": "s", "session_expiry": 2e9, "__bk__zlib_": rng.choice((_long_payload(), "x"))}, rng
    )
    return mutated(page.token.encode(), rng) if rng.random() < 0.3 else rng.choice((
        page.token, f"{changed}.{claims}.{signature}", f"{header}.{claims}.", f"{header}.{claims}",
        _base64(json.dumps(bokehs).encode()).decode(), f"{header}.{changed}.{signature}",
    )).encode()  # fmt: skip


@cache
def _long_payload() -> str:
    return _base64(zlib.compress(b'{"a":"' + b"x" * 10_000_000 + b'"}')).decode()


def _base64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


# -- frames --------------------------------------------------------------------------------------


def frame(rng: random.Random, first: int, payload: bytes, *, final: bool = True) -> bytes:
    """A client's frame."""
    size, first = len(payload), first | (0x80 if final else 0)
    if size < 126:
        head = bytes((first, 0x80 | size))
    elif size < 1 << 16:
        head = bytes((first, 0xFE)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, 0xFF)) + size.to_bytes(8, "big")
    mask = rng.randbytes(4)
    over = int.from_bytes((mask * (size // 4 + 1))[:size], "big")
    return head + mask + (int.from_bytes(payload, "big") ^ over).to_bytes(size, "big")


def _frames(rng: random.Random, page: Page) -> Input:
    """Frames that are not what RFC 6455 has, around a message that is good."""
    made = [_frame(rng, payload) for payload in _pull()]
    for _ in range(rng.randint(1, 4)):
        made.insert(rng.randint(0, len(made)), _odd_frame(rng))
    whole = b"".join(made)
    if rng.random() < 0.5:
        whole = mutated(whole, rng)
    extensions = OFFER if rng.random() < 0.4 else b""
    return Input("frames", _in_pieces(whole, rng), upgrade(page, page.token.encode(), extensions))


def _frame(rng: random.Random, payload: bytes) -> bytes:
    """One message, in fragments now and then."""
    if rng.random() < 0.7:
        return frame(rng, 1, payload)
    at = rng.randint(0, len(payload))
    return frame(rng, 1, payload[:at], final=False) + frame(rng, 0, payload[at:])


@cache
def _zeros(count: int) -> bytes:
    return zlib.compress(bytes(count))


def _odd_frame(rng: random.Random) -> bytes:
    deflated = _zeros(rng.choice((10, 1000, 50_000_000)))[2:-4]
    first, payload = rng.choice((
        (9, b"ping"), (10, b""), (9, b"x" * 125), (9, b"x" * 126), (8, b""), (8, b"\3"), (8,
        b"\3\xe8\xff"), (8, b"\3\xed"),
        (1, b"\xff\xfe"), (2, b"\0" * 70_000), (3, b""), (0, b"x"), (0x41, deflated), (0x41, b"\xff\xff"),
        (0x11, b"x"),
        (8, rng.randbytes(2) + b"bye"), (0x49, b""), (1, "ä".encode()[:1]),
    ))  # fmt: skip
    made = frame(rng, first, payload, final=rng.random() < 0.8)
    lie = rng.random()
    if lie < 0.1:
        return made[:1] + b"\xff" + rng.randbytes(8) + made[2:]  # any length
    return made[:1] + bytes((made[1] & 0x7F,)) + made[2:] if lie < 0.2 else made


def _pull() -> list[bytes]:
    return [b'{"msgid":"1","msgtype":"PULL-DOC-REQ"}', b"{}", b"{}"]


# -- messages ------------------------------------------------------------------------------------


@dataclass
class _Message:
    msgtype: str
    content: Any
    buffers: list[tuple[str, bytes]] = field(default_factory=list)

    def frames(self, rng: random.Random) -> list[bytes]:
        header = {"msgid": "1", "msgtype": self.msgtype}
        if self.buffers:
            header["num_buffers"] = len(self.buffers)  # type: ignore[assignment]
        parts: list[Any] = [header, {}, self.content]
        if rng.random() < 0.15:
            at = rng.randrange(3)
            parts[at] = altered(parts[at], rng)
        sent = [frame(rng, 1, json.dumps(part).encode()) for part in parts]
        for id_, data in self.buffers:
            sent += [frame(rng, 1, json.dumps({"id": id_}).encode()), frame(rng, 2, data)]
        return sent


def _messages(rng: random.Random, page: Page) -> Input:
    sent = []
    for _ in range(rng.randint(1, 3)):
        sent += _message(rng, page).frames(rng)
    return Input("messages", _in_pieces(b"".join(sent), rng), upgrade(page, page.token.encode()))


def _message(rng: random.Random, page: Page) -> _Message:
    kind = rng.random()
    if kind < 0.1:
        return _Message("PUSH-DOC", altered({"doc": page.document}, rng))
    if kind < 0.15:
        return _Message(
            rng.choice(("SERVER-INFO-REQ", "PULL-DOC-REQ", "ACK", "OK", "NONE")), altered({"a": {}}, rng)
        )
    events = [rng.choice(EVENTS)(rng, page) for _ in range(rng.randint(1, 3))]
    content: Any = {"events": events}
    for _ in range(rng.randrange(3)):
        content = altered(content, rng)
    data = rng.randbytes(80)
    return _Message("PATCH-DOC", content, [("b1", data)] if "b1" in json.dumps(content) else [])


def _model(rng: random.Random, page: Page) -> dict[str, Any]:
    return {"id": rng.choice(list(page.models.values()))}


@cache
def _bomb() -> dict[str, Any]:
    """Little that becomes 100 MB."""
    data = base64.b64encode(gzip.compress(bytes(100_000_000), 1)).decode()
    return _array(10**8, {"type": "bytes", "data": data})


def _array(size: int, data: Any) -> dict[str, Any]:
    return {"type": "ndarray", "array": data, "shape": [size], "dtype": "uint8", "order": "little"}


def _column(rng: random.Random) -> Any:
    if rng.random() < 0.02:
        return _bomb()
    return rng.choice((
        [1, 2, 3], ["a", "b"], [{"type": "number", "value": "nan"}], _array(80, {"type": "bytes",
        "data": {"id": "b1"}}),
        {**_array(10, {"type": "bytes", "data": {"id": "b1"}}), "dtype": "float64"}, rng.choice(NASTY_VALUES),
    ))  # fmt: skip


def _changed(rng: random.Random, page: Page) -> dict[str, Any]:
    attr, value = rng.choice((
        ("value", 5), ("value", [3, 4]), ("value", "text"), ("value", ["b"]), ("data", _data(rng)),
        ("start", 1.5),
        ("children", []), ("indices", [0, 1]), ("options", [["a", "b"]]), ("tags", [_column(rng)]),
        ("name", "other"),
        ("js_property_callbacks", {}), ("css_classes", ["a"]), ("visible", False), ("title", "t"),
    ))  # fmt: skip
    if rng.random() < 0.3:
        value = rng.choice(NASTY_VALUES)
    return {"kind": "ModelChanged", "model": _model(rng, page), "attr": attr, "new": value}


def _data(rng: random.Random) -> Any:
    return {"type": "map", "entries": [["x", _column(rng)], ["y", _column(rng)]]}


def _clicked(rng: random.Random, page: Page) -> dict[str, Any]:
    name = rng.choice(("button_click", "tap", "rangesupdate", "document_ready", "value_submit", "nothing"))
    values = {"type": "map", "entries": [["model", _model(rng, page)], ["x", 1], ["value", "v"]]}
    event = {"type": "event", "name": name, "values": values}
    return {"kind": "MessageSent", "msg_type": "bokeh_event", "msg_data": event}


EVENTS: Sequence[Callable[[random.Random, Page], dict[str, Any]]] = [
    _changed, _changed, _changed, _clicked,
    lambda rng, page: {"kind": "ColumnDataChanged", "model": _model(rng, page), "attr": "data",
    "data": _data(rng),
                       "cols": ["x"]},
    lambda rng, page: {"kind": "ColumnsStreamed", "model": {"id": page.models["source"]}, "attr": "data",
                       "data": {"x": _column(rng), "y": [1], "z": ["a"]}, "rollover": rng.choice((None, 5,
                       -1))},
    lambda rng, page: {"kind": "ColumnsPatched", "model": {"id": page.models["source"]}, "attr": "data",
                       "patches": {"x": [[rng.choice((0, 99, -1)), rng.choice(NASTY_VALUES)]]}},
    lambda rng, page: {"kind": "TitleChanged", "title": rng.choice(NASTY_VALUES)},
    lambda rng, page: {"kind": rng.choice(("RootAdded", "RootRemoved")), "model": _model(rng, page)},
    lambda rng, page: {"kind": "MessageSent", "msg_type": rng.choice(("x", "bokeh_event")), "msg_data": None},
]  # fmt: skip


# -- all -----------------------------------------------------------------------------------------


def _in_pieces(data: bytes, rng: random.Random) -> list[bytes]:
    """As the network may deliver it."""
    if rng.random() < 0.7 or len(data) < 2:
        return [data]
    cuts = sorted(rng.randrange(1, len(data)) for _ in range(rng.randint(1, 3)))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


KINDS: Mapping[str, tuple[float, Callable[[random.Random, Page], Input]]] = {
    "HTTP": (0.25, _request),
    "handshake": (0.15, _handshake),
    "frames": (0.25, _frames),
    "messages": (0.35, _messages),
}
