"""A session, or an app, that ends the process it runs in must not go through the whole fleet with that."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from bokeh.models import Div
from devfleet.fleet import Fleet
from devfleet.redis_server import eventually
from harness.apps import CountedApp
from harness.client import Client
from harness.pages import get_page
from operations.scrape import journaled

SVC = str(Path(sys.executable).with_name("svc"))

FATAL_TIMER = """
import os
from bokeh.io import curdoc
from bokeh.models import Div, Slider

slider = Slider(name="slider", start=0, end=10, value=1)
text = Div(name="text", text="start")

def moved(attr, old, new):
    text.text = f"slider {new}"
    if new >= 3:  # what a segfault or an OOM kill looks like, once the input is journaled
        curdoc().add_timeout_callback(lambda: os._exit(139), 700)

slider.on_change("value", moved)
curdoc().add_root(slider)
curdoc().add_root(text)
"""

FATAL_THREAD = FATAL_TIMER.replace(
    "curdoc().add_timeout_callback(lambda: os._exit(139), 700)",
    "__import__('threading').Timer(0.7, os._exit, [139]).start()",
)

FATAL_ONCE_BUILT = """
import os, threading
from bokeh.io import curdoc
from bokeh.models import Div

if curdoc().session_context.request.arguments.get("fatal"):
    threading.Timer(0.7, os._exit, [139]).start()
curdoc().add_root(Div(name="text", text="start"))
"""

FATAL_TO_BUILD = """
import os
os._exit(139)
"""


@pytest.fixture
def fatal(start_fleet: Callable[..., Fleet], tmp_path: Path, request: pytest.FixtureRequest) -> Fleet:
    """Four replicas that serve one app, and another one, `neighbour`, that never did any harm."""
    app = CountedApp(tmp_path, "fatal", body=request.param)
    neighbour = CountedApp(tmp_path, "neighbour")
    return start_fleet([app.path, neighbour.path], n=4, args=["--heartbeat-ttl", "3"])


async def neighbours(fleet: Fleet) -> list[Client]:
    """A visitor of each replica, busy with another app."""
    clients = [await Client.open(replica.app_url("neighbour")) for replica in fleet.replicas]
    for number, client in enumerate(clients):
        await client.patch("slider", value=number + 2)
    journaled(*fleet.replicas)  # SIGKILL may cost what is not, which is another matter
    return clients


async def all_go_on(clients: list[Client], fleet: Fleet) -> None:
    """Those of dead replicas after they came back, with what they had set."""
    alive = next(replica for replica in fleet.replicas if replica.running)
    for number, client in enumerate(clients):
        if not client.connected:
            client.url = alive.app_url("neighbour")
            await client.reconnect()
        assert client.value("slider", "value") == number + 2
        await client.patch("slider", value=9)
        await client.close()


async def follow(client: Client, fleet: Fleet, *, deaths: int) -> None:
    """The tab comes back as often as its replica dies, each time to the next one."""
    for replica in fleet.replicas[1 : deaths + 1]:
        await client.wait_closed(20)
        client.url = replica.app_url("fatal")
        await client.reconnect()


def survived(fleet: Fleet, *, blamed: int) -> None:
    """Nothing is under observation any more; of `blamed` dead replicas it is known what they worked on."""
    work = fleet.redis.command
    eventually(lambda: len(work("KEYS", "svc:replica:*:work")) == blamed, what="it is not observed any more")


def dead(fleet: Fleet) -> int:
    return sum(not replica.running for replica in fleet.replicas)


@pytest.mark.parametrize(
    ("fatal", "deaths", "blamed"),
    [(FATAL_TIMER, 1, 1), (FATAL_THREAD, 2, 0)],
    ids=["timer", "thread"],
    indirect=["fatal"],
)
async def test_an_input_that_ends_its_replica_is_not_repeated_everywhere(
    fatal: Fleet, deaths: int, blamed: int
) -> None:
    """By a timer it is known whose code ran; by a thread it is not, and innocent until the second death."""
    others = await neighbours(fatal)
    client = await Client.open(fatal.replicas[0].app_url("fatal"))
    await client.patch("slider", value=4)

    await follow(client, fatal, deaths=deaths)

    assert (client.value("slider", "value"), client.value("text", "text")) == (4, "slider 4")
    metrics = (await get_page(f"{fatal.replicas[deaths].url}/metrics")).text
    assert 'svc_composed_pulls_total{result="shown"} 1.0' in metrics  # which runs no code that may be fatal
    survived(fatal, blamed=blamed)
    assert dead(fatal) == deaths
    await client.patch("slider", value=2)
    await client.expect_value("text", "text", "slider 2")
    await all_go_on(others, fatal)
    await client.close()


@pytest.mark.parametrize("fatal", [FATAL_TIMER], indirect=True)
async def test_it_is_not_repeated_after_a_drain_either(fatal: Fleet) -> None:
    client = await Client.open(fatal.replicas[0].app_url("fatal"))
    await client.patch("slider", value=4)
    await follow(client, fatal, deaths=1)
    survived(fatal, blamed=1)

    fatal.replicas[1].terminate()
    assert await client.wait_closed() == 1012
    client.url = fatal.replicas[2].app_url("fatal")
    await client.reconnect()

    assert client.value("slider", "value") == 4
    await client.patch("slider", value=1)
    await client.expect_value("text", "text", "slider 1")
    assert fatal.replicas[2].running
    await client.close()


@pytest.mark.parametrize("fatal", [FATAL_ONCE_BUILT], indirect=True)
async def test_a_session_that_ends_each_replica_is_parked(fatal: Fleet) -> None:
    """Two deaths of nobody knows what, then two in a row while nothing else was at work."""
    others = await neighbours(fatal)
    fatal.add_replica()
    client = await Client.open(fatal.replicas[0].app_url("fatal"), arguments={"fatal": "1"})

    await follow(client, fatal, deaths=4)

    shown = client.document.select_one({"type": Div})
    assert shown is not None
    assert "This session was stopped." in shown.text
    (parked,) = parked_sessions(fatal)
    assert (parked["app"], parked["replicas_lost"]) == ("/fatal", 4)
    await client.reconnect()  # no other answer the next time
    assert dead(fatal) == 4
    await all_go_on(others, fatal)
    metrics = (await get_page(f"{fatal.replicas[4].url}/metrics")).text
    assert 'svc_parked_sessions_total{app="/fatal",reason="deaths"} 1.0' in metrics
    await client.close()


@pytest.mark.parametrize("fatal", [FATAL_TO_BUILD], indirect=True)
async def test_an_app_that_ends_each_replica_while_it_builds_is_not_tried_any_more(fatal: Fleet) -> None:
    """One page view is enough for that: the balancer asks the next replica at once."""
    others = await neighbours(fatal)

    refused = await get_page(fatal.app_url("fatal"))

    assert refused.status == 500
    assert dead(fatal) == 3
    last = next(replica for replica in fatal.replicas if replica.running)
    last.wait_line("3 replicas ended while they started /fatal")
    await all_go_on(others, fatal)


def parked_sessions(fleet: Fleet) -> list[dict[str, object]]:
    command = [SVC, "sessions", "--redis", fleet.redis.url, "--parked", "--json"]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    found: list[dict[str, object]] = json.loads(shown.stdout)
    return found
