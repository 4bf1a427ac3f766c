"""Frames no browser sends close the connection they came on, with a reason, and harm nobody else."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from devfleet.replica import Replica
from harness.client import Client, ServerError

FRONTS = ("tornado", "uvicorn", "hypercorn")

PULL = json.dumps({"msgid": "1", "msgtype": "PULL-DOC-REQ"})
PATCH = json.dumps({"msgid": "1", "msgtype": "PATCH-DOC"})
WITH_BUFFER = json.dumps({"msgid": "1", "msgtype": "PATCH-DOC", "num_buffers": 1})


@asynccontextmanager
async def two_on_one_session(server: Replica) -> AsyncIterator[tuple[Client, Client]]:
    url = server.app_url("sliders")
    async with await Client.open(url) as one, Client(url, one.token) as other:
        await other.pull()
        yield one, other


async def assert_unharmed(*clients: Client) -> None:
    """They still have their session, and it works."""
    for client in clients:
        offset = client.value("offset", "value") + 0.5
        await client.patch("offset", value=offset)
        await client.expect(lambda c, y=offset: c.value("wave", "data")["y"][0] == y)


@pytest.mark.parametrize(
    ("frames", "code", "reason"),
    [
        (["not json"], 1002, "header is not JSON"),
        (["[]"], 1002, "header is not a JSON object"),
        (["{}"], 1002, "msgtype is missing"),
        ([b"\x00\x01"], 1002, "binary frame where a header is due"),
        ([json.dumps({"msgid": "1", "msgtype": "NONSENSE"})], 1002, "unknown msgtype"),
        ([json.dumps({"msgtype": "PULL-DOC-REQ"})], 1002, "msgid is missing"),
        ([json.dumps({"msgid": "1", "msgtype": "ACK"}), "{}", "{}"], 1002, "a client may not send ACK"),
        ([json.dumps({"msgid": "1", "msgtype": "PULL-DOC-REPLY"}), "{}", "{}"], 1002, "may not send"),
        ([PULL, "not json"], 1002, "metadata is not JSON"),
        ([PULL, "{}", b"content"], 1002, "binary frame where a content is due"),
        ([PULL, PULL, "null"], 1002, "content is not a JSON object"),
        ([WITH_BUFFER, "{}", "{}", "text"], 1002, "buffer header is not JSON"),
        ([WITH_BUFFER, "{}", "{}", '{"id": "b"}', "text"], 1002, "text frame where a binary"),
        ([json.dumps({"msgid": "1", "msgtype": "PATCH-DOC", "num_buffers": -1})], 1002, "num_buffers"),
        ([json.dumps({"msgid": "1", "msgtype": "PATCH-DOC", "num_buffers": 10**9})], 1002, "num_buffers"),
        ([json.dumps({"msgid": "1", "msgtype": "PUSH-DOC"}), "{}", "{}"], 1002, "no doc"),
        ([PATCH, "{}", "[" * 100_000], 1002, "content is not JSON"),
    ],
)
async def test_it_is_closed_with_a_reason_and_nobody_else_is_harmed(
    server: Replica, frames: list[str | bytes], code: int, reason: str
) -> None:
    async with two_on_one_session(server) as (bad, good):
        seen = len(server.lines)
        await bad.wire.send_frames(frames)

        assert await bad.wait_closed() == code
        assert reason in (bad.close_reason or "")
        await assert_unharmed(good)
        await bad.reconnect()
        await assert_unharmed(bad, good)

        server.wait_line("closing a WebSocket", after=seen)
        logged = server.lines[seen:]
        assert len([line for line in logged if "closing a WebSocket" in line]) == 1
        assert not any("Traceback" in line for line in logged)


async def test_a_message_over_the_limit_is_closed_with_1009(server: Replica) -> None:
    async with two_on_one_session(server) as (bad, good):
        half = json.dumps({"padding": "x" * (11 << 20)})
        await bad.wire.send_frames([PULL, half, half])
        assert await bad.wait_closed() == 1009
        await assert_unharmed(good)


@pytest.mark.parametrize("arrays", [1, 4])
async def test_arrays_that_unpack_to_more_than_the_limit_are_closed_with_1009(
    server: Replica, arrays: int
) -> None:
    """Gzipped they are a thousandth of it."""
    data = base64.b64encode(gzip.compress(bytes((24 << 20) // arrays))).decode()
    array = {"type": "ndarray", "array": {"type": "bytes", "data": data}, "shape": [(24 << 20) // arrays],
             "dtype": "uint8", "order": "little"}  # fmt: skip
    async with two_on_one_session(server) as (bad, good):
        slider = {"id": bad.document.roots[0].id}
        event = {"kind": "ModelChanged", "model": slider, "attr": "tags", "new": [array] * arrays}
        header = json.dumps({"msgtype": "PATCH-DOC", "msgid": "1"})
        await bad.wire.send_frames([header, "{}", json.dumps({"events": [event]})])
        assert await bad.wait_closed() == 1009
        assert "unpacked" in (bad.close_reason or "")
        await assert_unharmed(good)


@pytest.mark.parametrize(
    "event",
    [
        {"kind": "ModelChanged", "model": {"id": "nobody"}, "attr": "value", "new": 1},
        {"kind": "NoSuchKind"},
        {},
        {"kind": "ColumnsStreamed", "model": {"id": "nobody"}, "attr": "data", "data": {}, "rollover": None},
    ],
)
async def test_a_patch_that_cannot_be_applied_is_an_error_and_no_more(
    server: Replica, event: dict[str, Any]
) -> None:
    """As with Bokeh: the connection stays, because a callback of the app may be what failed."""
    async with two_on_one_session(server) as (bad, good):
        with pytest.raises(ServerError):
            await bad.patch_json(event)
        await assert_unharmed(good, bad)


async def test_a_value_the_model_refuses_is_an_error(server: Replica) -> None:
    async with two_on_one_session(server) as (bad, good):
        slider = {"id": bad.model("freq").id}
        with pytest.raises(ServerError, match="value"):
            await bad.patch_json({"kind": "ModelChanged", "model": slider, "attr": "value", "new": "text"})
        assert good.value("freq", "value") == 1.0
        await assert_unharmed(good, bad)


async def test_a_connection_that_is_cut_in_the_middle_of_a_message_is_forgotten(server: Replica) -> None:
    async with two_on_one_session(server) as (bad, good):
        await bad.wire.send_frames([WITH_BUFFER, "{}", '{"events": []}'])
        bad.wire.drop()
        await bad.wait_closed()
        await assert_unharmed(good)
        await bad.reconnect()
        await assert_unharmed(bad)
