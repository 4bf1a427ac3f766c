"""`fleet.cache` on three replicas: computed once, also when the replica that computes is killed."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from devfleet.fleet import Fleet
from devfleet.replica import Replica
from harness.client import Client
from harness.wire import WireClosed

SESSIONS = 200

APP = """
import json, os, time
import pandas as pd
from bokeh.io import curdoc
from bokeh.models import Div, TextInput
from service import fleet

answer = Div(name="answer", text="")
do = TextInput(name="do", value="")

@fleet.cache(ttl=600)
def query(number, seconds):
    with open(__file__ + ".runs", "a") as runs:
        runs.write(json.dumps([number, os.getpid()]) + "\\n")
    time.sleep(seconds)
    return pd.DataFrame({"number": [number] * 3})

@fleet.cache(ttl=600)
async def aquery(number, seconds):
    return query.__wrapped__(number, seconds)

def asked(attr, old, new):
    if new.startswith("async"):
        curdoc().add_next_tick_callback(lambda: asked_async(new))
    elif new:
        kind, number, seconds = new.split()
        answer.text = f"{new} {query(int(number), float(seconds)).number.sum()}"

async def asked_async(question):
    kind, number, seconds = question.split()
    answer.text = f"{question} {(await aquery(int(number), float(seconds))).number.sum()}"

do.on_change("value", asked)
for root in (answer, do):
    curdoc().add_root(root)
"""


class Runs:
    def __init__(self, app: Path) -> None:
        self._path = app.with_name(f"{app.name}.runs")

    def of(self, number: int) -> list[int]:
        """The processes that computed it."""
        lines = self._path.read_text().splitlines() if self._path.exists() else []
        return [pid for each, pid in map(json.loads, lines) if each == number]

    async def begun(self, number: int) -> int:
        async with asyncio.timeout(120):
            while not (found := self.of(number)):  # noqa: ASYNC110 - files tell nobody
                await asyncio.sleep(0.02)
        return found[0]


@pytest.fixture
def app(tmp_path: Path) -> Path:
    path = tmp_path / "querying.py"
    path.write_text(APP)
    return path


@pytest.fixture
def fleet(start_fleet: Callable[..., Fleet], app: Path) -> Iterator[Fleet]:
    """A fleet for each test: replicas die here."""
    started = start_fleet([app], n=3)
    yield started
    started.stop()


async def opened(fleet: Fleet, count: int) -> list[Client]:
    clients: list[Client] = []
    for at in range(0, count, 20):
        replicas = [fleet.replicas[number % 3] for number in range(at, min(at + 20, count))]
        clients += await asyncio.gather(*(Client.open(each.app_url(), timeout=120) for each in replicas))
    return clients


async def ask(client: Client, question: str) -> str:
    await client.patch("do", value=question)
    await client.expect(lambda _: client.value("answer", "text").startswith(question))
    return str(client.value("answer", "text")).rpartition(" ")[2]


async def closed(clients: list[Client]) -> None:
    await asyncio.gather(*(each.close() for each in clients))


def replica_of(fleet: Fleet, pid: int) -> Replica:
    return next(each for each in fleet.replicas if each.running and each.pid == pid)


@pytest.mark.timeout(300)
async def test_many_ask_and_it_is_computed_once(fleet: Fleet, app: Path) -> None:
    clients, runs = await opened(fleet, SESSIONS), Runs(app)

    assert set(await asyncio.gather(*(ask(each, "sync 1 2") for each in clients))) == {"3"}
    assert set(await asyncio.gather(*(ask(each, "async 2 0.1") for each in clients))) == {"6"}

    assert (len(runs.of(1)), len(runs.of(2))) == (1, 1)
    await closed(clients)


@pytest.mark.timeout(300)
async def test_the_replica_that_computes_is_killed_and_another_one_does(fleet: Fleet, app: Path) -> None:
    clients, runs = await opened(fleet, SESSIONS), Runs(app)
    asking = [asyncio.create_task(ask(each, "sync 1 2")) for each in clients]
    doomed = replica_of(fleet, await runs.begun(1))
    doomed.kill()
    answers = await asyncio.gather(*asking, return_exceptions=True)

    lost = [client for client, answer in zip(clients, answers, strict=True) if answer != "3"]
    assert {type(answer) for answer in answers if answer != "3"} <= {WireClosed}
    assert 0 < len(lost) <= SESSIONS // 3 + 1
    survivor = next(each for each in fleet.replicas if each is not doomed)
    for client in lost:  # their pages come back elsewhere, and ask again
        client.url = survivor.app_url()
        await client.reconnect()
        assert await ask(client, "sync 1 2.0") == "3"
    assert len(runs.of(1)) == 2
    await closed(clients)


async def test_with_callbacks_on_the_event_loop(start_fleet: Callable[..., Fleet], app: Path) -> None:
    fleet = start_fleet([app], n=2, args=["--app-threads", "0"])
    runs = Runs(app)
    clients = [await Client.open(each.app_url(), timeout=60) for each in (*fleet.replicas, *fleet.replicas)]
    assert await asyncio.gather(*(ask(each, "sync 1 0.2") for each in clients)) == ["3"] * 4
    assert await asyncio.gather(*(ask(each, "async 2 0.2") for each in clients)) == ["6"] * 4

    # Nobody waits on an event loop: while one replica computes it, the callers on the other one do, too.
    processes = runs.of(1)
    assert 1 in (processes.count(pid) for pid in processes)
    assert len(processes) <= 3
    assert len(runs.of(2)) == 1
    assert await asyncio.gather(*(ask(each, "sync 1 0.20") for each in clients)) == ["3"] * 4
    assert runs.of(1) == processes
    await closed(clients)


async def test_redis_away_and_without_its_data(fleet: Fleet, app: Path) -> None:
    runs = Runs(app)
    clients = await opened(fleet, 3)
    for client in clients:
        assert await ask(client, "sync 1 0.1") == "3"
    assert len(runs.of(1)) == 1
    fleet.redis.pause()
    answers = await asyncio.gather(*(ask(each, "sync 2 0.1") for each in clients))
    fleet.redis.resume()
    assert answers == ["6"] * 3
    assert len(runs.of(2)) == 3
    fleet.redis.command("FLUSHALL")
    for number in itertools.count(3):  # each replica notices in its own time that Redis is back
        for client in clients:
            assert await ask(client, f"sync {number} 0.1") == str(3 * number)
        if len(runs.of(number)) == 1:
            break

    await closed(clients)
