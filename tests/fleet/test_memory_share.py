"""What takes all the memory of its replica: restoring a session, replaying its inputs, building an app."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from bokeh.models import Div
from devfleet.redis_server import RedisServer
from devfleet.replica import Replica
from harness.apps import CountedApp
from harness.client import Client
from harness.pages import get_page
from harness.tools import require
from harness.wire import WireClosed
from operations.scrape import scrape, until

SVC = str(Path(sys.executable).with_name("svc"))
MIB = 1024 * 1024

# Half of it may be taken: 200 MiB.
LIMITED = ["--memory-limit", str(400 * MIB), "--restore-memory-share", "50"]
HIBERNATING = ["--hibernate-after", "0.5", "--check-unused-sessions", "100"]

GROWS_BY_INPUT = """
from bokeh.io import curdoc
from bokeh.models import Slider, TextInput

kept = []
size = Slider(name="slider", start=0, end=1000, value=0)
text = TextInput(name="text", value="")

def grow(attr, old, new):
    kept.append(bytearray(b"x" * (new << 20)))

def after(attr, old, new):
    print("the next input was replayed, too", flush=True)

size.on_change("value", grow)
text.on_change("value", after)
curdoc().add_root(size)
curdoc().add_root(text)
"""

LOADS_AT_FIRST = """
import builtins
from bokeh.io import curdoc
from bokeh.models import Slider
if not hasattr(builtins, "table_of_all_sessions"):
    builtins.table_of_all_sessions = bytearray(b"x" * (300 << 20))
curdoc().add_root(Slider(name="slider", start=0, end=10, value=1))
"""

TAKES_EVERYTHING = """
from bokeh.io import curdoc
everything = []
while True:
    everything.append(bytearray(100 << 20))
"""

StartReplica = Callable[..., Replica]


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    require("redis-server")
    with RedisServer() as server:
        yield server


@pytest.fixture
def start(redis: RedisServer, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[StartReplica]:
    """Starts a replica with the app under test, and a neighbour's."""
    apps = [CountedApp(tmp_path, "app", body=request.param), CountedApp(tmp_path, "neighbour")]
    with ExitStack() as started:

        def one(args: list[str], within: list[str] | None = None) -> Replica:
            replica = Replica([app.path for app in apps], args=args, redis_url=redis.url, within=within or [])
            started.callback(replica.stop)
            return replica.start()

        yield one


async def moved(client: Client, to: Replica, app: str = "app") -> None:
    await client.wait_closed()
    client.url = to.app_url(app)
    await client.reconnect()


def parked_sessions(redis: RedisServer) -> list[dict[str, object]]:
    command = [SVC, "sessions", "--redis", redis.url, "--parked", "--json"]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    found: list[dict[str, object]] = json.loads(shown.stdout)
    return found


@pytest.mark.parametrize("start", [GROWS_BY_INPUT], indirect=True)
async def test_a_session_whose_restore_outgrows_its_share_is_parked(
    start: StartReplica, redis: RedisServer
) -> None:
    here, there = start([]), start(LIMITED)
    client, small = await Client.open(here.app_url("app")), await Client.open(here.app_url("app"))
    neighbour = await Client.open(here.app_url("neighbour"))
    await neighbour.patch("slider", value=5)
    await client.patch("slider", value=300)
    await client.patch("text", value="after it")
    await small.patch("slider", value=20)
    here.terminate()

    await moved(small, there)
    await moved(neighbour, there, "neighbour")
    await moved(client, there)
    assert client.value("slider", "value") == 300, "it is shown what there was, until that is to come to life"
    await client.wait_closed()
    await client.reconnect()

    shown = client.document.select_one({"type": Div})
    assert shown is not None
    assert "more memory than one session may have" in shown.text
    assert small.value("slider", "value") == 20
    assert neighbour.value("slider", "value") == 5
    there.wait_line("parking the session: to wake it took [23].. MiB, and may take 200 MiB")
    assert len(there.matching("the next input was replayed, too")) == 0
    assert scrape(there.url)("svc_parked_sessions_total", app="/app", reason="memory") == 1
    (parked,) = parked_sessions(redis)
    assert (parked["app"], parked["reason"]) == ("/app", "memory")
    until(lambda: scrape(there.url)("process_resident_memory_bytes") < 300 * MIB)
    await client.reconnect()  # no other answer the next time
    assert scrape(there.url)("svc_restore_seconds_count", app="/app") == 2
    # A page that is loaded anew begins afresh.
    async with await Client.open(there.app_url("app")) as again:
        assert again.value("slider", "value") == 0
    for each in (client, small, neighbour):
        await each.close()


@pytest.mark.parametrize("start", [LOADS_AT_FIRST], indirect=True)
async def test_what_an_app_loads_for_all_its_sessions_is_nobodys(start: StartReplica) -> None:
    here, there = start([]), start(LIMITED)
    client = await Client.open(here.app_url("app"))
    await client.patch("slider", value=5)
    here.terminate()

    await moved(client, there)

    assert client.value("slider", "value") == 5
    await client.close()


@pytest.mark.parametrize("start", [TAKES_EVERYTHING], indirect=True)
async def test_an_app_that_takes_all_memory_while_it_builds_costs_its_own_page(start: StartReplica) -> None:
    """Where the system refuses memory; where it kills the replica, see the tests of fatal sessions."""
    require("prlimit")
    replica = start([], within=["prlimit", f"--as={3072 * MIB}"])
    neighbour = await Client.open(replica.app_url("neighbour"))

    page = await get_page(replica.app_url("app"))

    assert page.status == 500
    replica.wait_line("MemoryError")
    await neighbour.patch("slider", value=7)
    async with await Client.open(replica.app_url("neighbour")) as another:
        assert another.value("slider", "value") == 1
    until(lambda: scrape(replica.url)("process_virtual_memory_bytes") < 2048 * MIB)
    await neighbour.close()


WAKES_HEAVIER = GROWS_BY_INPUT.replace("new << 20", "new << 20 if os.path.exists(flag) else 0")
WAKES_HEAVIER = WAKES_HEAVIER.replace("from bokeh.io", "import os, sys\nflag = sys.argv[1]\nfrom bokeh.io", 1)
"""As data that is loaded for an input may: there is more of it by the time the session wakes up."""


@pytest.mark.parametrize("start", [WAKES_HEAVIER], indirect=True)
async def test_a_sleeping_session_that_outgrows_its_share_as_it_wakes_is_parked(
    start: StartReplica, redis: RedisServer, tmp_path: Path
) -> None:
    flag = tmp_path / "much data"
    here = start([*LIMITED, *HIBERNATING, "--args", str(flag)])
    client, small = await Client.open(here.app_url("app")), await Client.open(here.app_url("app"))
    beside = await Client.open(here.app_url("app"), session_id=client.page.session_id)
    await client.patch("slider", value=300)
    await small.patch("slider", value=20)
    until(lambda: scrape(here.url)("svc_hibernated_sessions") == 2)
    flag.touch()

    at_once = [each.patch("text", value="wake up") for each in (client, beside)]
    answers = await asyncio.gather(*at_once, return_exceptions=True)

    assert all(isinstance(answer, WireClosed) for answer in answers)
    assert await client.wait_closed() == await beside.wait_closed() == 1012
    here.wait_line("parking the session: to wake it took [23].. MiB, and may take 200 MiB")
    for tab in (client, beside):
        await tab.reconnect()
        shown = tab.document.select_one({"type": Div})
        assert shown is not None
        assert "more memory than one session may have" in shown.text
    await small.patch("text", value="wake up")
    assert small.value("slider", "value") == 20
    assert scrape(here.url)("svc_parked_sessions_total", app="/app", reason="memory") == 1
    assert [each["reason"] for each in parked_sessions(redis)] == ["memory"]
    until(lambda: scrape(here.url)("process_resident_memory_bytes") < 300 * MIB)
    for each in (client, beside, small):
        await each.close()
