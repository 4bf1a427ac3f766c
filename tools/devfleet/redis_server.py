"""A real redis-server on a free loopback port, with a directory of its own and nothing kept.

What its configuration says is up to the caller; readiness is polled with a deadline, never slept for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import redis

from devfleet.ports import free_port
from devfleet.processes import Process


def eventually(check: Callable[[], Any], *, within: float = 30.0, what: str = "") -> Any:
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
        self.options = dict(options or {})
        self.sentinel = sentinel
        self.port = 0
        self._process: Process | None = None
        self._directory = TemporaryDirectory(prefix="redis-", ignore_cleanup_errors=True)

    def __enter__(self) -> Self:
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
        return "" if self._process is None else self._process.log

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
        if self._process is not None:
            self._process.kill()

    def shutdown(self) -> None:
        """SIGTERM and wait: what its options keep is written."""
        self._running.stop()

    def pause(self) -> None:
        """SIGSTOP: connections stay open and new ones are taken, but nothing is answered."""
        self._running.pause()

    def resume(self) -> None:
        self._running.resume()

    @property
    def _running(self) -> Process:
        assert self._process is not None
        return self._process

    def _spawn(self) -> None:
        config = self.directory / "redis.conf"
        config.write_text("".join(f"{name} {value}\n" for name, value in self._config().items()))
        command = ["redis-server", str(config), *(["--sentinel"] if self.sentinel else [])]
        self._process = Process("redis-server", command, cwd=self.directory).start()

    def _config(self) -> dict[str, str]:
        here = {"port": str(self.port), "bind": "127.0.0.1", "dir": str(self.directory)}
        if self.sentinel:
            return {**here, **self.options}
        quiet = {"save": '""', "appendonly": "no", "unixsocket": str(self.directory / "redis.sock")}
        return {**here, **quiet, **self.options}

    def _wait_ready(self) -> bool:
        process = self._running

        def ready() -> bool:
            return not process.running or self.command("PING") in (b"PONG", True)

        eventually(ready, within=20, what="redis-server answers")
        return process.running

    # -- talking to it -----------------------------------------------------------------------

    def command(self, *args: Any) -> Any:
        """One command on a connection of its own. A password is taken from the options."""
        password = self.options.get("requirepass")
        with redis.Redis(port=self.port, password=password, socket_timeout=20, protocol=2) as client:
            return client.execute_command(*args)

    def info(self) -> dict[str, Any]:
        info: dict[str, Any] = self.command("INFO")
        return info
