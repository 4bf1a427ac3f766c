"""What tests wait for when a session has moved."""

from __future__ import annotations

import asyncio

from devfleet.replica import Replica
from operations.scrape import scrape, until

from harness.client import Client
from harness.wire import WireClosed

__all__ = ("came_to_life",)


async def came_to_life(client: Client, replica: Replica) -> None:
    """No session sleeps at the replica any more; a page that has to see its own anew has pulled again."""
    await asyncio.to_thread(until, lambda: scrape(replica.url)("svc_hibernated_sessions") == 0, 60)
    try:
        await client.server_info()
    except WireClosed:
        await client.reconnect()
