"""Bokeh's own Receiver reads our frames, and we read the frames of Bokeh's messages."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from bokeh.core.serialization import Buffer
from bokeh.core.types import ID
from bokeh.document import Document
from bokeh.models import ColumnDataSource
from bokeh.models.widgets import Slider
from bokeh.protocol import Protocol
from bokeh.protocol.receiver import Receiver
from hypothesis import given
from hypothesis import strategies as st

from service import protocol as ours
from service.protocol import Assembler, Frame, Frames, Message

BOKEH: Any = Protocol()


class Wire:
    """Stands for the connection that Bokeh's messages write themselves to."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []

    async def write_message(self, frame: Frame, binary: bool = False, locked: bool = True) -> None:
        assert isinstance(frame, bytes) == binary
        self.frames.append(frame)


async def frames_of(message: Any) -> list[Frame]:
    """Bokeh's frames, in the order of ``bokeh.protocol.message.Message.send``."""
    wire = Wire()
    for text in (message.header_json, message.metadata_json, message.content_json):
        await wire.write_message(text)
    await message.write_buffers(wire, locked=False)
    return wire.frames


async def read_by_bokeh(frames: Frames) -> Any:
    receiver = Receiver(BOKEH)
    messages = [await receiver.consume(frame) for frame in frames]
    assert messages[:-1] == [None] * (len(frames) - 1)
    return messages[-1]


def read_by_us(frames: list[Frame]) -> Message:
    assembler = Assembler()
    messages = [assembler.feed(frame) for frame in frames]
    assert messages[:-1] == [None] * (len(frames) - 1)
    last = messages[-1]
    assert last is not None
    return last


def document() -> Any:
    doc: Any = Document()
    doc.add_root(Slider(start=0, end=10, value=3))
    doc.add_root(ColumnDataSource({"x": np.arange(5), "y": np.linspace(0, 1, 5)}))
    return doc


def without_msgid(header: Any) -> dict[str, Any]:
    return {key: value for key, value in header.items() if key != "msgid"}


@pytest.mark.parametrize(
    ("frames", "theirs"),
    [
        (ours.ack(), lambda p: p.create("ACK")),
        (ours.ok("7"), lambda p: p.create("OK", "7")),
        (ours.error("7", "no"), lambda p: p.create("ERROR", "7", "no")),
        (ours.pull_doc_req(), lambda p: p.create("PULL-DOC-REQ")),
        (ours.server_info_req(), lambda p: p.create("SERVER-INFO-REQ")),
        (ours.server_info_reply("7", "3.9.2"), lambda p: p.create("SERVER-INFO-REPLY", "7")),
    ],
    ids=["ack", "ok", "error", "pull-doc-req", "server-info-req", "server-info-reply"],
)
async def test_our_message_has_bokehs_shape(frames: Frames, theirs: Any) -> None:
    expected = theirs(BOKEH)

    message = await read_by_bokeh(frames)

    assert type(message) is type(expected)
    assert without_msgid(message.header) == without_msgid(expected.header)
    assert message.metadata == expected.metadata == {}
    assert message.content.keys() == expected.content.keys()


async def test_error_carries_text_and_traceback() -> None:
    message = await read_by_bokeh(ours.error("7", "it broke", "Traceback ..."))

    assert message.content == {"text": "it broke", "traceback": "Traceback ..."}
    assert "it broke" in repr(message)


async def test_server_info_names_the_version() -> None:
    message = await read_by_bokeh(ours.server_info_reply("7", "9.8"))

    assert message.content == {"version_info": {"bokeh": "9.8", "server": "9.8"}}


async def test_bokeh_client_can_fill_its_document_from_our_pull_reply() -> None:
    doc = document()
    theirs = BOKEH.create("PULL-DOC-REPLY", "7", doc)
    frames = ours.pull_doc_reply(
        "7", theirs.content_json, [(str(b.id), b.to_bytes()) for b in theirs.buffers]
    )

    message = await read_by_bokeh(frames)
    copy: Any = Document()
    message.push_to_document(copy)

    assert len(theirs.buffers) > 0
    assert list(copy.roots[1].data["x"]) == [0, 1, 2, 3, 4]


async def test_bokeh_can_apply_our_patch() -> None:
    doc = document()
    content = {"events": [{"kind": "TitleChanged", "title": "new"}]}

    message = await read_by_bokeh(ours.patch_doc(json.dumps(content)))
    message.apply_to_document(doc)

    assert doc.title == "new"


@pytest.mark.parametrize("msgtype", ["ACK", "PULL-DOC-REQ", "SERVER-INFO-REQ"])
async def test_we_read_bokehs_empty_messages(msgtype: Any) -> None:
    theirs = BOKEH.create(msgtype)

    message = read_by_us(await frames_of(theirs))

    assert message == Message(msgtype, theirs.header["msgid"], None, {}, [])


async def test_we_read_bokehs_push_with_buffers() -> None:
    theirs = BOKEH.create("PUSH-DOC", document())

    message = read_by_us(await frames_of(theirs))

    assert message.msgtype == "PUSH-DOC"
    assert message.buffers == [(b.id, b.to_bytes()) for b in theirs.buffers] != []
    assert message.content["doc"]["roots"]


async def test_we_read_bokehs_replies() -> None:
    theirs = BOKEH.create("ERROR", "7", "no")

    message = read_by_us(await frames_of(theirs))

    assert (message.reqid, message.content) == ("7", {"text": "no", "traceback": None})


@given(st.lists(st.binary(max_size=50), max_size=5), st.dictionaries(st.text(max_size=5), st.integers()))
async def test_bokeh_reads_whatever_we_compose(payloads: list[bytes], content: dict[str, int]) -> None:
    buffers = [(f"b{n}", payload) for n, payload in enumerate(payloads)]

    message = await read_by_bokeh(ours.patch_doc(json.dumps(content), buffers))

    assert message.content == content
    assert [(b.id, b.data) for b in message.buffers] == buffers


@given(st.lists(st.binary(max_size=50), max_size=5), st.dictionaries(st.text(max_size=5), st.integers()))
async def test_we_read_whatever_bokeh_sends(payloads: list[bytes], content: dict[str, int]) -> None:
    theirs = BOKEH._messages["PATCH-DOC"]({"msgid": "1", "msgtype": "PATCH-DOC"}, {}, content)
    theirs.add_buffers(*[Buffer(ID(f"b{n}"), payload) for n, payload in enumerate(payloads)])

    message = read_by_us(await frames_of(theirs))

    assert message.content == content
    assert [payload for _, payload in message.buffers] == payloads


def test_message_ids_differ() -> None:
    assert len({ours.new_msgid() for _ in range(1000)}) == 1000


@given(st.text(min_size=1), st.integers(0, 2))
def test_headers_are_written_as_json_writes_them(reqid: str, count: int) -> None:
    header, *_ = ours.compose("OK", "{}", reqid=reqid, buffers=[(str(n), b"") for n in range(count)])
    assert isinstance(header, str)
    assert json.dumps(json.loads(header)) == header
    assert json.loads(header)["reqid"] == reqid
