"""Offers of compression: what the server cannot take it declines, and the socket opens without."""

from __future__ import annotations

import http.client
import os
from base64 import b64encode
from collections.abc import Iterator

import pytest
from devfleet.replica import Replica
from harness.pages import get_page


@pytest.fixture(scope="module")
def packing(examples: object) -> Iterator[Replica]:
    """A server that compresses."""
    options = ["--websocket-compression-level", "3"]
    with Replica([f"{examples}/sliders.py"], name="packing", args=options) as running:
        yield running


async def agreed(server: Replica, offer: str) -> tuple[int, str | None]:
    """Status and answer to an offer of extensions."""
    token = (await get_page(server.app_url())).token
    connection = http.client.HTTPConnection(server.host, timeout=40)
    headers = {
        "Host": server.host,
        "Origin": f"http://{server.host}",
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Key": b64encode(os.urandom(16)).decode(),
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Protocol": f"bokeh, {token}",
        "Sec-WebSocket-Extensions": offer,
    }
    connection.request("GET", f"/{server.app_url().rpartition('/')[2]}/ws", headers=headers)
    answer = connection.getresponse()
    try:
        return answer.status, answer.headers.get("Sec-WebSocket-Extensions")
    finally:
        answer.close()
        connection.close()


@pytest.mark.parametrize(
    ("offer", "taken"),
    [
        ("permessage-deflate", "permessage-deflate"),
        ("permessage-deflate; client_max_window_bits", "permessage-deflate"),
        ("permessage-deflate; server_max_window_bits=10", "permessage-deflate; server_max_window_bits=10"),
        ("permessage-deflate; nonsense, permessage-deflate", "permessage-deflate"),
        (
            "permessage-deflate; server_no_context_takeover",
            "permessage-deflate; server_no_context_takeover",
        ),
        ("permessage-deflate; nonsense", None),
        ("permessage-deflate; server_max_window_bits=8", None),
        ("permessage-deflate; server_max_window_bits=99", None),
        ("permessage-deflate; server_max_window_bits=a", None),
        ("permessage-deflate; server_no_context_takeover=1", None),
        ("x-webkit-deflate-frame", None),
        (";;=,", None),
    ],
)
async def test_offers(packing: Replica, offer: str, taken: str | None) -> None:
    assert await agreed(packing, offer) == (101, taken)


def test_a_proxy_that_leaves_out_the_upgrade_is_told_so(packing: Replica) -> None:
    connection = http.client.HTTPConnection(packing.host, timeout=40)
    connection.request("GET", f"/{packing.app_url().rpartition('/')[2]}/ws")
    answer = connection.getresponse()
    connection.close()

    assert answer.status == 400
    packing.wait_line("does a proxy leave out the headers Upgrade and Connection?")
