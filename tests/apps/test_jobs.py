"""Jobs on one server without Redis, and in replicas of a small fleet; app code on threads and on the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from devfleet.fleet import Fleet
from devfleet.replica import Server
from harness.client import Client
from harness.jobs import JobsApp, Tab

RESULT = repr({"name": "x", "done": 10, "data": b"\0\1"})

SYNC = """
import json
from bokeh.io import curdoc
from bokeh.models import Div, TextInput
from service import fleet
from work import waits

said = Div(name="said", text="")
told = Div(name="told", text="[]")
do = TextInput(name="do", value="")

def done(job):
    told.text = json.dumps([*json.loads(told.text), job.result])

def asked(attr, old, new):
    job = fleet.submit(waits, new)
    job.on_done(done)
    said.text = job.id

do.on_change("value", asked)
for root in (said, told, do):
    curdoc().add_root(root)
"""


@pytest.fixture
def app(tmp_path: Path) -> JobsApp:
    return JobsApp(tmp_path)


@pytest.fixture(params=["16", "0"], ids=["threads", "loop"])
def server(
    serving: Callable[..., Server | Fleet], app: JobsApp, request: pytest.FixtureRequest
) -> Iterator[Server | Fleet]:
    started = serving([app.path], args=["--app-threads", request.param])
    yield started
    started.stop()


async def test_jobs_run_in_the_server_itself(server: Server | Fleet, app: JobsApp) -> None:
    tab = await Tab.open(server.app_url())
    await tab.do("start steps x")
    app.allow("x", 3)
    await tab.expect_bar("0.3 x 3")
    app.allow("x")
    await tab.expect_told(("done", RESULT))

    await tab.do("start waits y")
    await tab.expect_told(("done", RESULT), ("done", "['y']"))

    back = await Tab.open(server.app_url())
    again = await back.do("once waits z")
    await back.expect_told(("done", "['z']"))
    assert await tab.do("once waits z") == again
    await tab.expect_told(("done", RESULT), ("done", "['y']"), ("done", "['z']"))
    assert len(app.noted("begin z")) == 1
    await asyncio.gather(tab.client.close(), back.client.close())


async def test_each_submission_is_a_job_of_its_own(server: Server | Fleet, app: JobsApp) -> None:
    tab = await Tab.open(server.app_url())
    await tab.do("many waits y")

    await tab.client.expect(lambda _: len(tab.told) == 120)
    assert len({each[0] for each in tab.told}) == 120
    assert len(app.noted("begin y", 120)) == 120
    await tab.client.close()


async def test_cancelling(server: Server | Fleet, app: JobsApp) -> None:
    tab = await Tab.open(server.app_url())
    running = await tab.do("start steps x")
    await asyncio.to_thread(app.noted, "begin x")
    assert await tab.do(f"cancel {running}") == "True"
    await tab.expect_told(("cancelled", "None"))
    await tab.client.close()


@pytest.mark.parametrize("serving", ["one server"], indirect=True)
async def test_without_a_store_to_come_back_to_nobody_waits_for_jobs(
    serving: Callable[..., Server], app: JobsApp
) -> None:
    server = serving([app.path])
    tab = await Tab.open(server.app_url())
    await tab.do("start steps x")
    await asyncio.to_thread(app.noted, "begin x")
    server.terminate()

    assert await asyncio.to_thread(server.wait) == 0
    assert server.matching("1 jobs did not end: without --redis they are lost")
    assert not server.matching("waiting for 1 jobs")


@pytest.mark.parametrize("serving", ["three replicas"], indirect=True)
async def test_an_input_that_is_repeated_submits_nothing_twice(
    serving: Callable[..., Fleet], app: JobsApp
) -> None:
    (app.path / "main.py").write_text(SYNC)
    fleet = serving([app.path])
    owner, other, _ = fleet.replicas
    client = await Client.open(owner.app_url(), timeout=60)
    await client.patch("do", value="y")
    await client.expect_value("told", "text", '[["y"]]')
    job_id = client.value("said", "text")
    await asyncio.to_thread(owner.terminate)
    await asyncio.to_thread(owner.wait)

    client.url = other.app_url()
    await client.reconnect()
    assert client.value("said", "text") == job_id
    assert client.value("told", "text") == '[["y"]]'
    await client.patch("do", value="z")
    await client.expect_value("told", "text", '[["y"], ["z"]]')

    assert [len(app.noted(f"begin {name}")) for name in "yz"] == [1, 1]
    await client.close()
    fleet.stop()
