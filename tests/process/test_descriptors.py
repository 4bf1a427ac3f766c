"""Out of file descriptors: new connections wait, open ones go on, and the log stays short."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from devfleet.redis_server import eventually
from devfleet.replica import Replica
from harness.client import Client
from harness.pages import get_page
from harness.tools import require

LIMIT = 150


@pytest.fixture
def narrow(examples: object) -> Iterator[Replica]:
    """A server that may have few files open, and half as many at first."""
    require("prlimit")
    within = ["prlimit", f"--nofile={LIMIT // 2}:{LIMIT}"]
    with Replica([f"{examples}/sliders.py"], name="narrow", within=within) as running:
        yield running


def test_what_needs_a_file_while_there_are_none_is_put_off_in_a_line(
    narrow: Replica, request: pytest.FixtureRequest
) -> None:
    """On a connection that was open before; what is in memory is served."""
    connection = http.client.HTTPConnection(narrow.address, narrow.port, timeout=30)
    request.addfinalizer(connection.close)

    def status(path: str) -> int:
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        return answer.status

    assert status("/healthz") == 200
    assert status("/sliders") == 200  # what the app imports is in memory
    with ExitStack() as crowd:
        for _ in range(2 * LIMIT):
            crowd.enter_context(socket.create_connection((narrow.address, narrow.port)))
        narrow.wait_line(f"no file descriptors are left .the limit is {LIMIT}")
        assert status("/favicon.ico") == 200
        assert status("/static/js/bokeh.min.js") == 503
        assert status("/static/js/bokeh-widgets.min.js?v=other") == 503
        assert status("/sliders") in (200, 503)
        assert status("/metrics") == 200
    assert not narrow.matching("Traceback")
    eventually(lambda: narrow.status("/static/js/bokeh.min.js") == 200, what="there is room again")


async def test_accepting_pauses(narrow: Replica) -> None:
    client = await Client.open(narrow.app_url())
    with ExitStack() as crowd:
        for _ in range(2 * LIMIT):
            crowd.enter_context(socket.create_connection((narrow.address, narrow.port)))
        narrow.wait_line(f"no file descriptors are left .the limit is {LIMIT}")
        await client.patch("freq", value=3)
        assert client.connected
    eventually(lambda: narrow.status("/healthz") == 200, what="there is room again")

    metrics = (await get_page(f"{narrow.url}/metrics")).text
    assert "svc_accept_pauses_total 0.0" not in metrics
    assert len(narrow.matching("no file descriptors are left")) == 1
    assert not narrow.matching("Traceback")
    await client.close()
