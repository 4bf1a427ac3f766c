"""From a URL to a store. Checks what can be checked without I/O; the rest is for ``ping()`` to find.

The only module that knows redis-py's constructors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from redis.asyncio import (
    BlockingConnectionPool,
    Connection,
    Redis,
    RedisCluster,
    Sentinel,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import (
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)
from redis.backoff import NoBackoff

from store.addresses import remembering
from store.encryption import PLAIN, Encryption
from store.errors import StoreConfigError
from store.keys import Keys
from store.link import Client, Link, Observe
from store.pieces import sending_pieces
from store.redis_store import RedisStore
from store.url import StoreUrl, parse

__all__ = ("open_store",)

T = TypeVar("T")

_HEALTH_CHECK = 30
"""A connection idle for this many seconds is tried with a PING before it is used."""


def open_store(
    url: str | None,
    *,
    prefix: str = "svc",
    patience: float = 2.0,
    connections: int = 50,
    observe: Observe | None = None,
    encryption: Encryption = PLAIN,
    vault: Encryption | None = None,
) -> RedisStore:
    """The store at ``url``, or with None one that lives in this process.

    Does no I/O. ``patience`` is how many seconds an operation may take, repeated attempts
    included; ``connections`` how many are open at most (on a Cluster: per node). ``observe`` is
    told of every attempt, on whichever thread makes it. ``encryption`` is applied to all that users left,
    ``vault`` to tokens of theirs (``encryption``, too, if not given).

    Raises :class:`StoreConfigError` when the URL or an option makes no sense.
    """
    keys = Keys(prefix)
    if patience <= 0 or connections < 1:
        raise StoreConfigError("patience and connections must be greater than zero")
    if url is None:
        from store.embedded import (
            connector,  # late: fakeredis takes long to import, and a fleet has no use for it
        )

        link = Link(connector(), where="embedded", patience=patience, observe=observe)
        return RedisStore(link, keys, encryption, vault)
    parsed = parse(url)
    connect = _connector(parsed, patience, connections)
    link = Link(connect, where=parsed.where, patience=patience, observe=observe)
    return RedisStore(link, keys, encryption, vault)


def _connector(url: StoreUrl, patience: float, connections: int) -> Callable[[], Client]:
    options = {**_common(patience), **_credentials(url), **_tls(url)}
    make = {"redis": _redis, "unix": _unix, "sentinel": _sentinel, "cluster": _cluster}[url.kind]
    return lambda: make(url, patience, connections, options)


def _redis(url: StoreUrl, patience: float, connections: int, options: dict[str, Any]) -> Client:
    (host, port), *_ = url.hosts
    options = {name: value for name, value in options.items() if name != "ssl"}  # the class says it
    return _pooled(
        BlockingConnectionPool(
            connection_class=_over_tcp(SSLConnection if url.tls else Connection),
            max_connections=connections, timeout=patience, host=host, port=port, db=url.db, **options,
        )
    )  # fmt: skip


def _unix(url: StoreUrl, patience: float, connections: int, options: dict[str, Any]) -> Client:
    options = {name: value for name, value in options.items() if name != "socket_keepalive"}
    return _pooled(
        BlockingConnectionPool(
            connection_class=sending_pieces(UnixDomainSocketConnection),
            max_connections=connections, timeout=patience, path=url.path, db=url.db, **options,
        )
    )  # fmt: skip


class _SentinelPool(SentinelConnectionPool, BlockingConnectionPool):
    """Waits for a free connection, as the others do, where redis-py's own would fail."""


def _sentinel(url: StoreUrl, patience: float, connections: int, options: dict[str, Any]) -> Client:
    # One Sentinel that hangs must leave time to ask the others.
    each = patience / (2 * len(url.hosts) + 2)
    names = {"username": "sentinel_username", "password": "sentinel_password"}
    credentials = {name: url.options[option] for name, option in names.items() if option in url.options}
    asking = {**_common(each), **_tls(url), **credentials}
    sentinel = Sentinel(url.hosts, sentinel_kwargs=asking, db=url.db, **options)  # type: ignore[no-untyped-call]
    managed = SentinelManagedSSLConnection if url.tls else SentinelManagedConnection
    redis = sentinel.master_for(
        url.master, connection_pool_class=_SentinelPool, connection_class=_over_tcp(managed),
        max_connections=connections, timeout=patience,
    )  # fmt: skip
    return Client(redis, also=tuple(sentinel.sentinels))


def _cluster(url: StoreUrl, patience: float, connections: int, options: dict[str, Any]) -> Client:
    nodes = [ClusterNode(host, port) for host, port in url.hosts]
    cluster = RedisCluster(startup_nodes=nodes, max_connections=connections, **options)
    connection = _over_tcp(SSLConnection if url.tls else Connection)
    cluster.connection_kwargs["connection_class"] = connection  # for nodes that it learns of
    for node in cluster.nodes_manager.startup_nodes.values():
        node.connection_class = connection
    return Client(cluster, clustered=True)


def _over_tcp(connection: type[T]) -> type[T]:
    return remembering(sending_pieces(connection))


def _pooled(pool: BlockingConnectionPool) -> Client:
    return Client(Redis.from_pool(pool))


def _common(timeout: float) -> dict[str, Any]:
    return {
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "socket_keepalive": True,
        "health_check_interval": _HEALTH_CHECK,
        "retry": Retry(NoBackoff(), 0),
        # Replies then look the same whatever redis-py's default is, and a connection is made with
        # fewer round trips.
        "protocol": 2,
    }


def _credentials(url: StoreUrl) -> dict[str, Any]:
    return {"username": url.username, "password": url.password}


def _tls(url: StoreUrl) -> dict[str, Any]:
    if not url.tls:
        return {}
    options: dict[str, Any] = {name: value for name, value in url.options.items() if name.startswith("ssl_")}
    if "ssl_check_hostname" in options:
        options["ssl_check_hostname"] = options["ssl_check_hostname"].lower() not in ("0", "false", "no")
    return {"ssl": True, **options}
