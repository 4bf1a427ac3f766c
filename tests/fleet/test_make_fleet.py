"""`make fleet`: the whole product on loopback, to look at, and gone without a trace afterwards."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from devfleet.processes import Process
from harness.client import Client
from harness.tools import require

ROOT = Path(__file__).parents[2]
SESSION = r"^[0-9a-f]{8}  /sliders  [0-9a-f]{8} "


@pytest.fixture
def tool() -> Iterator[Process]:
    require("redis-server")
    require("nginx")
    command = [sys.executable, ROOT / "tools" / "fleet.py", "--every", "0.2"]
    with Process("fleet tool", command) as started:
        yield started


async def test_a_fleet_to_look_at(tool: Process) -> None:
    url = (await asyncio.to_thread(tool.wait_line, r"open (http://\S+/sliders)", 60))[1]
    started = descendants(tool.pid)
    # redis-server, three replicas, nginx and its worker
    assert len(started) >= 6, tool.log

    async with await Client.open(url) as client:
        await client.patch("offset", value=1.5)
        await client.expect(lambda c: c.value("wave", "data")["y"][0] == 1.5)
        await asyncio.to_thread(tool.wait_line, SESSION, 20)
        await asyncio.to_thread(tool.wait_line, "3 replicas, 1 session, 1 connection$", 20)
    for name in "abc":
        await asyncio.to_thread(tool.wait_line, rf"^replica {name} \| .* INFO .*Bokeh app running at", 20)
    tool.send_signal(signal.SIGINT)

    assert await asyncio.to_thread(tool.wait, 40) == 0, tool.log
    assert [line for line in tool.lines if "Traceback" in line] == []
    await asyncio.to_thread(wait_gone, started)


def descendants(pid: int) -> set[int]:
    """The processes that ``pid`` started, and those they started, by Linux's process table."""
    children: set[int] = set()
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):  # it ended meanwhile
            children |= set(map(int, task.read_text().split()))
    return children.union(*map(descendants, children))


def wait_gone(pids: set[int], within: float = 30) -> None:
    deadline = time.monotonic() + within
    while left := {pid for pid in pids if runs(pid)}:
        assert time.monotonic() < deadline, f"still there: {left}"
        time.sleep(0.02)


def runs(pid: int) -> bool:
    """Whether the process is there, and is more than an entry that its parent has not read yet."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state != "Z"
