"""`fleet.every` on five replicas that are killed, frozen and drained, and while Redis is away."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
from devfleet.fleet import Fleet
from devfleet.replica import Replica

PERIOD = 1.0
LEASE = 5.0
"""Seconds after which a run is another replica's: what `service.fleet.tasks` says."""

BUSY = 5.0
"""Seconds that a busy machine may be late."""

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
    due: float
    fence: int
    pid: int
    at: float


class Log:
    def __init__(self, folder: Path) -> None:
        self._hooks = folder / "ticking" / "app_hooks.py"
        self._hooks.parent.mkdir()
        self._hooks.write_text(HOOKS)
        (self._hooks.parent / "main.py").write_text("")
        self.app = self._hooks.parent

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
        """Once there are more than ``count``."""
        async with asyncio.timeout(60):
            while len(self.runs) <= count:  # noqa: ASYNC110 - files tell nobody
                await asyncio.sleep(0.05)
        return self.runs


def runner(fleet: Fleet, began: Began) -> Replica:
    return next(each for each in fleet.replicas if each.running and each.pid == began.pid)


@pytest.mark.timeout(300)
async def test_no_run_is_made_twice_and_none_is_missed(
    start_fleet: Callable[..., Fleet], tmp_path: Path
) -> None:
    log = Log(tmp_path)
    fleet = start_fleet([log.app], n=5)
    for way in ("kill", "kill", "pause", "kill", "terminate", "kill"):
        last = (await log.runs_after(len(log.runs) + 1))[-1]
        victim = runner(fleet, last)
        getattr(victim, way)()
        await log.runs_after(len(log.runs) + 1)
        if way == "pause":
            victim.resume()
        else:
            await asyncio.to_thread(victim.wait)
            await asyncio.to_thread(victim.start)
    runs = await log.runs_after(len(log.runs) + 2)

    check(runs, log.ends)


def check(runs: list[Began], ends: list[int], away: float = 0.0) -> None:
    """``away``: seconds in which no store could be asked."""
    fences = [each.fence for each in runs]
    assert len(set(fences)) == len(fences), "two runs with one fencing number"
    by_fence = sorted(runs, key=lambda each: each.fence)
    assert [each.due for each in by_fence] == sorted(each.due for each in runs), (
        "a later run of an earlier time"
    )
    for before, after in pairwise(by_fence):
        if before.fence in ends:
            assert after.due > before.due, "run again although it had ended"
            assert after.due - before.due <= PERIOD + BUSY + away
        else:
            assert after.at - before.at <= LEASE + PERIOD + BUSY + away, "missed beyond the lease's time"


async def test_redis_away_and_without_its_data(start_fleet: Callable[..., Fleet], tmp_path: Path) -> None:
    log = Log(tmp_path)
    fleet = start_fleet([log.app], n=2)
    await log.runs_after(1)
    fleet.redis.command("FLUSHALL")
    await log.runs_after(len(log.runs) + 2)
    fleet.redis.pause()
    paused = time.time()
    await asyncio.to_thread(fleet.replicas[0].wait_line, "waits for the store")
    fleet.redis.resume()
    away = time.time() - paused
    runs = await log.runs_after(len(log.runs) + 2)

    assert runs[-1].at > paused + away
    check(runs, log.ends, away)


async def test_svc_tasks_lists_them(start_fleet: Callable[..., Fleet], tmp_path: Path) -> None:
    log = Log(tmp_path)
    fleet = start_fleet([log.app], n=1)
    await log.runs_after(0)

    command = [str(Path(sys.executable).with_name("svc")), "tasks", "--redis", fleet.redis.url]
    table = await asyncio.to_thread(subprocess.check_output, command, text=True)
    (task,) = json.loads(await asyncio.to_thread(subprocess.check_output, [*command, "--json"], text=True))

    assert table.splitlines()[0].split()[:5] == ["TASK", "APP", "SCHEDULE", "STATE", "OWNER"]
    assert table.splitlines()[-1] == "1 task"
    assert (task["task"], task["app"], task["schedule"], task["error"]) == ("tick", "/ticking", "1s", None)
    assert task["owner"] == fleet.replicas[0].id
    assert task["fence"] >= log.runs[0].fence
