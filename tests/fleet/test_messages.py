"""`fleet.publish` and its kin on three replicas: through a drain, sleep, outages of Redis and lost data."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from devfleet.fleet import Fleet
from devfleet.replica import Replica
from harness.client import Client
from harness.redis_server import running_cluster
from operations.scrape import scrape, until

HOOKS = """
from service import fleet

def announce(document, value):
    document.get_model_by_name("banner").text += f"{value} "

def on_server_loaded(server_context):
    fleet.session_update(announce)
"""

APP = """
import json
from bokeh.io import curdoc
from bokeh.models import Div, TextInput
from service import fleet

told, banner = Div(name="told", text=""), Div(name="banner", text="")
answer, do = Div(name="answer", text=""), TextInput(name="do", value="")
sleep_when_idle = True

def tell(value):
    told.text += f"{value} "

def missed(count):
    told.text += f"missed-{count} "

def asked(attr, old, new):
    number, _, code = new.partition(" ")
    try:
        answer.text = f"{number} {eval(code)!r}"
    except Exception as error:
        answer.text = f"{number} {type(error).__name__}: {error}"

do.on_change("value", asked)
fleet.subscribe("news", tell, on_missed=missed)
for root in (told, banner, answer, do):
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
        await self.client.expect(lambda _: self._text("answer").startswith(f"{self._asked} "))
        return self._text("answer").partition(" ")[2]

    async def publish(self, *values: object) -> None:
        for value in values:
            assert await self.do(f"fleet.publish('news', {value!r})") == "None"

    async def is_told(self, text: str, name: str = "told") -> None:
        await self.client.expect(lambda _: self._text(name).strip() == text)

    def _text(self, name: str) -> str:
        return str(self.client.value(name, "text"))


@pytest.fixture
def app(tmp_path: Path) -> Path:
    folder = tmp_path / "news"
    folder.mkdir()
    (folder / "main.py").write_text(APP)
    (folder / "app_hooks.py").write_text(HOOKS)
    return folder


@pytest.fixture
def fleet(start_fleet: Callable[..., Fleet], app: Path) -> Iterator[Fleet]:
    """A fleet for each test: replicas leave here, and Redis loses its data."""
    secret = {"SVC_SECRET_KEY": secrets.token_hex(16)}
    started = start_fleet([app], n=3, args=["--encrypt-store", "on"], env=secret)
    yield started
    started.stop()


async def on_each_replica(fleet: Fleet) -> list[Tab]:
    return list(await asyncio.gather(*(Tab.open(each.app_url()) for each in fleet.replicas)))


async def closed(*tabs: Tab) -> None:
    await asyncio.gather(*(each.client.close() for each in tabs))


async def test_a_session_that_was_drained_goes_on_where_it_was(fleet: Fleet) -> None:
    moving, staying, third = await on_each_replica(fleet)
    await staying.publish(1, 2)
    await moving.is_told("1 2")
    await asyncio.to_thread(fleet.replicas[0].terminate)
    await staying.publish(3)
    await asyncio.to_thread(fleet.replicas[0].wait)
    await staying.publish(4)

    moving.client.url = fleet.replicas[1].app_url()
    await moving.client.reconnect()
    await moving.publish(5)

    for each in (moving, staying, third):
        await each.is_told("1 2 3 4 5")
    metrics = scrape(fleet.replicas[1].url)
    assert metrics("svc_messages_published_total", app="/news") == 5
    assert metrics("svc_messages_delivered_total", app="/news") >= 7
    await closed(moving, staying, third)


async def test_one_connection_per_replica_waits_while_anybody_listens_and_none_before(fleet: Fleet) -> None:
    def listening() -> int:
        return int(fleet.redis.command("PUBSUB", "NUMSUB", "svc:messages")[1])

    tabs = await on_each_replica(fleet)
    await asyncio.to_thread(until, lambda: listening() == 3)
    for each in tabs:
        await each.do("[fleet.unsubscribe('news', tell)]")
    # What remains are the subscriptions of update functions, which end with the sessions.
    assert listening() == 3
    for replica in fleet.replicas:
        await asyncio.to_thread(replica.terminate)
    await asyncio.to_thread(until, lambda: listening() == 0)
    await closed(*tabs)


async def test_while_redis_is_away_publishing_says_so_and_later_it_works(fleet: Fleet) -> None:
    tabs = await on_each_replica(fleet)
    await tabs[0].publish(1)
    fleet.redis.pause()

    refused = await tabs[0].do("fleet.publish('news', 'perhaps')")
    fleet.redis.resume()
    await tabs[1].publish(2)

    assert refused.startswith("FleetUnavailable: the store at ")
    for each in tabs:
        await each.client.expect(lambda _, tab=each: tab._text("told").split()[-1:] == ["2"])
        # Whether the other one was published is not known, but it was for all or for none.
        assert each._text("told") == tabs[0]._text("told")
    assert tabs[0]._text("told").split() in (["1", "2"], ["1", "perhaps", "2"])
    await closed(*tabs)


async def test_after_redis_has_lost_its_data_all_goes_on(fleet: Fleet) -> None:
    one, two, three = await on_each_replica(fleet)
    await one.publish(1, 2)
    for each in (one, two, three):
        await each.is_told("1 2")
    fleet.redis.command("FLUSHALL")

    await two.publish(3)

    for each in (one, two, three):
        await each.is_told("1 2 3")
    await closed(one, two, three)


async def test_all_sessions_are_listed_and_updated(fleet: Fleet) -> None:
    tabs = await on_each_replica(fleet)
    count = "len({(each.id, each.replica, each.app) for each in fleet.sessions()})"
    async with asyncio.timeout(30):
        while await tabs[0].do(count) != "3":  # noqa: ASYNC110 - heartbeats tell nobody
            await asyncio.sleep(0.1)

    assert await tabs[1].do("fleet.update_sessions('announce', 'hello')") == "None"
    for each in tabs:
        await each.is_told("hello", "banner")
    assert "no function 'other'" in await tabs[1].do("fleet.update_sessions('other')")
    assert await tabs[1].do("fleet.sessions('/nothing')") == "[]"
    shown = json.dumps(await tabs[1].do("fleet.sessions()"))
    assert tabs[0].client.page is not None
    assert tabs[0].client.page.session_id not in shown
    await closed(*tabs)


async def test_a_session_that_sleeps_is_told_when_it_wakes(
    start_fleet: Callable[..., Fleet], app: Path
) -> None:
    fleet = start_fleet([app], n=2, args=["--hibernate-after", "0.3", "--check-unused-sessions", "100"])
    sleeping, other = [await Tab.open(each.app_url()) for each in fleet.replicas]
    await asyncio.to_thread(until, lambda: asleep(fleet.replicas[0]) == 1)
    await other.publish(1, 2, 3)

    assert await sleeping.do("1 + 1") == "2"

    await sleeping.is_told("1 2 3")
    await closed(sleeping, other)
    fleet.stop()


def asleep(replica: Replica) -> float:
    return scrape(replica.url)("svc_hibernated_sessions")


async def test_on_a_cluster_as_on_one_redis(replica: Callable[..., Replica], app: Path) -> None:
    with running_cluster() as nodes:
        url = "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in nodes)
        both = [replica([app], redis_url=url) for _ in range(2)]
        tabs = [await Tab.open(each.app_url()) for each in both]

        await tabs[0].publish(1, 2)
        await tabs[1].publish(3)
        assert await tabs[1].do("fleet.update_sessions('announce', 'hello')") == "None"

        for each in tabs:
            await each.is_told("1 2 3")
            await each.is_told("hello", "banner")
        listening = [int(node.command("PUBSUB", "NUMSUB", "svc:messages")[1]) for node in nodes]
        assert sum(listening) == 2
        await closed(*tabs)
        for stopping in both:
            stopping.stop()
