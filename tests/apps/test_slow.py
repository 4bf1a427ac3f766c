"""`--slow-callback`: slow code is named by a real server, while it runs."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from devfleet.replica import Replica
from harness.client import Client, ServerError
from operations.scrape import scrape, until

APP = """
import time
from pathlib import Path
from bokeh.document import without_document_lock
from bokeh.io import curdoc
from bokeh.models import Button, Div
from waiting import wait

HERE, doc = Path(__file__).parent, curdoc()
out, press, unlocked = Div(name="out"), Button(name="press"), Button(name="unlocked")
clicked = {name: Button(name=name) for name in ("at_once", "later")}
if "slow" in doc.session_context.request.arguments:
    wait(HERE / "go_on")


def pressed():
    wait(HERE / "go_on")
    out.text = "pressed"


@without_document_lock
async def without_lock():
    wait(HERE / "go_on")
    doc.add_next_tick_callback(lambda: out.update(text="without_lock"))


def at_once():
    raise RuntimeError("at_once fails")


async def later():
    raise RuntimeError("later fails")


press.on_click(pressed)
unlocked.on_click(lambda: doc.add_next_tick_callback(without_lock))
clicked["at_once"].on_click(at_once)
clicked["later"].on_click(lambda: doc.add_next_tick_callback(later))
for root in (out, press, unlocked, *clicked.values()):
    doc.add_root(root)
"""
FAILING = ("at_once", "later")
EVERYBODY = " s, and everybody on this replica waits"
WAITING = """
import time


def wait(file):
    while not file.exists():
        time.sleep(0.01)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "sales"
    folder.mkdir()
    (folder / "main.py").write_text(APP)
    (folder / "waiting.py").write_text(WAITING)
    return folder


@pytest.fixture
def server(folder: Path) -> Iterator[Replica]:
    with Replica([folder], name="slow", args=["--slow-callback", "0.3"]) as running:
        yield running


@pytest.mark.parametrize(
    ("button", "function", "waits"), [("press", "pressed", ""), ("unlocked", "without_lock", EVERYBODY)]
)
async def test_a_callback_is_named_before_it_has_ended(
    server: Replica, folder: Path, button: str, function: str, waits: str
) -> None:
    async with await Client.open(server.app_url()) as client:
        clicked = asyncio.create_task(client.click(button, timeout=60))
        await logged(server, f"{function} ({folder}/main.py, line ")
        log = server.log
        (folder / "go_on").touch()
        await clicked
        await client.expect_value("out", "text", function)

    assert f"{waits}; it is now at\n" in log
    assert f'File "{folder}/waiting.py", line 7, in wait\n    time.sleep(0.01)' in log
    assert re.search(r"time.sleep\(0.01\).* app=/sales session=\w+", log)
    assert scrape(server.url)("svc_slow_callbacks_total", app="/sales") >= 1
    await logged(server, ") has ended after ")


async def test_opening_an_app_is_slow(server: Replica, folder: Path) -> None:
    opening = asyncio.create_task(Client.open(server.app_url(), arguments={"slow": "1"}, timeout=60))
    await logged(server, f"{folder}/main.py has been running for ")
    (folder / "go_on").touch()
    await (await opening).close()


async def test_a_callback_that_fails_is_logged_once_from_the_apps_first_line_on(
    server: Replica, folder: Path
) -> None:
    async with await Client.open(server.app_url()) as client:
        for button in FAILING:
            with suppress(ServerError):
                await client.click(button)
            await logged(server, f"RuntimeError: {button} fails")
        clicked = asyncio.create_task(client.click("unlocked", timeout=60))
        await logged(server, "without_lock (")  # another line of the log, which comes after these
        (folder / "go_on").touch()
        await clicked
        await client.expect_value("out", "text", "without_lock")

    log = server.log
    for button in FAILING:
        assert log.count(f"RuntimeError: {button} fails") == 1
        assert re.search(rf'Traceback .*\n  File "{folder}/main.py", line \d+, in {button}\n', log)


async def logged(server: Replica, text: str) -> None:
    await asyncio.to_thread(until, lambda: text in server.log, 60, text)
