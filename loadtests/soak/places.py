"""The two places that are soaked: a fleet on Redis behind nginx, and one process on its embedded store."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import redis
from devfleet.fleet import Fleet
from devfleet.processes import Process
from devfleet.replica import Replica

from loadtests.soak.flat import Readings
from loadtests.soak.guests import Tally
from loadtests.watch import read_metrics

__all__ = ("APPS", "FLAGS", "FleetPlace", "Place", "SinglePlace")

ROOT = Path(__file__).parents[2]
APPS = [
    ROOT / "loadtests/apps/ticking.py",
    ROOT / "loadtests/apps/panel_form.py",
    ROOT / "tools/devchaos/apps/workout.py",
    ROOT / "loadtests/apps/noop.py",
]
FLAGS = [
    "--unused-session-lifetime", "2000", "--check-unused-sessions", "1000", "--session-retention", "15",
    "--session-token-expiration", "30",
    "--app-threads", "4",  # so few that all of them are there, each with its descriptor, when counting begins
]  # fmt: skip
"""Short lives, so that what has to go goes while we look."""

FAULT = re.compile(r"\bERROR\b|^Traceback")
LONGEST_TRACEBACK = 60

BUSY = {"panel_form": 1, "ticking": 2, "workout": 3, "noop": 1}
"""How often each app is chosen."""


class Place:
    """Servers that visitors go to. ``watched`` are never killed, so that their growth is seen."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.tally = Tally()

    @property
    def port(self) -> int:
        raise NotImplementedError

    @property
    def watched(self) -> dict[str, Replica]:
        raise NotImplementedError

    def processes(self) -> list[Process]:
        """All that cost CPU here."""
        raise NotImplementedError

    async def start(self) -> None:
        raise NotImplementedError

    async def stop(self) -> None:
        raise NotImplementedError

    async def trouble(self) -> str:
        """Something happens to it; what."""
        return ""

    def choose_app(self) -> str:
        return random.choices(list(BUSY), list(BUSY.values()))[0]

    def read(self) -> dict[str, Readings]:
        """What each watched process holds now; without those that do not answer."""
        found = {f"{self.name}, {name}": _readings(replica) for name, replica in self.watched.items()}
        return {name: readings for name, readings in found.items() if readings}

    def lasting_keys(self) -> set[str]:
        """What is in Redis without a time to live."""
        return set()

    def log_faults(self) -> Iterator[str]:
        """Lines in the logs that should not be there."""
        for process in self.processes():
            for at, line in enumerate(process.lines):
                if FAULT.search(line):
                    raised = _what_was_raised(process.lines[at + 1 :])
                    yield "\n    ".join((f"{process.name}: {line}", *raised))


class SinglePlace(Place):
    """One process without Redis."""

    def __init__(self) -> None:
        super().__init__("embedded")
        self._replica = Replica(APPS, name="embedded", args=FLAGS)

    @property
    def port(self) -> int:
        return self._replica.port

    @property
    def watched(self) -> dict[str, Replica]:
        return {"process": self._replica}

    def processes(self) -> list[Process]:
        return [self._replica]

    async def start(self) -> None:
        self._replica.start(ready=False)
        await asyncio.to_thread(self._replica.wait_started)

    async def stop(self) -> None:
        await asyncio.to_thread(self._replica.stop, 30)


class FleetPlace(Place):
    """Replicas on a real Redis. Theirs is trouble: one after the other is killed, terminated or frozen."""

    def __init__(self, replicas: int) -> None:
        super().__init__("fleet")
        self.fleet = Fleet(APPS, n=replicas, args=[*FLAGS, "--hibernate-after", "10"])
        self._troubles = itertools.cycle([self._kill, self._terminate, self._freeze, self._cut_redis])

    @property
    def port(self) -> int:
        return self.fleet.nginx.port

    @property
    def watched(self) -> dict[str, Replica]:
        return {"replica a": self.fleet.replicas[0]}

    def processes(self) -> list[Process]:
        return [*self.fleet.replicas, self.fleet.nginx]

    async def start(self) -> None:
        self.fleet.start()

    async def stop(self) -> None:
        await asyncio.to_thread(self.fleet.stop)

    def read(self) -> dict[str, Readings]:
        info = self.fleet.redis.info()
        space = info.get("db0", {"keys": 0, "expires": 0})
        return super().read() | {
            f"{self.name}, Redis": {
                "keys": float(space["keys"]),
                "lasting keys": float(space["keys"] - space["expires"]),
                "Redis memory": float(info["used_memory"]),
                "clients": float(info["connected_clients"]),
            }
        }

    def lasting_keys(self) -> set[str]:
        command = self.fleet.redis.command
        return {key.decode() for key in command("KEYS", "*") if command("TTL", key) == -1}

    async def trouble(self) -> str:
        return await next(self._troubles)()

    async def _kill(self) -> str:
        victim = self._victim()
        victim.kill()
        await _started(victim)
        return f"{victim.name} killed"

    async def _terminate(self) -> str:
        victim = self._victim()
        victim.terminate()
        code = await asyncio.to_thread(victim.wait, 60)
        if code:
            self.tally.wrong.append(f"{victim.name} ended with {code} after SIGTERM: {victim.tail(5)}")
        await _started(victim)
        return f"{victim.name} terminated"

    async def _freeze(self) -> str:
        victim = self._victim()
        with victim.paused():
            self.tally.frozen.append(time.monotonic())
            await asyncio.to_thread(self.fleet.balance_over, self.fleet.others(victim))
            await asyncio.sleep(8)
        await asyncio.to_thread(self.fleet.balance_over, self.fleet.replicas)
        return f"{victim.name} frozen for 8 s"

    async def _cut_redis(self) -> str:
        """All replicas' connections to Redis break."""
        with suppress(redis.RedisError):
            await asyncio.to_thread(self.fleet.redis.command, "CLIENT", "KILL", "TYPE", "normal")
        return "connections to Redis cut"

    def _victim(self) -> Replica:
        return random.choice(self.fleet.replicas[1:])


def _what_was_raised(after: Sequence[str]) -> Sequence[str]:
    """The rest of a traceback: all that does not begin with a time."""
    return list(itertools.takewhile(lambda line: not line[:4].isdecimal(), after[:LONGEST_TRACEBACK]))


async def _started(replica: Replica) -> None:
    """Started from here and not from a thread: the kernel then ends it with us, whatever happens."""
    replica.start(ready=False)
    await asyncio.to_thread(replica.wait_started)


def _readings(replica: Replica) -> Readings:
    found = read_metrics(replica)
    if found is None:
        return {}
    return {
        "memory": found["process_resident_memory_bytes"],
        "descriptors": len(os.listdir(f"/proc/{replica.pid}/fd")),
        "threads": len(os.listdir(f"/proc/{replica.pid}/task")),
        "tasks": found["svc_event_loop_tasks"],
        "sessions": found["svc_sessions"] + found["svc_hibernated_sessions"],
    }
