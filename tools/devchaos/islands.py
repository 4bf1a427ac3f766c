"""A replica that can be cut off from Redis, its peers and its users, while it goes on running.

In a network namespace of its own where that is allowed (root on Linux), as a cut cable would do it; or behind
TCP proxies that pass nothing on, which works everywhere.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import cached_property
from types import TracebackType
from typing import Any, Protocol, Self

from devfleet.ports import LOOPBACK, free_port
from devfleet.redis_server import RedisServer
from devfleet.replica import AppPath, Replica

from devchaos.proxy import FaultProxy

__all__ = ("Island", "NamespaceIsland", "ProxyIsland", "no_namespaces")


class Island(Protocol):
    """`replica` makes the one that can be cut off: it takes what `Replica` takes."""

    def replica(self, apps: Sequence[AppPath], **options: Any) -> Replica: ...

    def cut(self) -> None:
        """From now on nothing comes through. Nobody is told."""

    def heal(self) -> None:
        """It does again."""


def no_namespaces() -> str | None:
    """Why there can be no network namespace here; None when there can."""
    if shutil.which("ip") is None:
        return "ip is not installed: apt-get install iproute2"
    tried = subprocess.run(["unshare", "-n", "true"], capture_output=True, text=True, check=False)
    allowed = tried.returncode == 0 and os.geteuid() == 0
    return None if allowed else "network namespaces are for root only here"


class NamespaceIsland:
    """At the other end of a cable; at this one `gateway` is where Redis and the others have to listen.

    The addresses are those for tests (RFC 2544).
    """

    def __init__(self, redis: RedisServer) -> None:
        self._redis = redis
        number = random.randrange(1 << 15)
        self._name = f"svc-{number:x}"
        self._ends = f"svc{number:x}a", f"svc{number:x}b"
        base = f"198.{18 + (number >> 14)}.{number >> 6 & 255}."
        self.gateway, self._address = (f"{base}{(number & 63) * 4 + host}" for host in (1, 2))

    def __enter__(self) -> Self:
        here, there = self._ends
        self._ip("netns", "add", self._name)
        self._ip("link", "add", here, "type", "veth", "peer", "name", there, "netns", self._name)
        self._ip("addr", "add", f"{self.gateway}/30", "dev", here)
        self._ip("link", "set", here, "up")
        self._inside("addr", "add", f"{self._address}/30", "dev", there)
        self._inside("link", "set", "lo", "up")
        self.heal()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ip("link", "del", self._ends[0])
        self._ip("netns", "del", self._name)

    def replica(self, apps: Sequence[AppPath], **options: Any) -> Replica:
        options["redis_url"] = f"redis://{self.gateway}:{self._redis.port}/0"
        within = ["nsenter", f"--net=/run/netns/{self._name}"]
        return Replica(apps, within=within, **{**options, "address": self._address})

    def cut(self) -> None:
        self._inside("link", "set", self._ends[1], "down")

    def heal(self) -> None:
        self._inside("link", "set", self._ends[1], "up")

    def _inside(self, *words: str) -> None:
        self._ip("-n", self._name, *words)

    def _ip(self, *words: str) -> None:
        subprocess.run(["ip", *words], check=True)


class _Behind(Replica):
    """A replica that others reach through a proxy; `port` is its own."""

    proxy_port = 0

    @property
    def host(self) -> str:
        return f"{LOOPBACK}:{self.proxy_port}"


class ProxyIsland:
    """Behind one proxy, and with another before Redis. Who knows its own port stays in touch."""

    def __init__(self, redis: RedisServer) -> None:
        self._redis = redis
        self._started = AsyncExitStack()

    async def __aenter__(self) -> Self:
        for proxy in self._proxies:
            await self._started.enter_async_context(proxy)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._started.aclose()

    @cached_property
    def _proxies(self) -> tuple[FaultProxy, FaultProxy]:
        """Before the replica, and before Redis, whose port is known once it has started."""
        self._port = free_port()
        return FaultProxy(self._port), FaultProxy(self._redis.port)

    def replica(self, apps: Sequence[AppPath], *, args: Sequence[str] = (), **options: Any) -> Replica:
        front, store = self._proxies
        options["redis_url"] = f"redis://{LOOPBACK}:{store.port}/0"
        args = ["--advertise", f"http://{LOOPBACK}:{front.port}", *args]  # they may end with the app's own
        options["origins"] = [*options.get("origins", ()), f"{LOOPBACK}:{self._port}"]
        made = _Behind(apps, args=args, port=self._port, **options)
        made.proxy_port = front.port
        return made

    def cut(self) -> None:
        for proxy in self._proxies:
            proxy.passing.clear()

    def heal(self) -> None:
        for proxy in self._proxies:
            proxy.passing.set()
