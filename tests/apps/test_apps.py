"""What apps are promised: hooks, contexts, events, data models; one server serves nearly all of it."""

from __future__ import annotations

import ast
import asyncio
import json
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bokeh.events import DocumentReady
from bokeh.protocol import Protocol
from devfleet.replica import Replica
from harness.client import Client
from harness.pages import get_page
from harness.wire import Wire

LIFE = """
import asyncio
from pathlib import Path

LOG = Path(__file__).with_name("hooks.log")


def note(line):
    with LOG.open("a") as log:
        log.write(line + "\\n")


def on_server_loaded(server_context):
    note("loaded")


def on_server_unloaded(server_context):
    note(f"unloaded {len(server_context.sessions)}")


async def on_session_created(session_context):
    await asyncio.sleep(0)
    note(f"created {session_context.destroyed}")


async def on_session_destroyed(session_context):
    await asyncio.sleep(0)
    note(f"destroyed {session_context.destroyed}")


def process_request(request):
    return {"shouted": request.path.upper()}
"""
LIFE_MAIN = """
from bokeh.io import curdoc
from bokeh.models import Div
from .life import note

context = curdoc().session_context


def failing(session_context):
    raise RuntimeError("this hook fails")


def second(session_context):
    note("second " + str(session_context is context))


curdoc().on_session_destroyed(failing)
curdoc().on_session_destroyed(second)
curdoc().add_root(Div(name="got", text=repr({
    "id": context.id, "destroyed": context.destroyed, "payload": context.token_payload["shouted"],
    "sessions": len(context.server_context.sessions), "path": context.request.path,
    "arguments": context.request.arguments, "logout": context.logout_url,
})))
"""
OLD_HOOKS = """
def on_server_loaded(server_context):
    print("old hooks loaded", flush=True)
def on_server_unloaded(server_context):
    print("old hooks unloaded", flush=True)
def on_session_created(session_context):
    raise ValueError("a failing hook")
"""
EVENTS = """
from bokeh.events import DocumentReady
from bokeh.io import curdoc
from bokeh.models import Button, Div
button, said = Button(name="button"), Div(name="said", text="")
doc = curdoc()
doc.on_event(DocumentReady, lambda event: said.update(text=said.text + "event "))
doc.on_message("hello", lambda data: said.update(text=said.text + f"message {data}"))


async def locked(document):
    said.text += "locked "


async def with_lock():
    await doc.session_context.with_locked_document(locked)

from bokeh.document import without_document_lock
button.on_click(lambda: doc.add_timeout_callback(without_document_lock(with_lock), 1))


def held():
    doc.hold("combine")
    for count in range(10):
        said.tags = [count]
    doc.unhold()

hold = Button(name="hold")
hold.on_click(held)
for root in (button, said, hold):
    doc.add_root(root)
"""
MODELS = """
from bokeh.core.properties import Int, String
from bokeh.io import curdoc
from bokeh.model import DataModel
from bokeh.models import Div
from bokeh.model import Model

class Params(DataModel):
    amount = Int(default=1)
    label = String(default="a")

params = Params(name="params", amount=3)
shown = Div(name="shown", text="")
params.on_change("amount", lambda attr, old, new: shown.update(text=str(new)))
known = [name for name in Model.model_class_reverse_map if name.endswith(".Params")]
curdoc().on_session_destroyed(lambda context: print("/data_models ended", flush=True))
curdoc().add_root(params)
curdoc().add_root(shown)
curdoc().add_root(Div(name="known", text=str(len(known))))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("apps")
    write(folder / "alive/main.py", LIFE_MAIN)
    write(folder / "alive/life.py", LIFE)
    write(folder / "alive/__init__.py", "")
    write(
        folder / "alive/app_hooks.py",
        "from life import *\n",
    )
    write(folder / "old/main.py", "from bokeh.io import curdoc\ncurdoc().title = 'old'\n")
    write(folder / "old/server_lifecycle.py", OLD_HOOKS)
    write(folder / "events.py", EVENTS)
    write(folder / "data_models.py", MODELS)
    return folder


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text))


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Replica]:
    apps = [folder / name for name in ("alive", "old", "events.py", "data_models.py")]
    args = ["--unused-session-lifetime", "200", "--check-unused-sessions", "50"]
    with Replica(apps, name="apps", args=args) as running:
        yield running


def hooks(folder: Path) -> list[str]:
    log = folder / "alive/hooks.log"
    return log.read_text().splitlines() if log.exists() else []


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110 - what happens is in another process
            await asyncio.sleep(0.02)


async def test_the_session_context_is_complete(server: Replica) -> None:
    async with await Client.open(server.app_url("alive"), arguments={"a": "b"}) as client:
        seen: dict[str, Any] = ast.literal_eval(client.value("got", "text"))
        assert client.page is not None
        assert seen == {
            "id": client.page.session_id, "destroyed": False, "payload": "/ALIVE", "sessions": 0,
            "path": "/alive", "arguments": {"a": [b"b"]}, "logout": None,
        }  # fmt: skip


async def test_hooks_run_and_one_that_fails_stops_no_other(server: Replica, folder: Path) -> None:
    client = await Client.open(server.app_url("alive"))
    created = len(hooks(folder))
    assert hooks(folder)[0] == "loaded"
    assert "created False" in hooks(folder)
    await client.close()

    await until(lambda: "destroyed True" in hooks(folder)[created - 1 :])

    assert "second True" in hooks(folder)
    await until(lambda: "this hook fails" in server.log)


async def test_hooks_of_the_older_name_run_and_may_fail(server: Replica) -> None:
    assert (await get_page(server.app_url("old"))).status == 200
    server.wait_line("old hooks loaded")
    server.wait_line("a failing hook")


def test_hooks_run_at_a_clean_stop(folder: Path, tmp_path: Path) -> None:
    with Replica([folder / "alive", folder / "old"], name="stopped") as server:
        asyncio.run(_look_at(server.app_url("alive")))
        before = hooks(folder)
        assert server.stop() == 0

    ended = hooks(folder)[len(before) :]
    assert "destroyed True" in ended
    assert ended[-1] == "unloaded 0"
    assert "old hooks unloaded" in server.log


async def _look_at(url: str) -> None:
    client = await Client.open(url)
    await client.close()


async def test_document_events_and_locked_documents(server: Replica) -> None:
    async with await Client.open(server.app_url("events")) as client:
        await client.emit(DocumentReady())
        await client.expect_value("said", "text", "event ")
        await client.click("button")
        await client.expect_value("said", "text", "event locked ")


async def test_document_messages(server: Replica) -> None:
    async with await Client.open(server.app_url("events")) as client:
        await client.patch_json({"kind": "MessageSent", "msg_type": "hello", "msg_data": 5})
        await client.expect_value("said", "text", "message 5")


async def test_what_is_held_comes_as_one_change(server: Replica) -> None:
    async with await Client.open(server.app_url("events")) as client:
        before = len(client.messages("PATCH-DOC"))
        await client.click("hold")
        await client.expect_value("said", "tags", [9])
        assert len(client.messages("PATCH-DOC")) - before == 1


async def test_data_models_are_forgotten_with_their_session(server: Replica) -> None:
    """Bokeh keeps them for good, and then fails to make pages: their modules are gone."""
    url = server.app_url("data_models")
    for _ in range(3):
        seen = len(server.lines)
        page = await get_page(url)
        assert page.status == 200
        document = await pulled(url, page.token)
        assert [count for count in ("1", "2", "3") if f'"text": "{count}"' in document] == ["1"]
        await asyncio.to_thread(server.wait_line, "/data_models ended", 20, after=seen)


async def pulled(url: str, token: str) -> str:
    """The Document's JSON; the test's own process cannot make models of the app's classes."""
    wire = await Wire.open(f"ws{url.removeprefix('http')}/ws", token)
    await wire.receive()
    await wire.send(Protocol().create("PULL-DOC-REQ"))
    reply = await wire.receive()
    assert reply is not None
    await wire.close()
    while await wire.receive() is not None:
        pass
    return json.dumps(reply.content["doc"])
