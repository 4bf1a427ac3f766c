"""`fleet.every` on five replicas that are killed, frozen and drained, and while Redis is away."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from devchaos.ticking import Began, TickLog, problems_of, task_storm
from devfleet.fleet import Fleet
from devfleet.replica import Replica


def runner(fleet: Fleet, began: Began) -> Replica:
    return next(each for each in fleet.replicas if each.running and each.pid == began.pid)


@pytest.mark.timeout(300)
async def test_no_run_is_made_twice_and_none_is_missed(
    start_fleet: Callable[..., Fleet], tmp_path: Path
) -> None:
    log = TickLog(tmp_path)
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

    assert [*problems_of(runs, log.ends)] == []


@pytest.mark.timeout(300)
async def test_a_storm_of_what_make_chaos_does() -> None:
    count, problems = await task_storm(12, every=3)

    assert problems == []
    assert count > 5


async def test_redis_away_and_without_its_data(start_fleet: Callable[..., Fleet], tmp_path: Path) -> None:
    log = TickLog(tmp_path)
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
    assert [*problems_of(runs, log.ends, away)] == []


async def test_svc_tasks_lists_them(start_fleet: Callable[..., Fleet], tmp_path: Path) -> None:
    log = TickLog(tmp_path)
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
