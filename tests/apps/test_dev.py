"""--dev: a page follows its app's files while it stays open, and shows what is wrong with them."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import bokeh
import pytest
from devfleet.redis_server import eventually
from devfleet.replica import Replica
from harness.client import Client
from harness.pages import get_page
from harness.wire import WireClosed

Start = Callable[..., Replica]

APP = """
from bokeh.io import curdoc
from bokeh.models import Div
import helper
curdoc().add_root(Div(name="shown", text=helper.TEXT))
"""


def write(path: Path, text: str) -> None:
    """In one go: a server that saw it empty in between would read the app twice."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.fresh")
    fresh.write_text(text)
    fresh.replace(path)


@pytest.mark.flags("--dev")
async def test_a_changed_file_is_shown_by_the_open_page(tmp_path: Path, replica: Start) -> None:
    write(tmp_path / "app/main.py", APP)
    write(tmp_path / "app/helper.py", "TEXT = 'one'\n")
    server = replica([tmp_path / "app"], args=["--dev", "--show"], env={"BROWSER": "true"})
    client = await Client.open(server.app_url())
    assert client.value("shown", "text") == "one"

    write(tmp_path / "app/helper.py", "TEXT = 'another'\n")
    assert await client.wait_closed(60) == 1012
    await client.reconnect()
    assert client.value("shown", "text") == "another"

    write(tmp_path / "app/main.py", APP + "def :\n")
    assert await client.wait_closed(60) == 1012
    await client.reconnect()
    assert "main.py" in str(client.document_json)

    seen = len(server.lines)
    write(tmp_path / "app/main.py", APP + "raise ValueError('with a traceback')\n")
    server.wait_line("reloading", after=seen)
    await client.close()
    await retry(client, "with a traceback")
    await client.close()


async def test_inputs_with_a_name_and_arrays_are_there_after_a_change(tmp_path: Path, replica: Start) -> None:
    app = tmp_path / "app.py"
    text = (
        "import numpy as np\nfrom bokeh.io import curdoc\nfrom bokeh.models import ColumnDataSource, Slider\n"
        "slider = Slider(name='slider', start=0, end=9, value=1)\n"
        "source = ColumnDataSource(dict(x=np.arange(5000.0)), name='source')\n"
        "show = lambda attr, old, new: setattr(source, 'data', dict(x=np.full(5000, new)))\n"
        "slider.on_change('value', show)\n"
        "curdoc().add_root(slider)\ncurdoc().add_root(source)\n"
    )
    write(app, text)
    server = replica([app], args=["--dev"])
    client = await Client.open(server.app_url())
    await client.patch("slider", value=7)

    write(app, text.replace("end=9", "end=99"))
    assert await client.wait_closed(60) == 1012
    await client.reconnect()

    assert (client.value("slider", "value"), client.value("slider", "end")) == (7, 99)
    assert set(client.value("source", "data")["x"]) == {7}
    # BokehJS 3.9 drops the buffers of a pull that follows a reconnect.
    assert not client.received[-1].message.buffers or not bokeh.__version__.startswith("3.9.")
    await client.close()


async def test_an_app_that_is_broken_at_the_start_is_waited_for(tmp_path: Path, replica: Start) -> None:
    write(tmp_path / "app/main.py", APP + "def :\n")
    write(tmp_path / "app/helper.py", "TEXT = 'right'\n")
    server = replica([tmp_path / "app"], args=["--dev"])
    page = await get_page(server.app_url("app"))
    assert "cannot load" in page.text
    assert "http-equiv='refresh'" in page.text

    write(tmp_path / "app/main.py", APP)
    server.wait_line("reloading")
    async with await Client.open(server.app_url("app")) as client:
        assert client.value("shown", "text") == "right"


async def test_modules_in_a_package_beside_a_script_are_watched(tmp_path: Path, replica: Start) -> None:
    write(tmp_path / "texts/__init__.py", "")
    write(tmp_path / "texts/shown.py", "TEXT = 'one'\n")
    write(tmp_path / "app.py", APP.replace("import helper", "from texts import shown as helper"))
    server = replica([tmp_path / "app.py"], args=["--dev"])
    client = await Client.open(server.app_url())

    write(tmp_path / "texts/shown.py", "TEXT = 'another'\n")
    assert await client.wait_closed(60) == 1012
    await client.reconnect()

    assert client.value("shown", "text") == "another"
    assert len(server.matching("reloading")) == 1, "that it was imported is no change"
    await client.close()


STUCK = """
import time
from pathlib import Path
from bokeh.io import curdoc
from bokeh.models import Div, TextInput

def turn_in_circles(attr, old, new):
    Path(__file__).with_name("begun").touch()
    while True:
        time.sleep(0.01)

wish = TextInput(name="wish", value="")
wish.on_change("value", turn_in_circles)
curdoc().add_root(wish)
curdoc().add_root(Div(name="shown", text="one"))
"""
STUCK_HOOK = """
import time

def {hook}(server_context):
    while {stuck}:
        time.sleep(0.01)
"""


async def test_a_callback_that_never_ends_does_not_keep_the_old_code(tmp_path: Path, replica: Start) -> None:
    write(tmp_path / "app.py", STUCK)
    server = replica([tmp_path / "app.py"], args=["--dev", "--drain-timeout", "1"])
    client, other = await Client.open(server.app_url()), await Client.open(server.app_url())
    going = asyncio.create_task(client.patch("wish", value="go"))
    await asyncio.to_thread(eventually, (tmp_path / "begun").exists, within=30)

    write(tmp_path / "app.py", STUCK.replace("one", "another"))

    assert [await each.wait_closed(60) for each in (other, client)] == [1012, 1012]
    server.wait_line(
        r"abandoned with its last journaled state, still running: turn_in_circles \(.*app.py:\d+\)"
    )
    for each in (other, client):
        await each.reconnect()
        assert each.value("shown", "text") == "another"
        await each.close()
    await asyncio.gather(going, return_exceptions=True)


@pytest.mark.parametrize("hook", ["on_server_loaded", "on_server_unloaded"])
async def test_a_hook_that_never_ends_does_not_keep_the_old_code(
    tmp_path: Path, replica: Start, hook: str
) -> None:
    write(tmp_path / "app/main.py", APP)
    write(tmp_path / "app/helper.py", "TEXT = 'one'\n")
    write(tmp_path / "app/app_hooks.py", STUCK_HOOK.format(hook=hook, stuck=hook == "on_server_unloaded"))
    server = replica([tmp_path / "app"], args=["--dev", "--drain-timeout", "1"])
    client = await Client.open(server.app_url("app"))

    if hook == "on_server_loaded":
        write(tmp_path / "app/app_hooks.py", STUCK_HOOK.format(hook=hook, stuck=True))
        server.wait_line("reloading")
    write(tmp_path / "app/helper.py", "TEXT = 'another'\n")

    assert await client.wait_closed(60) == 1012
    server.wait_line(f"{hook} does not return: continuing without it")
    await client.reconnect()
    assert client.value("shown", "text") == "another"
    await client.close()


BUILDS = """
import time
from pathlib import Path
from bokeh.io import curdoc
from bokeh.models import Div, TextInput

THERE = Path(__file__).parent
text = "one"
(THERE / f"{text} begins").touch()
while not (THERE / f"{text} ends").exists():
    time.sleep(0.01)
if (THERE / f"{text} fails").exists():
    raise RuntimeError(f"{text} fails")
curdoc().add_root(TextInput(name="wish", value=""))
curdoc().add_root(Div(name="shown", text=text))
"""
AS_TEMPLATE = 'curdoc().template_variables["heading"] = "a page of its own"\n'


class Building:
    """An app whose builds wait for a file."""

    def __init__(self, folder: Path, *, shell: bool) -> None:
        self._folder = folder
        self.app = folder / "app.py"
        self._rest = "" if shell else AS_TEMPLATE
        self.save("one")

    def save(self, text: str) -> None:
        write(self.app, BUILDS.replace('"one"', f'"{text}"') + self._rest)

    async def begun(self, text: str) -> None:
        await asyncio.to_thread(eventually, (self._folder / f"{text} begins").exists, within=30)

    def wait_again(self, text: str) -> None:
        for name in ("begins", "ends"):
            (self._folder / f"{text} {name}").unlink()

    def let(self, text: str, *, fail: bool = False) -> None:
        if fail:
            (self._folder / f"{text} fails").touch()
        (self._folder / f"{text} ends").touch()


async def saved_anew(building: Building, server: Replica, text: str) -> None:
    """Return when the server has read it, while it builds what was there before."""
    building.save(text)
    await asyncio.to_thread(server.wait_line, "1 sessions that are being built are built anew")


@pytest.mark.parametrize("shell", [True, False], ids=["shell", "page of the app"])
@pytest.mark.parametrize("how", ["ends", "fails", "goes on and on"])
async def test_a_page_that_waits_while_its_app_is_changed_gets_the_new_code(
    tmp_path: Path, replica: Start, how: str, shell: bool
) -> None:
    building = Building(tmp_path, shell=shell)
    server = replica([building.app], args=["--dev"])
    if shell:  # pages are shells once the app has run
        building.let("one")
        await (await Client.open(server.app_url())).close()
        building.wait_again("one")
    page = asyncio.create_task(Client.open(server.app_url(), timeout=60))
    await building.begun("one")

    await saved_anew(building, server, "two")
    building.let("two")
    if how != "goes on and on":
        building.let("one", fail=how == "fails")
    client = await page

    assert client.value("shown", "text") == "two"
    assert client.close_code is None
    await client.patch("wish", value="answered")
    await client.close()


async def test_a_page_that_comes_back_while_its_app_is_changed_gets_the_new_code(
    tmp_path: Path, replica: Start
) -> None:
    building = Building(tmp_path, shell=True)
    building.let("one")
    server = replica([building.app], args=["--dev"])
    client = await Client.open(server.app_url())
    await client.patch("wish", value="kept")

    building.save("two")
    assert await client.wait_closed(60) == 1012
    coming = asyncio.create_task(client.reconnect(60))
    await building.begun("two")
    await saved_anew(building, server, "three")
    building.let("three")
    building.let("two")
    await coming

    assert (client.value("shown", "text"), client.value("wish", "value")) == ("three", "kept")
    await client.close()


async def retry(client: Client, text: str) -> None:
    """While the app is read anew, which closes connections of before, also those that have just come."""
    for _ in range(100):
        try:
            await client.reconnect()
        except WireClosed as closed:
            if closed.close_code != 1012:
                raise
        if text in str(client.document_json):
            return
        await client.close()
    raise AssertionError(str(client.document_json))


async def test_further_files_are_watched(tmp_path: Path, replica: Start) -> None:
    data = tmp_path / "data.txt"
    write(data, "first")
    write(
        tmp_path / "app.py",
        "from bokeh.io import curdoc\nfrom bokeh.models import Div\n"
        f"curdoc().add_root(Div(name='shown', text=open({str(data)!r}).read()))\n",
    )
    server = replica([tmp_path / "app.py"], args=["--dev", str(data)])
    client = await Client.open(server.app_url())

    write(data, "and second")
    assert await client.wait_closed(60) == 1012
    await client.reconnect()

    assert client.value("shown", "text") == "and second"
    await client.close()


def refusal(*argv: str | Path) -> str:
    """What `svc serve` says that does not begin with this command line."""
    code = "import sys; from service.cli.main import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", code, "serve", *map(os.fspath, argv)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    return done.stderr


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    write(tmp_path / "app.py", "")

    assert "--dev" in refusal(tmp_path / "app.py", "--port", "0", "--dev", tmp_path / "nothing")


def test_an_app_that_was_taken_for_a_file_to_watch_is_said(tmp_path: Path) -> None:
    app = tmp_path / "app.py"

    assert f"give the app first, as in `svc serve {app} --dev`" in refusal("--dev", app)
    said = refusal("--port", "0", "--dev", "data.csv", app)
    assert f"--dev took {app} for a file to watch" in said
    assert f"`svc serve {app} --dev data.csv`" in said
