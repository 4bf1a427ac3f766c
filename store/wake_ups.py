"""Hearing at once that something was published: classic Pub/Sub, on one connection.

Redis drops what it cannot deliver, and nobody learns of that. So what is heard wakes somebody up who then
looks for himself, and who looks now and then anyway. On a Cluster every node hears what was published on
any (sharded Pub/Sub would take a connection per node).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import ConnectionPool, Redis

from store.errors import StoreUnavailable
from store.faults import FAILURES, translate
from store.link import Client

__all__ = ("hear",)

PING_SECONDS = 5.0
"""Of silence after which the connection is tried; after as many again it is gone."""


async def hear(client: Client, channel: str, where: str, heard: Callable[[str | None], None]) -> None:
    """See :meth:`store.contract.Store.hear_messages`."""
    try:
        async with _subscription(client) as subscription:
            await subscription.subscribe(channel)
            await _listen(subscription, where, heard)
    except FAILURES as failure:
        raise translate(failure, where) from failure


async def _listen(subscription: Any, where: str, heard: Callable[[str | None], None]) -> None:
    silent = False
    while True:
        message = await subscription.get_message(timeout=PING_SECONDS)
        if message is None:
            if silent:
                raise StoreUnavailable(f"the store at {where} does not answer")
            silent = True
            await subscription.ping()
            continue
        silent = False
        if message["type"] == "subscribe":
            heard(None)
        elif message["type"] == "message":
            heard(message["data"].decode())


@asynccontextmanager
async def _subscription(client: Client) -> AsyncIterator[Any]:
    redis = client.redis
    if client.clustered:  # redis-py (8.1) has Pub/Sub on asyncio's Cluster client, 5.2 has not
        if not redis.nodes_manager.nodes_cache:
            await redis.initialize()
        node = redis.get_random_node()
        redis = Redis.from_pool(
            ConnectionPool(connection_class=node.connection_class, **node.connection_kwargs)
        )
    subscription = redis.pubsub()
    try:
        yield subscription
    finally:
        await subscription.aclose()
        if client.clustered:
            await redis.aclose()
