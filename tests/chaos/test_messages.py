"""Thirty sessions on three replicas listen while some publish and replicas die or drain, one by one.

What counts: all sessions see the same messages in one order, none twice, and all whose `publish` returned.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from devfleet.fleet import Fleet
from devfleet.replica import Replica
from harness.client import Client
from harness.wire import WireClosed

LISTENERS = 27
MESSAGES = 150
"""Of each publisher, and there is one on each replica."""

APP = """
from bokeh.io import curdoc
from bokeh.models import Div, TextInput
from service import fleet, session_state

told, said, do = Div(name="told", text=""), Div(name="said", text=""), TextInput(name="do", value="")
state = session_state(curdoc())

def tell(value):
    told.text += f"{value} "
    state["count"] = state.get("count", 0) + 1

def say(attr, old, new):
    if new:
        fleet.publish("news", new)
        said.text = new

def missed(count):
    told.text += f"missed-{count} "

do.on_change("value", say)
fleet.subscribe("news", tell, on_missed=missed)
for root in (told, said, do):
    curdoc().add_root(root)
"""

LAST = "last"
LOST = (WireClosed, ConnectionError, AssertionError, EOFError, OSError)


class Visitor:
    """A client that goes to another replica with its session when it loses its own."""

    def __init__(self, client: Client, fleet: Fleet, at: int) -> None:
        self.client = client
        self._fleet = fleet
        self._at = at
        self.acknowledged: list[str] = []

    @classmethod
    async def open(cls, fleet: Fleet, at: int) -> Visitor:
        return cls(await Client.open(fleet.replicas[at].app_url(), timeout=60), fleet, at)

    @property
    def told(self) -> list[str]:
        return str(self.client.value("told", "text")).split()

    async def publish(self, name: str) -> None:
        for number in range(MESSAGES):
            message = f"{name}-{number}"
            try:
                await self.client.patch("do", value=message)
                await self.client.expect_value("said", "text", message)
                self.acknowledged.append(message)
            except LOST:
                await self.find_its_session()

    async def listen(self) -> None:
        """Until the last message has come."""
        while not self._has_all():
            try:
                await self.client.expect(lambda _: self._has_all())
            except WireClosed:
                await self.find_its_session()

    def _has_all(self) -> bool:
        return self.told[-1:] == [LAST]

    async def find_its_session(self) -> None:
        async with asyncio.timeout(120):
            while True:
                self._at = (self._at + 1) % len(self._fleet.replicas)
                self.client.url = self._fleet.replicas[self._at].app_url()
                try:
                    await self.client.reconnect()
                    return
                except LOST:
                    await asyncio.sleep(0.1)


@pytest.fixture
def fleet(start_fleet: Callable[..., Fleet], tmp_path: Path) -> Iterator[Fleet]:
    path = tmp_path / "news.py"
    path.write_text(APP)
    started = start_fleet([path], n=3)
    yield started
    started.stop()


@pytest.mark.redis
@pytest.mark.timeout(600)
async def test_each_message_is_seen_once_by_all(fleet: Fleet) -> None:
    listeners = [await Visitor.open(fleet, at % 3) for at in range(LISTENERS)]
    publishers = [await Visitor.open(fleet, at) for at in range(3)]
    publishing = [asyncio.create_task(each.publish(f"p{at}")) for at, each in enumerate(publishers)]
    listening = [asyncio.create_task(each.listen()) for each in listeners]

    leaving = [(Replica.kill, 0), (Replica.terminate, 1), (Replica.kill, 2)]
    for number, (leave, at) in enumerate(leaving, 1):
        await reached(publishers, number * MESSAGES // 2)
        await asyncio.to_thread(leave, fleet.replicas[at])
        await asyncio.to_thread(fleet.replicas[at].wait)
        await asyncio.to_thread(fleet.replicas[at].start)
    await asyncio.gather(*publishing)
    await publishers[0].client.patch("do", value=LAST)
    await asyncio.gather(*listening)

    first = listeners[0].told
    acknowledged = [message for each in publishers for message in each.acknowledged]
    assert not [message for message, count in Counter(first).items() if count > 1]
    assert set(first) >= set(acknowledged)
    for each in publishers:
        own = [message for message in first if message in set(each.acknowledged)]
        assert own == each.acknowledged
    assert [each.told == first for each in listeners] == [True] * LISTENERS
    await asyncio.gather(*(each.client.close() for each in (*listeners, *publishers)))


async def reached(publishers: list[Visitor], count: int) -> None:
    """Together they have published so many."""
    async with asyncio.timeout(300):
        while sum(len(each.acknowledged) for each in publishers) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
