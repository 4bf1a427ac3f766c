"""However a client's bytes are cut into reads, each message is answered once, and in order."""

from __future__ import annotations

import asyncio
import json
import struct
from contextlib import suppress

import pytest
from devfleet.replica import Replica

from loadtests.bench.client import Tab, masked

FRONTS = ("tornado", "uvicorn", "hypercorn")

CLOSE = 8
SERVER_INFO, PATCH = "SERVER-INFO-REQ", "PATCH-DOC"


def message(number: int, msgtype: str, content: object) -> bytes:
    header = json.dumps({"msgid": f"own {number}", "msgtype": msgtype})
    return b"".join(masked(frame.encode(), 1) for frame in (header, "{}", json.dumps(content)))


def requests(tab: Tab) -> list[bytes]:
    """Patches, which are answered at once, and between them what is not."""
    slider = {"id": tab.id_of("offset")}
    event = {"kind": "ModelChanged", "model": slider, "attr": "value"}
    patches = [(PATCH, {"events": [{**event, "new": new / 10}]}) for new in range(1, 7)]
    kinds = [*patches[:3], (SERVER_INFO, {}), *patches[3:], (SERVER_INFO, {}), (PATCH, {"events": []})]
    return [message(number, *kind) for number, kind in enumerate(kinds)]


@pytest.mark.parametrize("size", [1, 7, 100, 1 << 20])
async def test_messages_are_answered_in_order(server: Replica, size: int) -> None:
    tab = await Tab.open(server.port, "sliders")
    await tab.pull_parsed()
    asked = requests(tab)
    data = b"".join(asked)
    for at in range(0, len(data), size):
        tab.write(data[at : at + size])
        await asyncio.sleep(0)
    answered = [json.loads((await tab.reply())[0])["reqid"] for _ in asked]
    assert answered == [f"own {number}" for number in range(len(asked))]
    await tab.pull_parsed()
    assert json.dumps(tab.document).count('"value": 0.6') + json.dumps(tab.document).count('"value":0.6') == 1
    tab.close()


async def closed(tab: Tab) -> None:
    """As browsers wait: else the kernel resets the connection when an answer comes."""
    with suppress(ConnectionError):
        while await tab.message():
            pass


async def test_what_came_just_before_the_socket_closed_counts(server: Replica) -> None:
    tab = await Tab.open(server.port, "sliders")
    await tab.pull_parsed()
    other = await Tab.join(server.port, "sliders", tab.session_id)
    tab.write(b"".join(requests(tab)) + masked(struct.pack("!H", 1000), CLOSE))
    await closed(tab)
    tab.close()
    while b"0.6" not in (await other.message())[2]:
        pass
    other.close()
