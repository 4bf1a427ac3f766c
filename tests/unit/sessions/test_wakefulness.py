"""What keeps an idle session awake: whatever its app's run and its journal do not bring back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from bokeh.models import Div, Slider
from harness.runs import Run, app_of

from service.apps import threads
from service.apps.app_directories import running_app
from service.apps.variables import app_coroutines

SLIDER = """
import threading
import numpy as np
import pandas as pd
from bokeh.io import curdoc
from bokeh.models import Button, Div, Slider

slider = Slider(name="slider", start=0, end=99, value=0)
text = Div(name="text", text="")
curdoc().add_root(slider)
curdoc().add_root(text)
"""

SAFE = {
    "a text that is what the slider says": """
def moved(attr, old, new):
    text.text = f"{new}"
slider.on_change("value", moved)
""",
    "columns that are made anew, of a frame that stays": """
from bokeh.models import ColumnDataSource
frame = pd.DataFrame({"x": np.arange(1000), "name": ["a"] * 1000})
source = ColumnDataSource()
def moved(attr, old, new):
    source.data = dict(frame[frame.x < new])
slider.on_change("value", moved)
""",
    "a class, a lock and a decorator that nobody changes": """
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
class Kind(Enum):
    ONE = 1
@dataclass
class View:
    slider: Slider
    kind: Kind = Kind.ONE
    def moved(self, attr, old, new):
        with lock:
            text.text = f"{square(new)}"
@lru_cache
def square(value):
    return value * value
lock = threading.RLock()
view = View(slider)
slider.on_change("value", view.moved)
""",
    "what it keeps in its session's state": """
from service import session_state
state = session_state(curdoc())
def moved(attr, old, new):
    state["moves"] = state.get("moves", 0) + 1
slider.on_change("value", moved)
""",
    "a large text, and a file that was read": """
from tempfile import TemporaryFile
with TemporaryFile() as file:
    pass
large = "x" * 4_000_000
def moved(attr, old, new):
    text.text = large[new]
slider.on_change("value", moved)
""",
    "no callback at all": "",
}

UNSAFE = {
    "a counter": ("moves", """
moves = 0
def moved(attr, old, new):
    global moves
    moves += 1
slider.on_change("value", moved)
"""),
    "a closure's counter": ("what a callback refers to", """
def counting():
    moves = 0
    def moved(attr, old, new):
        nonlocal moves
        moves += 1
    return moved
slider.on_change("value", counting())
"""),
    "a list": ("seen", """
seen = []
slider.on_change("value", lambda attr, old, new: seen.append(new))
"""),
    "a frame, in place": ("frame", """
frame = pd.DataFrame({"x": range(3)})
def moved(attr, old, new):
    frame.loc[0, "x"] = new
slider.on_change("value", moved)
"""),
    "an array, in place": ("values", """
values = np.zeros(1_000_000)
def moved(attr, old, new):
    values[500_000] = new
slider.on_change("value", moved)
"""),
    "an object's attribute": ("view", """
class View:
    def __init__(self):
        self.last = None
    def moved(self, attr, old, new):
        self.last = new
view = View()
slider.on_change("value", view.moved)
"""),
    "a class's attribute": ("View", """
class View:
    moves = 0
    def moved(self, attr, old, new):
        View.moves += 1
slider.on_change("value", View().moved)
"""),
    "what a default holds": ("moved", """
def moved(attr, old, new, seen=[]):
    seen.append(new)
slider.on_change("value", moved)
"""),
    "a model in the place of another": ("shown", """
shown = Div()
def moved(attr, old, new):
    global shown
    shown = Div()
slider.on_change("value", moved)
"""),
    "what it puts onto its Document": ("curdoc().moves", """
curdoc().moves = 0
def moved(attr, old, new):
    curdoc().moves += 1
slider.on_change("value", moved)
"""),
    "what it puts onto its session context": ("session_context.moves", """
def moved(attr, old, new):
    curdoc().session_context.moves = new
slider.on_change("value", moved)
"""),
    "random numbers": ("random", """
random = np.random.default_rng(1)
def moved(attr, old, new):
    text.text = f"{random.random()}"
slider.on_change("value", moved)
"""),
    "a connection, of which nobody knows": ("connection", """
import socket
connection, other = socket.socketpair()
connection.close()
other.close()
del other
slider.on_change("value", lambda attr, old, new: connection.fileno())
"""),
    "a generator, of which nobody knows": ("numbers", """
numbers = iter(n for n in range(9))
slider.on_change("value", lambda attr, old, new: next(numbers))
"""),
    "too much to look at": ("table", """
table = [f"row {n}" for n in range(300_000)]
slider.on_change("value", lambda attr, old, new: None)
"""),
    "callbacks of what it made": ("what a callback refers to", """
def moved(attr, old, new):
    row = Slider(start=0, end=1, value=0)
    row.on_change("value", lambda attr, old, new: None)
    curdoc().add_root(row)
slider.on_change("value", moved)
"""),
}  # fmt: skip

Begin = Callable[[str], Awaitable[Run]]


@pytest.fixture
async def begin(tmp_path: Path) -> AsyncIterator[Begin]:
    """Begins a session of a script that has the slider, and what is given."""
    threads.install()
    begun: list[Run] = []

    async def run(body: str) -> Run:
        path = tmp_path / "app.py"
        path.write_text(SLIDER + body)
        begun.append(await Run.begin(app_of(str(path))))
        await begun[-1].pull()
        return begun[-1]

    yield run
    for each in begun:
        await each.end()


async def reason(run: Run) -> str:
    return await run.session.would_lose(app_coroutines())


@pytest.mark.parametrize("body", SAFE.values(), ids=SAFE)
async def test_it_may_sleep(begin: Begin, body: str) -> None:
    run = await begin(body)
    assert await reason(run) == ""
    for value in (3, 7):
        await run.sent(("slider", "value", value))
        assert await reason(run) == ""


@pytest.mark.parametrize(("name", "body"), UNSAFE.values(), ids=UNSAFE)
async def test_it_stays_awake_once_that_has_changed(begin: Begin, name: str, body: str) -> None:
    run = await begin(body)
    assert await reason(run) == "", "nothing has happened yet, and the app's run is repeated"

    await run.sent(("slider", "value", 3))

    found = await reason(run)
    assert found == f"code has changed {name}"
    assert run.session.stays_awake == found


@pytest.mark.parametrize("said", [True, False])
async def test_its_author_knows_better(begin: Begin, said: bool) -> None:
    _, counter = UNSAFE["a counter"]
    run = await begin(f"sleep_when_idle = {said}\n{counter}")
    await run.sent(("slider", "value", 3))
    assert (await reason(run) == "") == said


async def test_threads_keep_it_awake_while_they_run(begin: Begin) -> None:
    run = await begin("done = threading.Event()\nthreading.Thread(target=done.wait, daemon=True).start()\n")
    (module,) = run.session.document.modules._modules
    assert await reason(run) == "a thread of it is at work"
    module.done.set()
    async with asyncio.timeout(60):
        while await asyncio.sleep(0, await reason(run)):
            pass


async def test_coroutines_keep_it_awake_while_they_run(begin: Begin) -> None:
    run = await begin("async def feed(wait):\n    await wait()\n")
    (module,) = run.session.document.modules._modules
    done = asyncio.Event()
    feeding = asyncio.create_task(module.feed(done.wait))
    await asyncio.sleep(0)
    assert await reason(run) == "a coroutine of it is at work"
    done.set()
    await feeding
    assert await reason(run) == ""


async def test_what_runs_at_its_end_does_not_run_while_its_page_is_open(begin: Begin) -> None:
    run = await begin("curdoc().on_session_destroyed(lambda context: None)\n")
    assert await reason(run) == "code of the app runs at the end of a session"


async def test_who_is_fed_by_others_stays_where_they_find_it(begin: Begin) -> None:
    run, other = await begin(""), await begin("# another\n")

    def feed(document: Any) -> None:
        document.add_next_tick_callback(lambda: None)

    await other.do(feed, run.session.document)

    assert await reason(run) == "something besides its page changes it"
    assert await reason(other) == ""
    assert run.app.changed_from_outside, "which will happen to its other sessions, too"


async def test_who_is_changed_from_server_hooks_stays_where_they_find_it(begin: Begin) -> None:
    run = await begin("")
    token = running_app.set(run.app.imports.directory)  # as while a hook runs
    await run.session.with_document_locked(lambda: None)
    running_app.reset(token)
    assert await reason(run) == "something besides its page changes it"


async def test_a_session_may_put_work_of_its_own_off(begin: Begin) -> None:
    run = await begin(
        "slider.on_change('value', lambda attr, old, new: curdoc().add_next_tick_callback(lambda: None))\n"
    )
    await run.sent(("slider", "value", 3))
    while await asyncio.sleep(0, run.session.has_callbacks):
        pass
    assert await reason(run) == ""
    assert not run.app.changed_from_outside


async def test_its_own_code_without_the_lock_is_not_somebody_elses(begin: Begin) -> None:
    run = await begin("")
    document = run.session.document

    def unlocked() -> None:
        document.add_next_tick_callback(lambda: None)

    unlocked.nolock = True  # type: ignore[attr-defined]
    await run.session.run_callback(unlocked)
    assert not run.app.changed_from_outside
    assert await reason(run) == "code ran without the session's lock", "and may have changed anything"


async def test_a_timer_that_changes_variables_keeps_it_awake(begin: Begin) -> None:
    run = await begin("ticks = 0\ndef tick():\n    global ticks\n    ticks += 1\n")
    (module,) = run.session.document.modules._modules
    await run.session.run_callback(module.tick)
    assert await reason(run) == "code has changed ticks"


async def test_an_app_that_is_a_function(begin: Begin) -> None:
    def app(document: Any, *, moves: list[int]) -> None:
        slider, text = Slider(name="slider", start=0, end=99, value=0), Div(name="text")
        slider.on_change("value", lambda attr, old, new: moves.append(new))
        document.add_root(slider)
        document.add_root(text)

    run = await Run.begin(app_of(partial(app, moves=[])))
    await run.pull()
    assert await reason(run) == ""
    await run.sent(("slider", "value", 3))
    assert await reason(run) == "code has changed what a callback refers to"
    await run.end()
