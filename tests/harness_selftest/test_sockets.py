"""What a test leaves open to a server is closed when its event loop has ended, not before."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest
from harness import sockets
from harness.pages import get_page
from harness.wire import Wire


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of somebody who accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


@pytest.mark.parametrize("scheme", ["http", "ws"])
def test_who_gives_up_half_way_leaves_nothing(silent: str, scheme: str) -> None:
    async def give_up() -> None:
        with suppress(TimeoutError):
            asking = get_page(f"http://{silent}") if scheme == "http" else Wire.open(f"ws://{silent}", None)
            await asyncio.wait_for(asking, 0.2)

    before = set(sockets.left_open())
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(give_up())
        (left,) = set(sockets.left_open()) - before
        sockets.close_left_open()
        assert left.fileno() >= 0
    finally:
        loop.close()

    sockets.close_left_open()
    assert left.fileno() == -1
    assert left not in sockets.left_open()
