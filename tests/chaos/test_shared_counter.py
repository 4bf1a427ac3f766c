"""Two replicas with fifty sessions each add to a shared counter while one replica after the other is killed.

What counts: an increment whose `update` has returned is never lost, and none is made twice. Of a replica
that is killed each of its threads may have had one under way, which may count or not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from devfleet.fleet import Fleet
from devfleet.replica import Replica
from harness.client import Client
from harness.wire import WireClosed

SESSIONS = 50
"""For each of two replicas."""
TIMES = 10
EACH = 10
KILLS = 2
THREADS = 16
"""By default: as many increments can be under way when a replica is killed."""

APP = """
import os
from bokeh.io import curdoc
from bokeh.models import Div, TextInput
from service import fleet

counter = fleet.shared("counter")
do, done = TextInput(name="do", value=""), Div(name="done", text="")

def asked(attr, old, new):
    count = int(new.split()[1])
    for _ in range(count):
        counter.update("n", lambda n: n + 1, default=0)
        with open(f"{__file__}.{os.getpid()}.made", "a") as made:
            made.write("+")
    done.text = f"{new} {counter['n']}"

do.on_change("value", asked)
for root in (do, done):
    curdoc().add_root(root)
"""


class Adder:
    """A visitor who adds, and goes to the other replica when his is killed."""

    def __init__(self, number: int, replicas: list[Replica]) -> None:
        self._number = number
        self._replicas = replicas
        self.left = TIMES

    async def run(self) -> None:
        at = self._number % 2
        while self.left:
            try:
                async with await Client.open(self._replicas[at].app_url(), timeout=120) as client:
                    await self._add(client)
            except (WireClosed, ConnectionError, AssertionError, EOFError):
                at = 1 - at
                await asyncio.sleep(0.1)

    async def _add(self, client: Client) -> None:
        while self.left:
            asked = f"{self.left} {EACH}"
            await client.patch("do", value=asked)
            await client.expect(partial(has_done, asked))
            self.left -= 1


@pytest.mark.redis
@pytest.mark.timeout(600)
async def test_the_sum_is_right(start_fleet: Callable[..., Fleet], tmp_path: Path) -> None:
    path = tmp_path / "adding.py"
    path.write_text(APP)
    fleet = start_fleet([path], n=2)
    adders = [Adder(number, fleet.replicas) for number in range(2 * SESSIONS)]
    adding = asyncio.gather(*(each.run() for each in adders))

    for kill in range(KILLS):
        await more_than(tmp_path, (kill + 1) * 2 * SESSIONS * TIMES * EACH // (KILLS + 2))
        fleet.replicas[kill % 2].kill()
        await asyncio.to_thread(fleet.replicas[kill % 2].restart)
    await adding

    async with await Client.open(fleet.app_url()) as client:
        await client.patch("do", value="last 1")
        await client.expect(partial(has_done, "last 1"))
        counted = int(client.value("done", "text").split()[-1])
    acknowledged = made(tmp_path)
    assert acknowledged >= 2 * SESSIONS * TIMES * EACH
    assert acknowledged <= counted <= acknowledged + KILLS * THREADS


def has_done(asked: str, client: Client) -> bool:
    return str(client.value("done", "text")).startswith(f"{asked} ")


def made(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.made"))


async def more_than(folder: Path, count: int) -> None:
    async with asyncio.timeout(500):
        while made(folder) <= count:  # noqa: ASYNC110 - files tell nobody
            await asyncio.sleep(0.1)
