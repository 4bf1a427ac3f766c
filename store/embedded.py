"""The store without a Redis: fakeredis in this process, running the very same scripts.

For one process only, and gone with it. Each :func:`connector` is a world of its own; what is to
share its data is made from the same one (see :meth:`store.redis_store.RedisStore.twin`).
"""

from __future__ import annotations

from collections.abc import Callable

from fakeredis import FakeAsyncRedis, FakeServer

from store.link import Client
from store.pieces import packing_pieces

__all__ = ("connector",)

_VERSION = (7,)


def connector() -> Callable[[], Client]:
    """Makes clients that share one new, empty data set; safe to use from several threads."""
    server = FakeServer(version=_VERSION)
    return lambda: _client(server)


def _client(server: FakeServer) -> Client:
    redis = FakeAsyncRedis(server=server, version=_VERSION)
    redis.connection_pool.connection_class = packing_pieces(redis.connection_pool.connection_class)
    return Client(redis, embedded=True)
