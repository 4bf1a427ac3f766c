"""Real redis-server processes for tests: started on a free port, gone at the end of the test.

Also the two topologies that need several of them, a Cluster and a set of Sentinels. Nothing here
sleeps for a guessed time: whatever is awaited is polled with a deadline.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

from devfleet import redis_server
from devfleet.ports import free_port
from devfleet.redis_server import eventually

from harness.tools import require

__all__ = ("SLOTS", "RedisServer", "eventually", "free_port", "running_cluster", "running_sentinels")

SLOTS = 16384


class RedisServer(redis_server.RedisServer):
    """One redis-server process; without the program the test is skipped (or fails, in CI)."""

    def __init__(self, options: Mapping[str, str] | None = None, *, sentinel: bool = False) -> None:
        require("redis-server")
        super().__init__(options, sentinel=sentinel)


@contextmanager
def running_cluster(size: int = 3) -> Iterator[list[RedisServer]]:
    """A Redis Cluster of masters only, all slots served."""
    with ExitStack() as stack:
        options = {"cluster-enabled": "yes", "cluster-node-timeout": "2000"}
        nodes = [stack.enter_context(RedisServer(options)) for _ in range(size)]
        for i, node in enumerate(nodes):
            node.command("CLUSTER", "SET-CONFIG-EPOCH", i + 1)
            node.command("CLUSTER", "ADDSLOTSRANGE", SLOTS * i // size, SLOTS * (i + 1) // size - 1)
            node.command("CLUSTER", "MEET", "127.0.0.1", nodes[0].port)
        eventually(lambda: all(_agrees(node, size) for node in nodes), within=30, what="the Cluster is whole")
        yield nodes


def _agrees(node: RedisServer, size: int) -> bool:
    info = node.command("CLUSTER INFO")
    return bool(info["cluster_state"] == "ok" and info["cluster_known_nodes"] == str(size))


@contextmanager
def running_sentinels(name: str = "main") -> Iterator[tuple[RedisServer, RedisServer, list[RedisServer]]]:
    """A master, its replica and three Sentinels that agree on them; failover takes about two seconds."""
    with ExitStack() as stack:
        master = stack.enter_context(RedisServer())
        of_master = {"replicaof": f"127.0.0.1 {master.port}", "repl-diskless-sync-delay": "0"}
        replica = stack.enter_context(RedisServer(of_master))
        eventually(lambda: replica.info()["master_link_status"] == "up", what="the replica is in sync")
        watch = {
            f"sentinel monitor {name}": f"127.0.0.1 {master.port} 2",
            f"sentinel down-after-milliseconds {name}": "500",
            f"sentinel failover-timeout {name}": "3000",
        }
        sentinels = [stack.enter_context(RedisServer(watch, sentinel=True)) for _ in range(3)]
        eventually(lambda: all(_sees_all(each, name) for each in sentinels), within=30, what="they agree")
        yield master, replica, sentinels


def _sees_all(sentinel: RedisServer, name: str) -> bool:
    state = sentinel.command("SENTINEL MASTER", name)
    return bool(state["num-other-sentinels"] == 2 and state["num-slaves"] == 1)
