"""Modules of apps in one server: each app has its own, at any time, in its threads and processes."""

from __future__ import annotations

import ast
import asyncio
import html
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import panel.models.widgets  # the client makes models of these classes
import pytest
from devfleet.replica import Replica
from harness.client import Client
from panel.models.markup import HTML

MAIN = """
import os, sys
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module

import helpers
import parts.inner
import store
from bokeh.io import curdoc
from bokeh.models import Button, Div

built = {
    "helpers": helpers.NAME, "inner": parts.inner.NAME, "store": store.NAME,
    "argv": sys.argv, "cwd": os.getcwd(), "file": __file__,
    "payload": curdoc().session_context.token_payload["who"],
}
shown, late, press = Div(name="built", text=repr(built)), Div(name="late", text=""), Button(name="press")


def look():
    from helpers import NAME
    import parts.late
    return NAME, parts.late.NAME, import_module("store").NAME


def pressed():
    with ThreadPoolExecutor(1) as pool:
        late.text = repr({*look(), *pool.submit(look).result(), *pool.submit(helpers.by_pickle).result()})


press.on_click(pressed)
for root in (shown, late, press):
    curdoc().add_root(root)
"""
PLAIN = """
import sys

from bokeh.io import curdoc
from bokeh.models import Div

shown = Div(name="plotting", text="")


def look():
    shown.text = "there" if "bokeh.plotting" in sys.modules else ""


curdoc().add_root(shown)
curdoc().add_periodic_callback(look, 20)
"""
HELPERS = """
import pickle


class Thing:
    name = {name!r}


def by_pickle():
    return {{pickle.loads(pickle.dumps(Thing())).name}}.pop(),


NAME = {name!r}
"""
POOLS = """
import asyncio
from bokeh.document import without_document_lock
from bokeh.io import curdoc
from bokeh.models import Button, Div
from jobs import pool, square

out, go, doc = Div(name="out", text=""), Button(name="go"), curdoc()


@without_document_lock
async def compute():
    done = []
    for n in range(5):
        try:
            done.append(await asyncio.wrap_future(pool().submit(square, n)))
        except Exception as error:
            done.append(repr(error))
    doc.add_next_tick_callback(lambda: out.update(text=repr(done)))


go.on_click(lambda: doc.add_next_tick_callback(compute))
doc.add_root(out)
doc.add_root(go)
"""
JOBS = """
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from functools import cache


@cache
def pool():
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context({method!r}))


def square(x):
    return x * x
"""
LATE = """
import panel as pn
from settings import UNIT

pn.extension(nthreads=2)
go = pn.widgets.Button(name="go")
out = pn.pane.Str("idle")


def pressed(event):
    try:
        from settings import UNIT as unit
        out.object = f"unit {unit}"
    except Exception as error:
        out.object = repr(error)


go.on_click(pressed)
pn.Column(go, out, UNIT).servable()
"""
METHODS = ("fork", "forkserver", "spawn")


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("apps")
    for name in ("one", "other"):
        write(folder / name / "main.py", MAIN)
        write(
            folder / name / "app_hooks.py",
            "import store\ndef process_request(request): return {'who': store.NAME}\n",
        )
        write(folder / name / "helpers.py", HELPERS.format(name=name))
        write(folder / name / "store.py", "from helpers import NAME\n")
        write(folder / name / "parts/__init__.py", "")
        write(folder / name / "parts/inner.py", "from helpers import NAME\nfrom . import late\n")
        write(folder / name / "parts/late.py", "from helpers import NAME\n")
    for method in METHODS:
        write(folder / method / "main.py", POOLS)
        write(folder / method / "jobs.py", JOBS.format(method=method))
    write(folder / "late_import/main.py", LATE)
    write(folder / "plain/main.py", PLAIN)
    write(folder / "late_import/settings.py", "UNIT = 'kg'\n")
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Replica]:
    apps = [folder / name for name in ("one", "other", *METHODS, "late_import")]
    with Replica(apps, name="imports", args=["--args", "--hello"]) as running:
        yield running


async def test_apps_that_are_opened_at_once_have_their_own_modules(server: Replica, folder: Path) -> None:
    names = ["one", "other"] * 3
    clients = await asyncio.gather(*(Client.open(server.app_url(name)) for name in names))
    for name, client in zip(names, clients, strict=True):
        built: dict[str, Any] = ast.literal_eval(client.value("built", "text"))
        assert {built[each] for each in ("helpers", "inner", "store", "payload")} == {name}
        await client.click("press")
        await client.expect_value("late", "text", repr({name}))
        await client.close()


async def test_an_app_knows_where_it_is_as_in_bokeh_serve(server: Replica, folder: Path) -> None:
    async with await Client.open(server.app_url("other")) as client:
        built = ast.literal_eval(client.value("built", "text"))

    assert built["argv"] == ["main.py", "--hello"]
    assert built["file"] == str(folder / "other/main.py")
    assert built["cwd"] == str(Path.cwd())


@pytest.mark.parametrize("method", ["fork", "spawn"])
async def test_a_pool_of_processes_runs_an_apps_functions(folder: Path, method: str) -> None:
    """Of `jobs`, which is an ordinary module while no other app has one."""
    with Replica([folder / method], name="pools alone") as alone:
        await squares(alone, method)


@pytest.mark.parametrize("method", METHODS)
async def test_a_pool_of_processes_where_several_apps_have_such_a_module(
    server: Replica, method: str
) -> None:
    await squares(server, method)


async def squares(server: Replica, app: str) -> None:
    async with await Client.open(server.app_url(app), timeout=60) as client:
        await client.click("go")
        await client.expect_value("out", "text", "[0, 1, 4, 9, 16]")


async def test_what_most_apps_import_is_there_without_one_that_imports_it(folder: Path) -> None:
    """In a process of its own, which is not forked from one that has imported all sorts of things."""
    with Replica([folder / "plain"], name="plain alone", env={"PYTHONWARNINGS": "default"}) as alone:
        async with await Client.open(alone.app_url("plain")) as client:
            await client.expect_value("plotting", "text", "there")


async def test_a_callback_in_panels_threads_imports(server: Replica) -> None:
    async with await Client.open(server.app_url("late_import"), timeout=60) as client:
        await client.click({"type": panel.models.widgets.Button})
        await client.expect(lambda c: "unit kg" in texts(c), what="the unit")


def texts(client: Client) -> str:
    return " ".join(html.unescape(model.text) for model in client.document.select({"type": HTML}))
