"""App code runs on threads: what one session does keeps nobody else waiting, and nothing gets out of order.

Order is what is asserted, not time: something is answered while the slow code still waits for a file that
the test writes afterwards.
"""

from __future__ import annotations

import asyncio
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from devfleet.redis_server import eventually
from devfleet.replica import Replica
from harness.client import Client, ServerError
from harness.pages import get_page

WAITING = """
import os, threading, time
from pathlib import Path

folder = Path(__file__).parent
gone = Path(__file__).parent / "gone"

def wait_for(name):
    (folder / f"{name}.waits").touch()
    while not (folder / name).exists():
        time.sleep(0.005)
"""
APP = (
    WAITING
    + """
from bokeh.document import without_document_lock
from bokeh.io import curdoc
from bokeh.layouts import column
from bokeh.models import Button, Div, Slider, TextInput

document = curdoc()
said = Div(name="said", text="")
slider = Slider(start=0, end=100, value=0, name="slider")
plain = TextInput(name="plain", value="")
wish = TextInput(name="wish", value="")

def say(text):
    said.text += f"{text};"

def slid(attr, old, new):
    say(f"slider {new}")

def wished(attr, old, new):
    what, _, name = new.partition(" ")
    globals()[what](name)
    say(f"done {new}")

def wait(name):
    wait_for(name)

def compute(name):
    (folder / f"{name}.waits").touch()
    while not (folder / name).exists():
        sum(range(1000))

def forever(name):
    (folder / f"{name}.waits").touch()
    while True:
        time.sleep(0.01)

def thread_names(name):
    say("main" if threading.current_thread() is threading.main_thread() else "thread")

def unlocked(name):
    @without_document_lock
    def wait_without_lock():
        wait_for(name)
        document.add_next_tick_callback(lambda: say("unlocked is done"))
    document.add_next_tick_callback(wait_without_lock)

def from_thread(name):
    def work():
        wait_for(name)
        try:
            plain.value = "from nowhere"
        except RuntimeError as error:
            text = "refused" if "add_next_tick_callback" in str(error) else str(error)
        else:
            text = "not refused"
        document.add_next_tick_callback(lambda: say(f"thread was {text}"))
    threading.Thread(target=work, daemon=True).start()

at_once = []
most = []

def periodic(name):
    def tick():
        at_once.append(1)
        most.append(len(at_once))
        wait_for(name)
        at_once.pop()
        document.remove_periodic_callback(made)
        say(f"ticked {max(most)}")
    made = document.add_periodic_callback(tick, 1)

def held(name):
    document.hold("combine")
    for n in range(5):
        slider.title = f"title {n}"
    wait_for(name)
    document.unhold()

def coroutine(name):
    async def later():
        say("main" if threading.current_thread() is threading.main_thread() else "thread")
    document.add_next_tick_callback(later)

slider.on_change("value", slid)
wish.on_change("value", wished)
document.add_root(column(said, slider, plain, wish))
"""
)
BUILD = (
    WAITING
    + """
from bokeh.io import curdoc
from bokeh.models import Div

wait_for("build")
curdoc().add_root(Div(name="said", text="built"))
"""
)
ON_LOOP = "run_on_loop = True\n" + APP
ON_LOOP_TYPED = "run_on_loop: bool = True\n" + APP


class Files:
    """What the apps wait for, and how it is known that they do."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def let(self, name: str) -> None:
        (self._folder / name).touch()

    def ready(self, name: str) -> bool:
        return (self._folder / f"{name}.waits").exists()

    async def begun(self, name: str) -> None:
        await asyncio.to_thread(eventually, lambda: self.ready(name), within=30)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("apps")
    apps = {"app": APP, "build": BUILD, "on_loop": ON_LOOP, "typed": ON_LOOP_TYPED}
    for name, source in apps.items():
        (folder / f"{name}.py").write_text(textwrap.dedent(source))
    return folder


@pytest.fixture
def files(folder: Path) -> Files:
    return Files(folder)


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Replica]:
    apps = [folder / f"{name}.py" for name in ("app", "build", "on_loop", "typed")]
    with Replica(apps, name="threads", args=["--drain-timeout", "2"]) as running:
        yield running


async def wish(client: Client, what: str) -> asyncio.Task[None]:
    """Ask for it; the task ends when it is acknowledged."""
    return asyncio.create_task(client.patch("wish", value=what))


@pytest.mark.parametrize("what", ["wait", "compute"])
async def test_a_neighbour_is_answered_while_a_callback_goes_on(
    server: Replica, files: Files, what: str
) -> None:
    async with await Client.open(server.app_url()) as slow, await Client.open(server.app_url()) as quick:
        going = await wish(slow, f"{what} {what}ing")
        await files.begun(f"{what}ing")

        await quick.patch("slider", value=7)
        await quick.expect_value("said", "text", "slider 7;")
        assert (await get_page(server.app_url())).status == 200
        assert await asyncio.to_thread(server.status, "/healthz") == 200
        async with await Client.open(server.app_url()) as new:
            await new.patch("slider", value=1)
        assert not going.done()
        assert slow.value("said", "text") == ""

        files.let(f"{what}ing")
        await going
        await slow.expect_value("said", "text", f"done {what} {what}ing;")


async def test_neighbours_are_answered_while_an_app_is_built(server: Replica, files: Files) -> None:
    async with await Client.open(server.app_url()) as quick:
        building = asyncio.create_task(Client.open(server.app_url("build"), timeout=30))
        await files.begun("build")
        await quick.patch("slider", value=7)
        await quick.expect_value("said", "text", "slider 7;")
        assert await asyncio.to_thread(server.status, "/metrics") == 200
        assert not building.done()
        files.let("build")
        async with await building as built:
            assert built.value("said", "text") == "built"


async def test_patches_take_effect_in_the_order_in_which_they_came(server: Replica, files: Files) -> None:
    async with await Client.open(server.app_url()) as client:
        going = await wish(client, "wait order")
        await files.begun("order")
        # Also those that nobody in Python listens to.
        later = [asyncio.create_task(client.patch("slider", value=n)) for n in range(1, 20)]
        later.append(asyncio.create_task(client.patch("plain", value="now")))
        files.let("order")
        await asyncio.gather(going, *later)
        expected = "".join(["done wait order;", *(f"slider {n};" for n in range(1, 20))])
        await client.expect_value("said", "text", expected)


async def test_what_a_callback_changed_is_sent_before_it_is_acknowledged(server: Replica) -> None:
    async with await Client.open(server.app_url()) as client:
        for n in range(1, 10):
            await client.patch("slider", value=n)
            assert client.value("said", "text").endswith(f"slider {n};")


async def test_without_the_lock_the_page_stays_usable(server: Replica, files: Files) -> None:
    async with await Client.open(server.app_url()) as client:
        await client.patch("wish", value="unlocked free")
        await files.begun("free")
        await client.patch("slider", value=3)
        files.let("free")
        text = "done unlocked free;slider 3;unlocked is done;"
        await client.expect_value("said", "text", text)


async def test_a_thread_of_the_app_hands_in_what_it_found_and_can_do_nothing_else(
    server: Replica, files: Files
) -> None:
    async with await Client.open(server.app_url()) as client:
        await client.patch("wish", value="from_thread of_its_own")
        files.let("of_its_own")
        await client.expect_value("said", "text", "done from_thread of_its_own;thread was refused;")


async def test_a_thread_can_do_nothing_else_while_a_callback_has_the_document(
    server: Replica, files: Files
) -> None:
    async with await Client.open(server.app_url()) as client:
        await client.patch("wish", value="from_thread beside")
        going = await wish(client, "wait holding")
        await files.begun("holding")
        files.let("beside")
        await asyncio.sleep(0)
        files.let("holding")
        await going
        text = "done from_thread beside;done wait holding;thread was refused;"
        await client.expect_value("said", "text", text)


async def test_periodic_callbacks_do_not_pile_up(server: Replica, files: Files) -> None:
    async with await Client.open(server.app_url()) as client:
        await client.patch("wish", value="periodic tick")
        await files.begun("tick")
        files.let("tick")
        await client.expect_value("said", "text", "done periodic tick;ticked 1;")


async def test_held_changes_come_together(server: Replica, files: Files) -> None:
    async with await Client.open(server.app_url()) as client:
        going = await wish(client, "held together")
        await files.begun("together")
        files.let("together")
        await going
        titles = [event for each in client.messages("PATCH-DOC") for event in each.content["events"]]
        assert [event["new"] for event in titles if event.get("attr") == "title"] == ["title 4"]


@pytest.mark.parametrize(("app", "where"), [("app", "thread"), ("on_loop", "main"), ("typed", "main")])
async def test_where_code_runs(server: Replica, app: str, where: str) -> None:
    async with await Client.open(server.app_url(app)) as client:
        await client.patch("wish", value="thread_names")
        await client.expect_value("said", "text", f"{where};done thread_names;")
        await client.patch("wish", value="coroutine")
        await client.expect_value("said", "text", f"{where};done thread_names;done coroutine;main;")


ERRORS = """
import asyncio, sys, time
from bokeh.io import curdoc
from bokeh.layouts import column
from bokeh.models import Div, TextInput

if b"exits" in curdoc().session_context.request.arguments.get("how", []):
    sys.exit("nothing to show")

document = curdoc()
said = Div(name="said", text="")
wish = TextInput(name="wish", value="")

def fail(name, seconds):
    time.sleep(float(seconds))
    raise {"exit": SystemExit(3), "cancel": asyncio.CancelledError(), "close": GeneratorExit()}[name]

def wished(attr, old, new):
    if new.startswith("later"):
        document.add_next_tick_callback(await_cancelled)
    elif new != "nothing":
        fail(*new.split())
    said.text += f"{new};"

async def await_cancelled():
    task = asyncio.create_task(asyncio.sleep(60))
    task.cancel()
    await task

wish.on_change("value", wished)
document.add_root(column(said, wish))
"""


@pytest.mark.parametrize("threads", ["0", "4"])
async def test_whatever_app_code_raises_fails_it_alone(tmp_path: Path, threads: str) -> None:
    path = tmp_path / "errors.py"
    path.write_text(ERRORS)
    with Replica([path], name="errors", args=["--app-threads", threads]) as server:
        assert (await get_page(server.app_url(), arguments={"how": "exits"})).status == 500
        async with await Client.open(server.app_url()) as client:
            for name in ("exit", "cancel", "close"):
                for seconds in (0, 0.05):
                    with pytest.raises(ServerError, match="app code raised"):
                        await client.patch("wish", value=f"{name} {seconds}")
            await client.patch("wish", value="later")
            await asyncio.to_thread(server.wait_line, "app code raised CancelledError")
            await client.patch("wish", value="nothing")
            await client.expect_value("said", "text", "later;nothing;")
            assert server.running


LOADED = """
import sys

def on_server_loaded(server_context):
    sys.exit("there is no database")
"""


@pytest.mark.parametrize("threads", ["0", "4"])
def test_a_server_does_not_start_whose_app_exits_as_it_is_loaded(tmp_path: Path, threads: str) -> None:
    folder = tmp_path / "hooked"
    folder.mkdir()
    (folder / "main.py").write_text("")
    (folder / "app_hooks.py").write_text(LOADED)
    server = Replica([folder], name="hooked", args=["--app-threads", threads]).start(ready=False)
    try:
        server.wait_line("svc: error: /hooked: .*there is no database")
        assert server.wait() != 0
    finally:
        server.stop()


HOOKS = """
import threading

run_on_loop = True

def on_session_created(session_context):
    session_context.hook = threading.current_thread() is threading.main_thread()
"""
MAIN = """
import threading
from bokeh.io import curdoc
from bokeh.models import Div

context = curdoc().session_context
main = threading.current_thread() is threading.main_thread()
curdoc().add_root(Div(name="said", text=f"{context.hook} {main}"))
"""


async def test_a_directorys_hooks_say_where_all_of_it_runs(tmp_path: Path) -> None:
    folder = tmp_path / "hooked"
    folder.mkdir()
    (folder / "main.py").write_text(MAIN)
    (folder / "app_hooks.py").write_text(HOOKS)
    with Replica([folder], name="hooked") as server:
        async with await Client.open(server.app_url()) as client:
            assert client.value("said", "text") == "True True"


async def test_all_of_it_runs_on_the_loop_if_so_wished(folder: Path) -> None:
    with Replica([folder / "app.py"], name="no threads", args=["--app-threads", "0"]) as server:
        async with await Client.open(server.app_url()) as client:
            await client.patch("wish", value="thread_names")
            await client.expect_value("said", "text", "main;done thread_names;")


@pytest.mark.parametrize("what", ["forever", "compute"])
async def test_code_that_never_ends_holds_up_no_stop(folder: Path, files: Files, what: str) -> None:
    with Replica([folder / "app.py"], name=what, args=["--drain-timeout", "1"]) as server:
        async with await Client.open(server.app_url()) as client:
            going = await wish(client, f"{what} {what}_to_the_end")
            await files.begun(f"{what}_to_the_end")
            server.terminate()
            assert await asyncio.to_thread(server.wait) == 0
            server.wait_line(rf"abandoned with its last journaled state, still running: {what} \(")
            await asyncio.gather(going, return_exceptions=True)


HOOK = """
import time

def on_server_unloaded(server_context):
    while True:
        time.sleep(0.01)
"""


async def test_a_hook_that_never_ends_holds_up_no_stop(tmp_path: Path) -> None:
    folder = tmp_path / "hooked"
    folder.mkdir()
    (folder / "main.py").write_text("")
    (folder / "app_hooks.py").write_text(HOOK)
    with Replica([folder], name="hooked", args=["--drain-timeout", "1"]) as server:
        server.terminate()
        assert await asyncio.to_thread(server.wait) == 0
        server.wait_line(r"continuing without them; still in on_server_unloaded \(")


async def test_a_build_that_never_ends_holds_up_no_stop(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "build.py"
    path.write_text((folder / "build.py").read_text())
    with Replica([path], name="building", args=["--drain-timeout", "1"]) as server:
        page = asyncio.create_task(get_page(server.app_url(), timeout=30))
        opening = asyncio.create_task(Client.open(server.app_url(), timeout=30))
        await Files(tmp_path).begun("build")
        server.terminate()
        assert await asyncio.to_thread(server.wait) == 0
        server.wait_line(r"not waiting for app code that is still in wait_for \(")
        await asyncio.gather(page, opening, return_exceptions=True)
