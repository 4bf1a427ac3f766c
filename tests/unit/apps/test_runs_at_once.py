"""Apps that are built on several threads at once: each sees what `bokeh serve` gives to one alone."""

from __future__ import annotations

import ast
import html
import json
import os
import pickle
import platform
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import bokeh.io
import pytest
from bokeh.document import Document
from bokeh.io.state import curstate

from service.apps import threads, working_folder
from service.apps.app import App
from service.apps.contexts import AppSessionContext
from service.apps.execution import Execution
from service.apps.loading import load_apps
from service.apps.process_state import install
from service.documents import curdoc, ids
from service.documents.ids import IdSpace, new_document
from service.errors import AppError
from store.contract import PageRequest

ROOT = Path(__file__).parents[3]
WAIT = 30
ARGS = ["--from", "here"]

turns: dict[str, Any] = {}
"""What the apps of this module meet at."""

APP = """
import inspect, os, pickle, sys, threading
from sys import argv

import helpers
from bokeh.io import curdoc, output_file, show
from bokeh.models import Div
from bokeh.plotting import figure

meet = sys.modules["{tests}"].turns["meet"]
seen = []


def look():
    import late
    from helpers import NAME
    seen.append({{
        "argv": list(sys.argv), "same": argv is sys.argv, "file": __file__, "cwd": os.getcwd(),
        "path": sys.path[0], "name": __name__.partition("_app_")[0],
        "helpers": helpers.NAME, "again": NAME, "late": late.NAME,
        "pickled": pickle.loads(pickle.dumps(helpers.Thing())).name,
        "source": "class Thing" in inspect.getsource(helpers),
        "show": show(figure()), "of_server": show.__module__,
    }})


{move}
for turn in range(3):
    meet.wait({wait})
    look()
    sys.argv = argv
    meet.wait({wait})
    argv = sys.argv = [*sys.argv, str(turn)]
    sys.path.insert(0, str(turn))

thread = threading.Thread(target=look)
thread.start()
thread.join()
curdoc().add_root(Div(name="seen", text=repr(seen)))
"""
MOVE = "os.chdir(os.path.join(os.path.dirname(__file__), 'elsewhere'))"
HELPERS = "NAME = {name!r}\n\n\nclass Thing:\n    name = NAME\n"


@pytest.fixture(autouse=True)
def _installed() -> None:
    ids.install()
    curdoc.install()
    threads.install()
    install()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A script, a directory, a notebook and one that is a directory and has moved, each with its helpers."""
    write_script(tmp_path / "one/script.py", "one")
    write_script(tmp_path / "two/main.py", "two")
    notebook(tmp_path / "three/cells.ipynb", source("three"))
    (tmp_path / "four/elsewhere").mkdir(parents=True)
    write_script(tmp_path / "four/main.py", "four", move=MOVE)
    for each in tmp_path.iterdir():
        (each / "helpers.py").write_text(HELPERS.format(name=each.name))
        (each / "late.py").write_text("from helpers import NAME\n")
    return tmp_path


def source(name: str, move: str = "") -> str:
    return APP.format(tests=__name__, wait=WAIT, move=move)


def write_script(path: Path, name: str, move: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source(name, move))


def notebook(path: Path, code: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cell = {"cell_type": "code", "execution_count": None, "id": "1", "metadata": {}, "outputs": []}
    cells = [{**cell, "source": code}]
    path.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))


def apps_in(folder: Path, *paths: str) -> list[App]:
    return list(load_apps([str(folder / path) for path in paths], ARGS).values())


def build(app: App, session: str = "session") -> Document:
    """On whatever thread this runs."""
    space = IdSpace(session)
    execution = Execution(app.imports, space, new_document(space))
    context = AppSessionContext(session, app.server_context, execution.document, PageRequest(uri=app.path))
    execution.call(app._initialize, execution.document)
    del context
    return execution.document


def seen_by(document: Document) -> list[dict[str, Any]]:
    div: Any = document.select_one({"name": "seen"})
    found: list[dict[str, Any]] = ast.literal_eval(div.text)
    return found


def at_once(*jobs: Callable[[], Any]) -> list[Any]:
    with ThreadPoolExecutor(len(jobs)) as pool:
        return [each.result(WAIT) for each in [pool.submit(job) for job in jobs]]


ALL = {"one/script.py": "script.py", "two": "main.py", "three/cells.ipynb": "cells.ipynb", "four": "main.py"}


@pytest.mark.parametrize("apps", [[*ALL], ["two", "two", "two"]])
def test_each_sees_its_own_while_others_are_in_the_middle(folder: Path, apps: list[str]) -> None:
    loaded = dict(zip(dict.fromkeys(apps), apps_in(folder, *dict.fromkeys(apps)), strict=True))
    turns["meet"] = threading.Barrier(len(apps))
    here, argv, path = os.getcwd(), list(sys.argv), list(sys.path)
    default = curstate().document

    documents = at_once(*(lambda app=app, n=n: build(loaded[app], str(n)) for n, app in enumerate(apps)))

    for app, document in zip(apps, documents, strict=True):
        name = app.partition("/")[0]
        for turn, seen in enumerate(seen_by(document)):
            assert seen == {
                "argv": [ALL[app], *ARGS, *map(str, range(turn))], "same": True, "name": "bokeh",
                "file": str(folder / name / ALL[app]), "path": str(turn - 1) if turn else str(folder / name),
                "cwd": str(folder / "four/elsewhere") if app == "four" else here,
                "helpers": name, "again": name, "late": name, "pickled": name, "source": True,
                "show": None, "of_server": "bokeh.application.handlers.code",
            }  # fmt: skip
    assert (os.getcwd(), sys.argv) == (here, argv)
    assert set(sys.path) <= set(path)  # directories of apps that are gone are taken off at any time
    assert bokeh.io.show.__module__ == "bokeh.io.showing"
    assert curstate().document is default


def test_they_do_so_where_panel_runs_them(folder: Path) -> None:
    """Once it is imported, Panel takes the place of Bokeh's handlers. Nobody can take that back."""
    panel_first(f"{__file__}::{test_each_sees_its_own_while_others_are_in_the_middle.__name__}")


def panel_first(test: str) -> None:
    code = "import sys, panel, pytest; sys.exit(pytest.main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "-q", "-p", "no:cacheprovider", test]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


PANEL = """
import sys

import panel as pn
from helpers import NAME

pn.extension()
meet = sys.modules["{tests}"].turns["meet"]
meet.wait({wait})
text = pn.pane.Str(f"{{NAME}} {{sys.argv}} {{pn.state.curdoc.session_context.id}}")
meet.wait({wait})
pn.Column(text).servable()
meet.wait({wait})
"""


@pytest.mark.skipif("panel" not in sys.modules, reason="run by the next test, in a process of its own")
def test_panel_apps_on_threads(tmp_path: Path) -> None:
    from panel.models.markup import HTML

    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "main.py").write_text(PANEL.format(tests=__name__, wait=WAIT))
        (tmp_path / name / "helpers.py").write_text(HELPERS.format(name=name))
    one, two = apps_in(tmp_path, "one", "two")
    turns["meet"] = threading.Barrier(4)
    sessions = [(one, "a"), (one, "b"), (two, "c"), (two, "d")]

    built = at_once(*(lambda app=app, n=n: build(app, n) for app, n in sessions))

    for (app, session), document in zip(sessions, built, strict=True):
        (shown,) = [model.text for root in document.roots for model in root.select({"type": HTML})]
        assert html.unescape(shown) == f"<pre>{app.path[1:]} {['main.py', *ARGS]} {session}</pre>"


def test_panel_apps_build_on_threads() -> None:
    panel_first(f"{__file__}::{test_panel_apps_on_threads.__name__}")


FAILS = """
import sys
from bokeh.io import curdoc

turns = sys.modules["{tests}"].turns
me = turns["who"].pop()
turns["meet"].wait({wait})
if me == "fails":
    1 / 0
turns["failed"].wait({wait})
curdoc().title = "built"
"""


def test_a_failure_is_that_of_one_run(tmp_path: Path) -> None:
    """Bokeh notes it in the handler, which all runs of the app have in common."""
    (app,) = app_of(tmp_path, FAILS)
    turns.update(meet=threading.Barrier(2), failed=threading.Event(), who=["fails", "works"])

    def outcome() -> str:
        try:
            return str(build(app).title)
        except AppError as error:
            turns["failed"].set()
            return str(error).partition("\n")[0]

    found = at_once(outcome, outcome)

    assert sorted(found) == ["built", "division by zero"]


ONCE = """
import sys

turns = sys.modules["{tests}"].turns
turns["executed"].append(__name__)
FIRST = 1
turns["others"].wait({wait})
SECOND = 2
"""
IMPORTS_ONCE = """
import sys
from bokeh.io import curdoc

sys.modules["{tests}"].turns["about_to"].wait({wait})
from once import FIRST, SECOND
curdoc().title = str(FIRST + SECOND)
"""


@pytest.mark.parametrize("apps", [1, 2])
def test_a_module_that_builds_import_at_once_is_executed_once_and_whole(tmp_path: Path, apps: int) -> None:
    """Of one app; and of two that have one each."""
    loaded = [app_of(tmp_path / str(n), IMPORTS_ONCE, once=ONCE)[0] for n in range(apps)]
    turns.update(executed=[], others=threading.Event(), about_to=threading.Barrier(4, turns_on))

    documents = at_once(*(lambda n=n: build(loaded[n % apps], str(n)) for n in range(4)))

    assert [document.title for document in documents] == ["3"] * 4
    assert len(turns["executed"]) == len(set(turns["executed"])) == apps


def turns_on() -> None:
    turns["others"].set()


def app_of(folder: Path, code: str, **modules: str) -> list[App]:
    folder.mkdir(exist_ok=True)
    for name, text in {"main": code, **modules}.items():
        (folder / f"{name}.py").write_text(text.format(tests=__name__, wait=WAIT))
    return apps_in(folder.parent, folder.name)


MOVES = """
import os, sys
from bokeh.io import curdoc

turns = sys.modules["{tests}"].turns
os.chdir(os.path.dirname(__file__))
turns["moved"].set()
turns["other_waits"].wait({wait})
turns["order"].append(os.getcwd())
"""
STAYS = """
import os, sys

sys.modules["{tests}"].turns["order"].append(os.getcwd())
"""


def test_where_threads_share_a_folder_who_changes_it_is_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(working_folder, "_unshare", lambda: False)
    moves, stays = app_of(tmp_path / "moves", MOVES)[0], app_of(tmp_path / "stays", STAYS)[0]
    turns.update(moved=threading.Event(), other_waits=threading.Event(), order=[])
    here, wait_for = os.getcwd(), working_folder._turns._changed.wait_for

    def noted(until: Callable[[], bool], timeout: float) -> bool:
        if turns["moved"].is_set():
            turns["other_waits"].set()
        return wait_for(until, timeout)

    monkeypatch.setattr(working_folder._turns._changed, "wait_for", noted)
    monkeypatch.setattr(working_folder._turns, "_told", False)

    at_once(lambda: build(moves), lambda: turns["moved"].wait(WAIT) and build(stays, "other"))

    assert turns["order"] == [str(tmp_path / "moves"), here]
    assert os.getcwd() == here
    assert [each.message for each in caplog.records if "unshare" in each.message] == [
        "threads cannot have a working folder of their own here (unshare(CLONE_FS) is refused): "
        "while an app that calls os.chdir is opened, others that are opened wait"
    ]


def test_outside_of_runs_the_folder_is_that_of_the_process(tmp_path: Path) -> None:
    here = os.getcwd()
    with ThreadPoolExecutor(1) as pool:
        (app,) = app_of(tmp_path / "moves", "import os\nos.chdir(os.path.dirname(__file__))\n")
        pool.submit(build, app).result()
        execution = Execution(app.imports)
        try:
            pool.submit(execution.call, os.chdir, tmp_path).result()
            assert os.getcwd() == str(tmp_path)
        finally:
            os.chdir(here)
        assert pool.submit(execution.call, os.getcwd).result() == here


REFUSING = """
import ctypes, threading
from service.apps import working_folder

class Filter(ctypes.Structure):
    _fields_ = [
        ("code", ctypes.c_ushort), ("jt", ctypes.c_ubyte), ("jf", ctypes.c_ubyte), ("k", ctypes.c_uint),
    ]

class Program(ctypes.Structure):
    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.POINTER(Filter))]

LOAD, EQUAL, RETURN, ALLOW, REFUSE = 0x20, 0x15, 0x06, 0x7FFF0000, 0x00050001
steps = [(LOAD, 0, 0, 0), (EQUAL, 0, 1, {number}), (RETURN, 0, 0, REFUSE), (RETURN, 0, 0, ALLOW)]
program = Program(len(steps), (Filter * len(steps))(*steps))
library = ctypes.CDLL(None)
assert library.prctl(38, 1, 0, 0, 0) == 0
found = []
thread = threading.Thread(target=lambda: found.append(working_folder._unshare()))
thread.start(); thread.join()
assert library.prctl(22, 2, ctypes.byref(program)) == 0
thread = threading.Thread(target=lambda: found.append(working_folder._unshare()))
thread.start(); thread.join()
print(found)
"""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the number of a system call")
def test_a_kernel_that_refuses_is_noticed() -> None:
    """As under the seccomp profiles that Docker and containerd give to containers."""
    code = REFUSING.format(number=272)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.split() == ["[True,", "False]"]


@pytest.mark.parametrize("module", [sys, bokeh.io])
def test_modules_with_such_names_are_pickled_by_name(module: ModuleType) -> None:
    assert pickle.loads(pickle.dumps(module)) is module


def test_a_child_that_is_forked_in_a_run_is_on_its_own(tmp_path: Path) -> None:
    code = """
import multiprocessing, os, sys
from bokeh.io import curdoc

def child(pipe):
    os.chdir("/")
    pipe.send([os.getcwd(), sys.argv[0]])

ours, theirs = multiprocessing.Pipe()
process = multiprocessing.get_context("fork").Process(target=child, args=(theirs,))
process.start()
curdoc().title = repr([*ours.recv(), os.getcwd()])
process.join()
"""
    (app,) = app_of(tmp_path / "forks", code)
    assert build(app).title == repr(["/", "main.py", os.getcwd()])
