"""Messages of BokehJS's protocol: the incoming value and the makers of outgoing frames.

The shapes are those of ``bokeh/protocol/messages/*.py`` in bokeh 3.9. Nothing here imports
bokeh, so nothing here knows Documents: callers hand in content that is JSON already.
"""

from __future__ import annotations

import itertools
import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

__all__ = (
    "MSGTYPES",
    "Buffers",
    "Frame",
    "Frames",
    "Message",
    "Piece",
    "ack",
    "compose",
    "error",
    "new_msgid",
    "ok",
    "patch_doc",
    "pull_doc_reply",
    "pull_doc_req",
    "server_info_reply",
    "server_info_req",
)

Frame: TypeAlias = str | bytes
"""One WebSocket message: text is ``str``, binary is ``bytes``."""

Piece: TypeAlias = bytes | memoryview
"""Bytes that do not change."""


class Frames(tuple[Frame | memoryview, ...]):
    """One protocol message as it goes over the wire, in order: header, metadata, content, then a
    header and a payload per buffer. The frames of one message must not be mixed with another's.
    """

    pieces: list[Piece] | None = None
    """How it was encoded for a WebSocket, once that has happened: many may get the same message."""


Buffers: TypeAlias = Iterable[tuple[str, Piece]]
"""Pairs of buffer id (unique in its message) and payload."""

MSGTYPES = frozenset(
    {
        "ACK",
        "ERROR",
        "OK",
        "PATCH-DOC",
        "PULL-DOC-REPLY",
        "PULL-DOC-REQ",
        "PUSH-DOC",
        "SERVER-INFO-REPLY",
        "SERVER-INFO-REQ",
    }
)
"""``bokeh.protocol.SPEC``, both directions."""


@dataclass(slots=True)
class Message:
    """One message as received. ``content`` is the parsed JSON object, metadata is dropped."""

    msgtype: str
    msgid: str
    reqid: str | None
    content: dict[str, Any]
    buffers: list[tuple[str, bytes]] = field(default_factory=list)


# Ids only have to differ between messages in flight on one connection; the random prefix keeps
# them apart when an owner's frames are relayed through another process.
_prefix = secrets.token_hex(4)
_counter = itertools.count(1)


_quoted = json.encoder.encode_basestring_ascii


def new_msgid() -> str:
    """An id no other message of this process has, and very likely none of another process."""
    return f"{_prefix}-{next(_counter)}"


def compose(msgtype: str, content_json: str, *, reqid: str | None = None, buffers: Buffers = ()) -> Frames:
    """The frames of one message.

    ``content_json`` must be a JSON object. The metadata frame is always empty, but must be
    there: BokehJS's receiver counts frames.
    """
    pairs = [frame for ident, payload in buffers for frame in (json.dumps({"id": ident}), payload)]
    # The text that json.dumps would make of it.
    header = f'{{"msgid": "{new_msgid()}", "msgtype": "{msgtype}"'
    if reqid is not None:
        header += f', "reqid": {_quoted(reqid)}'
    if pairs:
        header += f', "num_buffers": {len(pairs) // 2}'
    return Frames((header + "}", "{}", content_json, *pairs))


def ack() -> Frames:
    """First message on a connection: the session is ready."""
    return compose("ACK", "{}")


def ok(reqid: str) -> Frames:
    """Message ``reqid`` was carried out."""
    return compose("OK", "{}", reqid=reqid)


def error(reqid: str, text: str, traceback: str | None = None) -> Frames:
    """Message ``reqid`` failed. Both keys are sent even when ``traceback`` is None, as in Bokeh."""
    return compose("ERROR", json.dumps({"text": text, "traceback": traceback}), reqid=reqid)


def server_info_reply(reqid: str, version: str) -> Frames:
    """Answer to SERVER-INFO-REQ; ``version`` is the version of the bokeh package.

    Bokeh reports one version as both; ``bokeh.client`` compares neither.
    """
    content = {"version_info": {"bokeh": version, "server": version}}
    return compose("SERVER-INFO-REPLY", json.dumps(content), reqid=reqid)


def pull_doc_reply(reqid: str, content_json: str, buffers: Buffers = ()) -> Frames:
    """Answer to PULL-DOC-REQ; ``content_json`` is ``{"doc": <Document JSON>}``."""
    return compose("PULL-DOC-REPLY", content_json, reqid=reqid, buffers=buffers)


def patch_doc(content_json: str, buffers: Buffers = ()) -> Frames:
    """Changes to the Document; ``content_json`` is ``{"events": [...]}`` with one event or more."""
    return compose("PATCH-DOC", content_json, buffers=buffers)


def pull_doc_req() -> Frames:
    """A client's request for the Document."""
    return compose("PULL-DOC-REQ", "{}")


def server_info_req() -> Frames:
    """A client's request for the server's version."""
    return compose("SERVER-INFO-REQ", "{}")
