"""An app with a task that ticks, replicas that die meanwhile, and what must be true of its runs."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

from devfleet.fleet import Fleet
from devfleet.replica import Replica

__all__ = ("Began", "TickLog", "problems_of", "task_storm")

PERIOD = 1.0
LEASE = 5.0
"""Seconds after which a run is another replica's: what `service.fleet.tasks` says."""

BUSY = 5.0
"""Seconds that a busy machine may be late."""

FROZEN = 7.0
"""Seconds for which a replica stops: longer than its lease."""

HOOKS = """
import json, os, time
from service import fleet

def tick(run):
    with open(__file__ + ".runs", "a") as runs:
        runs.write(json.dumps([run.due.timestamp(), run.fence, os.getpid(), time.time()]) + "\\n")
    time.sleep(0.3)
    if run.lost:
        return
    with open(__file__ + ".ends", "a") as ends:
        ends.write(json.dumps(run.fence) + "\\n")

def on_server_loaded(server_context):
    fleet.every("1s", tick)
"""


@dataclass(frozen=True)
class Began:
    """One run, as it has noted itself."""

    due: float
    fence: int
    pid: int
    at: float


class TickLog:
    """An app in `folder`, and what its task has noted."""

    def __init__(self, folder: Path) -> None:
        self.app = folder / "ticking"
        self.app.mkdir()
        self._hooks = self.app / "app_hooks.py"
        self._hooks.write_text(HOOKS)
        (self.app / "main.py").write_text("")

    @property
    def runs(self) -> list[Began]:
        return [Began(*json.loads(line)) for line in self._lines("runs")]

    @property
    def ends(self) -> list[int]:
        return [json.loads(line) for line in self._lines("ends")]

    def _lines(self, kind: str) -> list[str]:
        path = self._hooks.with_name(f"app_hooks.py.{kind}")
        return path.read_text().splitlines() if path.exists() else []

    async def runs_after(self, count: int) -> list[Began]:
        """Once there are more than `count`."""
        async with asyncio.timeout(60):
            while len(self.runs) <= count:  # noqa: ASYNC110 - files tell nobody
                await asyncio.sleep(0.05)
        return self.runs


def problems_of(runs: Sequence[Began], ends: Sequence[int], away: float = 0.0) -> Iterator[str]:
    """What must not be. `away`: seconds in which no store could be asked."""
    fences = [each.fence for each in runs]
    for fence in {fence for fence in fences if fences.count(fence) > 1}:
        yield f"two runs with the fencing number {fence}"
    in_order = sorted(runs, key=lambda each: each.fence)
    for before, after in pairwise(in_order):
        if after.due < before.due:
            yield f"run {after.fence}, after {before.fence}, is of an earlier time"
        elif before.fence in ends and after.due == before.due:
            yield f"run {after.fence} is {before.fence} again, which had ended"
        elif before.fence in ends and after.due - before.due > PERIOD + BUSY + away:
            yield f"between {before.fence} and {after.fence}, {after.due - before.due:.0f} s were missed"
        elif before.fence not in ends and after.at - before.at > LEASE + PERIOD + BUSY + away:
            yield f"{before.fence} was not made up for within {after.at - before.at:.0f} s"


async def task_storm(seconds: float, *, every: float = 5.0, replicas: int = 5) -> tuple[int, list[str]]:
    """Kill, freeze and end replicas for so long; how many runs there were, and what was wrong with them."""
    with TemporaryDirectory(prefix="ticking-") as home:
        log = TickLog(Path(home))
        fleet = Fleet([log.app], n=replicas)
        try:
            await asyncio.to_thread(fleet.start)
            await log.runs_after(1)
            until = time.monotonic() + seconds
            while (began := time.monotonic()) < until:
                await _strike(fleet, log)
                await asyncio.sleep(max(0.0, began + every - time.monotonic()))
            runs = await log.runs_after(len(log.runs) + 2)
        finally:
            await asyncio.to_thread(fleet.stop)
        return len(runs), [*problems_of(runs, log.ends)]


async def _strike(fleet: Fleet, log: TickLog) -> None:
    """Mostly who runs it right now."""
    last = log.runs[-1].pid
    running = [each for each in fleet.replicas if each.running and each.pid == last]
    victim: Replica = random.choice([*running, *running, random.choice(fleet.replicas)])
    way = random.choice(["kill", "kill", "pause", "terminate"])
    getattr(victim, way)()
    if way == "pause":
        await asyncio.sleep(FROZEN)
        victim.resume()
    else:
        await asyncio.to_thread(victim.wait)
        await asyncio.to_thread(victim.start)
