"""`pn.cache` and `pn.state.as_cached` with `--panel-cache fleet`, and as they are without it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from devfleet.fleet import Fleet
from harness.client import Client

pytest.importorskip("panel")

APP = """
import json, os, threading
import pandas as pd
import panel as pn
import param
from bokeh.io import curdoc
from bokeh.models import Div, TextInput

def note(what):
    with open(__file__ + ".runs", "a") as runs:
        runs.write(what + "\\n")

@pn.cache(ttl=600)
def load(number):
    note("load")
    return pd.DataFrame({"number": [number] * 3})

@pn.cache
async def aload(number):
    note("aload")
    return number * 2

@pn.cache
def connect():
    note("connect")
    return threading.Lock()

@pn.cache(per_session=True)
def of_session():
    note("of_session")
    return 1

def by_key(a):
    note("by_key")
    return [a, (a, a)]

class Model(param.Parameterized):
    number = param.Integer(1)

    @pn.cache
    def load(self):
        note("method")
        return 1

async def asked(attr, old, new):
    found = [
        int(load(int(new)).number.sum()), int(load(number=int(new)).number.sum()), await aload(int(new)),
        connect() is connect(), of_session(),
        pn.state.as_cached("key", by_key, a=int(new)) == [int(new), (int(new),) * 2],
        Model().load(),
    ]
    if new == "9":
        load.clear()
    answer.text = json.dumps([new, found])

answer, do = Div(name="answer", text=""), TextInput(name="do", value="")
do.on_change("value", lambda attr, old, new: curdoc().add_next_tick_callback(lambda: asked(attr, old, new)))
curdoc().add_root(answer)
curdoc().add_root(do)
"""


@pytest.fixture
def app(tmp_path: Path) -> Path:
    path = tmp_path / "caching.py"
    path.write_text(APP)
    return path


def runs(app: Path) -> dict[str, int]:
    lines = app.with_name(f"{app.name}.runs").read_text().split()
    return {what: lines.count(what) for what in dict.fromkeys(lines)}


async def ask(client: Client, number: int) -> list[object]:
    await client.patch("do", value=str(number))
    await client.expect(lambda c: c.value("answer", "text").startswith(f'["{number}"'))
    return list(json.loads(client.value("answer", "text"))[1])


@pytest.mark.parametrize("where", ["fleet", "replica"])
async def test_what_is_data_is_computed_once(
    start_fleet: Callable[..., Fleet], app: Path, where: str
) -> None:
    fleet = start_fleet([app], n=2, args=["--panel-cache", where])
    clients = [await Client.open(each.app_url(), timeout=60) for each in fleet.replicas * 2]
    for client in clients:
        assert await ask(client, 5) == [15, 15, 10, True, 1, True, 1]
    once = 1 if where == "fleet" else 2

    found = runs(app)
    assert {name: found[name] for name in ("aload", "by_key")} == dict.fromkeys(("aload", "by_key"), once)
    assert found["load"] == (1 if where == "fleet" else 4)  # Panel tells load(5) from load(number=5)
    assert found["connect"] == 2
    assert found["of_session"] == 4
    if where == "fleet":
        assert await ask(clients[0], 9) == [27, 27, 18, True, 1, True, 1]
        async with asyncio.timeout(60):
            while runs(app)["load"] < 3:  # nobody waits for clear()
                await ask(clients[1], 4)
                await ask(clients[1], 5)
    for client in clients:
        await client.close()


async def test_tasks_of_panel_on_each_replica(start_fleet: Callable[..., Fleet], tmp_path: Path) -> None:
    folder = tmp_path / "ticking"
    folder.mkdir()
    (folder / "main.py").write_text(
        "import panel as pn\nimport tick_module\n"
        "pn.state.schedule_task('tick', tick_module.tick, period='1s')\npn.pane.Markdown('x').servable()\n"
    )
    (folder / "tick_module.py").write_text(
        "import os\n\ndef tick():\n    with open(__file__ + '.runs', 'a') as runs:\n"
        "        runs.write(f'{os.getpid()}\\n')\n"
    )
    fleet = start_fleet([folder], n=2, args=["--panel-tasks", "replica"])
    clients = [await Client.open(each.app_url(), timeout=60) for each in fleet.replicas]
    path = folder / "tick_module.py.runs"
    async with asyncio.timeout(60):
        while len(set(path.read_text().split() if path.exists() else ())) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    for client in clients:
        await client.close()
