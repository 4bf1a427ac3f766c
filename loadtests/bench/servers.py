"""The two sides of a comparison as child processes on one core, and what they cost there."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from devfleet.redis_server import RedisServer
from devfleet.replica import BokehServe, Replica, Server

from loadtests.bench.client import get

__all__ = ("BOKEH", "OURS", "Side", "pin_to_load_core", "running")

OURS = "ours"
BOKEH = "bokeh"

_CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE = {_CORES[0]}
LOAD_CORES = set(_CORES[1:]) or SERVER_CORE


def pin_to_load_core() -> None:
    """Keep this process (and Redis, which it starts) off the servers' core."""
    os.sched_setaffinity(0, LOAD_CORES)


@dataclass(frozen=True, slots=True)
class Side:
    """One running server, or several that share a core."""

    name: str
    servers: list[Server]
    redis: RedisServer | None = None
    """Ours has one."""

    @property
    def port(self) -> int:
        return self.servers[0].port

    @property
    def ports(self) -> list[int]:
        return [server.port for server in self.servers]

    def cpu_seconds(self) -> float:
        """CPU time of all threads of the servers so far."""
        return sum(cpu_seconds(server.pid) for server in self.servers)

    def rss(self) -> int:
        """Resident bytes of the servers."""
        return sum(_status(server.pid, "VmRSS") for server in self.servers)

    def peak_rss(self) -> int:
        """Most resident bytes since :meth:`forget_peak`."""
        return sum(_status(server.pid, "VmHWM") for server in self.servers)

    def forget_peak(self) -> None:
        for server in self.servers:
            Path(f"/proc/{server.pid}/clear_refs").write_text("5")

    async def metrics(self, *names: str) -> list[float]:
        """What our server's counters say now."""
        text = (await get(self.port, "/metrics")).decode()
        lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        return [float(lines[name]) for name in names]


@contextmanager
def running(
    name: str,
    apps: Sequence[Path],
    *,
    args: Sequence[str] = (),
    ours_only: Sequence[str] = (),
    size: int = 1,
    against: Path | None = None,
    kind: type[Replica] = Replica,
    peer: type[Server] = BokehServe,
    spread: bool = False,
) -> Iterator[Side]:
    """``size`` fresh servers of one side, ours with a fresh Redis; gone afterwards.

    ``kind`` is how ours run, and ``peer`` what they are compared with. With ``spread`` each has a core of its
    own, as far as there are.

    ``against`` is another checkout of ours: its server stands on the other side then.
    """
    secret = secrets.token_hex(16)
    env: dict[str, str | None] = {"BOKEH_SECRET_KEY": secret, "SVC_SECRET_KEY": secret}
    env["PYTHONDONTWRITEBYTECODE"] = None  # as where packages were installed, modules are compiled once
    if against is not None and name == BOKEH:
        env["PYTHONPATH"] = str(against.resolve(strict=True))
    runs = kind if name == OURS or against is not None else peer
    with ExitStack() as started:
        redis = started.enter_context(RedisServer()) if issubclass(runs, Replica) else None
        servers: list[Server] = []
        for number in range(size):
            title = f"{name} {number}"
            flags = [*args]
            if issubclass(runs, Replica) and redis is not None:
                flags += ours_only
                server: Server = runs(apps, name=title, args=flags, env=env, redis_url=redis.url)
                started.callback(server.stop)
            else:
                server = runs(apps, name=title, args=flags, env=env)
                started.callback(server.kill)  # it would take minutes over its last sessions
            servers.append(server.start())
            _pin(server.pid, {_CORES[number % len(_CORES)]} if spread else SERVER_CORE)
        yield Side(name, servers, redis)


def _pin(pid: int, cores: set[int]) -> None:
    for thread in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(ProcessLookupError):  # it ended meanwhile
            os.sched_setaffinity(int(thread), cores)


def cpu_seconds(pid: int) -> float:
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            total += int(Path(f"/proc/{pid}/task/{thread}/schedstat").read_text().split()[0])
    return total / 1e9


def _status(pid: int, field: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/{pid}/status has no {field}")
