"""`fleet.shared`: what one session writes all see, on any replica, through kills, outages and lost data."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from devfleet.fleet import Fleet
from harness.client import Client
from harness.wire import WireClosed

APP = """
import json
from bokeh.io import curdoc
from bokeh.models import Div, TextInput
from service import fleet

board = fleet.shared("board")
shown = Div(name="shown", text=json.dumps(dict(board)))
told = Div(name="told", text="[]")
answer = Div(name="answer", text="")
do = TextInput(name="do", value="")

def changed(key, value):
    shown.text = json.dumps(dict(board))
    told.text = json.dumps([*json.loads(told.text), [key, value]])

def add(count):
    for _ in range(count):
        board.update("n", lambda n: n + 1, default=0)
        with open(__file__ + ".acknowledged", "a") as acknowledged:
            acknowledged.write("+")

def asked(attr, old, new):
    number, _, code = new.partition(" ")
    try:
        answer.text = f"{number} {eval(code)!r}"
    except Exception as error:
        answer.text = f"{number} {type(error).__name__}: {error}"

board.on_change(changed)
do.on_change("value", asked)
for root in (shown, told, answer, do):
    curdoc().add_root(root)
"""


class Tab:
    """A client, and how often it has asked its app for something."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._asked = 0

    @classmethod
    async def open(cls, url: str) -> Tab:
        return cls(await Client.open(url, timeout=60))

    async def do(self, code: str) -> str:
        """What the app's answer to ``code`` is, as text."""
        self._asked += 1
        await self.client.patch("do", value=f"{self._asked} {code}")
        await self.client.expect(lambda _: self._answer.startswith(f"{self._asked} "))
        return self._answer.partition(" ")[2]

    async def expect_shown(self, **values: Any) -> None:
        await self.client.expect(lambda _: self.shown.items() >= values.items())

    @property
    def shown(self) -> dict[str, Any]:
        return dict(json.loads(self.client.value("shown", "text")))

    @property
    def told(self) -> list[list[Any]]:
        return list(json.loads(self.client.value("told", "text")))

    @property
    def _answer(self) -> str:
        return str(self.client.value("answer", "text"))


@pytest.fixture
def app(tmp_path: Path) -> Path:
    path = tmp_path / "board.py"
    path.write_text(APP)
    return path


@pytest.fixture
def fleet(start_fleet: Callable[..., Fleet], app: Path) -> Iterator[Fleet]:
    """A fleet for each test: replicas die here, and Redis loses its data."""
    started = start_fleet([app], n=3)
    yield started
    started.stop()


async def on_each_replica(fleet: Fleet) -> list[Tab]:
    return list(await asyncio.gather(*(Tab.open(each.app_url()) for each in fleet.replicas)))


async def closed(tabs: list[Tab]) -> None:
    await asyncio.gather(*(each.client.close() for each in tabs))


async def test_what_one_session_writes_all_see_and_are_told_once(fleet: Fleet) -> None:
    tabs = [*await on_each_replica(fleet), await Tab.open(fleet.app_url())]

    assert await tabs[0].do("board.put('a', 1)") == "None"
    for each in tabs:
        await each.expect_shown(a=1)
    assert await tabs[1].do("board.delete('a')") == "None"
    for each in tabs:
        await each.client.expect(lambda _, tab=each: tab.told[-1:] == [["a", None]])

    assert [each.told for each in tabs] == [[["a", 1], ["a", None]]] * 4
    await closed(tabs)


async def test_writers_on_three_replicas_lose_no_increment(fleet: Fleet) -> None:
    tabs = [tab for _ in range(3) for tab in await on_each_replica(fleet)]

    assert await asyncio.gather(*(each.do("add(30)") for each in tabs)) == ["None"] * 9

    for each in tabs:
        await each.expect_shown(n=270)
    await closed(tabs)


async def test_a_session_that_moved_is_told_what_it_missed_and_writes_nothing_twice(fleet: Fleet) -> None:
    owner, other, _ = fleet.replicas
    moving, staying = await Tab.open(owner.app_url()), await Tab.open(other.app_url())
    assert await moving.do("add(1) or board.put('gone', 1)") == "None"
    for each in (moving, staying):
        await each.expect_shown(n=1, gone=1)
    await moving.client.expect(lambda _: len(moving.told) == 2)
    # Until it is known to be journaled: what is not is told again.
    await asyncio.to_thread(owner.terminate)
    assert await staying.do("board.put('b', 2) or board.delete('gone') or board.put('c', 3)") == "None"
    await asyncio.to_thread(owner.wait)

    moving.client.url = other.app_url()
    await moving.client.reconnect()

    await moving.expect_shown(b=2, c=3, n=1)
    await moving.client.expect(lambda _: len(moving.told) == 5)
    assert sorted(map(str, moving.told)) == [
        "['b', 2]",
        "['c', 3]",
        "['gone', 1]",
        "['gone', None]",
        "['n', 1]",
    ]
    assert await moving.do("(dict(board), add(1), board['n'])") == "({'n': 1, 'b': 2, 'c': 3}, None, 2)"
    await closed([moving, staying])


async def test_acknowledged_increments_outlive_the_replica_that_made_them(fleet: Fleet, app: Path) -> None:
    """What a killed replica had under way may count or not, but no more than that."""
    doomed, *others = await on_each_replica(fleet)
    assert await doomed.do("add(20)") == "None"
    asking = [asyncio.create_task(each.do("add(100)")) for each in others]
    endless = asyncio.create_task(doomed.do("add(100000)"))
    await others[0].client.expect(lambda _: others[0].shown.get("n", 0) > 120)
    fleet.replicas[0].kill()

    await asyncio.gather(*asking)
    at_last = int(await others[0].do("add(10) or board['n']"))
    await others[1].expect_shown(n=at_last)
    with pytest.raises(WireClosed):
        await endless

    acknowledged = len(app.with_name("board.py.acknowledged").read_text())
    assert acknowledged > 230
    assert at_last in (acknowledged, acknowledged + 1)
    await closed(others)


async def test_while_redis_is_away_values_are_read_and_writing_says_so(fleet: Fleet) -> None:
    tab = await Tab.open(fleet.app_url())
    await tab.do("board.put('a', 1)")
    fleet.redis.pause()

    refused = await tab.do("board.put('a', 2)")
    read = await tab.do("dict(board)")
    fleet.redis.resume()

    assert refused.startswith("FleetUnavailable: the store at ")
    assert read == "{'a': 1}"
    assert await tab.do("board.put('a', 3)") == "None"
    await tab.client.close()


async def test_what_redis_lost_replicas_put_back(fleet: Fleet) -> None:
    one, two, three = await on_each_replica(fleet)
    await one.do("add(5) or board.put('a', 1)")
    for each in (two, three):
        await each.expect_shown(n=5, a=1)
    fleet.redis.command("FLUSHALL")

    assert await two.do("add(1)") == "None"
    for each in (one, two, three):
        await each.expect_shown(n=6, a=1)
    new = await Tab.open(fleet.replicas[2].app_url())
    assert new.shown == {"n": 6, "a": 1}
    await closed([one, two, three, new])
