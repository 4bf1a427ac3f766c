"""Real redis-server processes for tests: started on a free port, gone at the end of the test.

Also the two topologies that need several of them, a Cluster and a set of Sentinels. Nothing here
sleeps for a guessed time: whatever is awaited is polled with a deadline.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import redis

from harness.tools import require

__all__ = ("SLOTS", "RedisServer", "eventually", "free_port", "running_cluster", "running_sentinels")

SLOTS = 16384


def free_port(*, below: int = 65536) -> int:
    """One that nobody listens on right now. Whoever binds it has to expect to lose a race."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port < below:
            return port


def eventually(check: Callable[[], Any], *, within: float = 10.0, what: str = "") -> Any:
    """What ``check`` returns once that is true; its redis errors count as false."""
    deadline = time.monotonic() + within
    while True:
        try:
            found, seen = check(), None
        except redis.RedisError as error:
            found, seen = None, error
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within} s: {what or check} ({seen})")
        time.sleep(0.01)


class RedisServer:
    """One redis-server process on 127.0.0.1, with a directory of its own.

    ``options`` are configuration directives, such as ``{"maxmemory": "2mb"}``.
    """

    def __init__(self, options: Mapping[str, str] | None = None, *, sentinel: bool = False) -> None:
        self.program = require("redis-server")
        self.options = dict(options or {})
        self.sentinel = sentinel
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._directory = TemporaryDirectory(prefix="redis-", ignore_cleanup_errors=True)

    def __enter__(self) -> RedisServer:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()
        self._directory.cleanup()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def socket_url(self) -> str:
        return f"unix://{self.directory / 'redis.sock'}"

    @property
    def directory(self) -> Path:
        return Path(self._directory.name)

    @property
    def log(self) -> str:
        return (self.directory / "log").read_text(errors="replace")

    # -- process -----------------------------------------------------------------------------

    def start(self) -> None:
        """Start, or start again on the same port (without data, unless options say otherwise)."""
        for _ in range(5):
            again = self.port
            self.port = again or free_port(below=55536)  # a Cluster node also takes port + 10000
            self._spawn()
            if self._wait_ready():
                return
            self.port = again  # the port was taken in between
        raise AssertionError(f"redis-server does not start:\n{self.log[-2000:]}")

    def stop(self) -> None:
        """End it and wait. Idempotent. Nothing is saved."""
        self.kill()

    def kill(self) -> None:
        """SIGKILL, as when a machine goes away."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def pause(self) -> None:
        """SIGSTOP: connections stay open and new ones are taken, but nothing is answered."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _spawn(self) -> None:
        config = self.directory / "redis.conf"
        config.write_text("".join(f"{name} {value}\n" for name, value in self._config().items()))
        command = [self.program, str(config), *(["--sentinel"] if self.sentinel else [])]
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.directory)

    def _config(self) -> dict[str, str]:
        here = {"port": str(self.port), "bind": "127.0.0.1", "dir": str(self.directory)}
        if self.sentinel:
            return {**here, **self.options}
        quiet = {"save": '""', "appendonly": "no", "unixsocket": str(self.directory / "redis.sock")}
        return {**here, **quiet, **self.options}

    def _wait_ready(self) -> bool:
        process = self._process
        assert process is not None

        def ready() -> bool:
            return process.poll() is not None or self.command("PING") in (b"PONG", True)

        eventually(ready, within=20, what="redis-server answers")
        return process.poll() is None

    # -- talking to it -----------------------------------------------------------------------

    def command(self, *args: Any) -> Any:
        """One command on a connection of its own. A password is taken from the options."""
        password = self.options.get("requirepass")
        with redis.Redis(port=self.port, password=password, socket_timeout=5, protocol=2) as client:
            return client.execute_command(*args)

    def info(self) -> dict[str, Any]:
        info: dict[str, Any] = self.command("INFO")
        return info


# -- topologies ------------------------------------------------------------------------------


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
        eventually(lambda: all(_agrees(node, size) for node in nodes), within=20, what="the Cluster is whole")
        yield nodes


def _agrees(node: RedisServer, size: int) -> bool:
    info = node.command("CLUSTER INFO")
    return info["cluster_state"] == "ok" and info["cluster_known_nodes"] == str(size)


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
        eventually(lambda: all(_sees_all(each, name) for each in sentinels), within=20, what="they agree")
        yield master, replica, sentinels


def _sees_all(sentinel: RedisServer, name: str) -> bool:
    state = sentinel.command("SENTINEL MASTER", name)
    return bool(state["num-other-sentinels"] == 2 and state["num-slaves"] == 1)
