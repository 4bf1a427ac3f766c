"""A session that ended every replica it came to: its page says so and begins afresh, its neighbours go on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from devfleet.fleet import Fleet
from devfleet.redis_server import eventually
from harness.apps import CountedApp

FATAL = """
import os, threading
from bokeh.io import curdoc
from bokeh.models import Div, Slider

def die():
    # Once the page is back, as by a library that fails in a thread of its own.
    threading.Timer(1.5, os._exit, [139]).start()

def moved(attr, old, new):
    text.text = f"slider {new}"
    if new >= 9:
        die()

slider = Slider(name="slider", start=0, end=10, value=1, title="a slider")
text = Div(name="text", text="start")
slider.on_change("value", moved)
curdoc().add_root(slider)
curdoc().add_root(text)
"""

RESTORED = """
def on_session_restored(session_context):
    document = session_context._document
    if document.get_model_by_name("slider").value >= 9:
        import os, threading
        threading.Timer(1.5, os._exit, [139]).start()
"""

DEATHS = 4


@pytest.fixture
def fatal(counted_app: Callable[..., CountedApp]) -> CountedApp:
    return counted_app("fatal", body=FATAL, files={"app_hooks.py": RESTORED})


async def test_a_parked_page_begins_afresh_and_its_neighbours_go_on(
    start_fleet: Callable[..., Fleet], fatal: CountedApp, open_tab: Callable[..., Any]
) -> None:
    fleet = start_fleet([fatal.path], n=DEATHS + 1, args=["--heartbeat-ttl", "3"])
    neighbour, tab = await open_tab(), await open_tab()
    for each in (neighbour, tab):
        each.expect_lost_connection()
        await each.open(fleet.app_url("fatal"))
    await neighbour.set("slider", "value", 4)
    await neighbour.wait_value("text", "text", "slider 4")

    await tab.set("slider", "value", 9)
    await tab.raw.get_by_text("This session was stopped.").wait_for(timeout=120_000)
    assert sum(not replica.running for replica in fleet.replicas) == DEATHS

    await neighbour.set("slider", "value", 5)
    await neighbour.wait_value("text", "text", "slider 5", timeout=60)
    await tab.raw.get_by_role("button", name="Start afresh").click()
    await tab.wait_value("slider", "value", 1, timeout=60)
    await tab.set("slider", "value", 2)
    await tab.wait_value("text", "text", "slider 2")
    eventually(lambda: sum(each.running for each in fleet.replicas) == 1, what="the last one stays")
