"""An app's hooks, plain and coroutine functions: each runs to its end, where the app's own modules are."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from devfleet.replica import Replica
from harness.client import Client
from harness.pages import get_page

MAIN = """
import threading
from bokeh.io import curdoc
from bokeh.models import Div

context = curdoc().session_context
curdoc().add_root(Div(name="got", text=repr({
    "created": getattr(context, "created", None),
    "hook on the loop": getattr(context, "thread_of_hook", None) == threading.main_thread().ident,
    "app on the loop": threading.current_thread() is threading.main_thread(),
    "request": {key: context.token_payload.get(key) for key in ("plain", "later", "user agent")},
})))
"""
HOOKS = """
import asyncio, threading

async def on_server_loaded(server_context):
    await asyncio.sleep(0)
    import helpers
    print("loaded", helpers.WHOSE, flush=True)

async def on_server_unloaded(server_context):
    await asyncio.sleep(0)
    import helpers
    print("unloaded", helpers.WHOSE, flush=True)

async def on_session_created(session_context):
    import helpers
    first = helpers.WHOSE
    await asyncio.sleep(0)
    import later
    session_context.thread_of_hook = threading.get_ident()
    session_context.created = (first, later.WHOSE)

async def on_session_destroyed(session_context):
    await asyncio.sleep(0)
    import ending
    print("destroyed", ending.WHOSE, session_context.destroyed, flush=True)
"""
PLAIN_HOOKS = """
import threading

def on_server_loaded(server_context):
    import helpers
    print("loaded", helpers.WHOSE, flush=True)

def on_server_unloaded(server_context):
    import helpers
    print("unloaded", helpers.WHOSE, flush=True)

def on_session_created(session_context):
    import helpers, later
    session_context.thread_of_hook = threading.get_ident()
    session_context.created = (helpers.WHOSE, later.WHOSE)

def on_session_destroyed(session_context):
    import ending
    print("destroyed", ending.WHOSE, session_context.destroyed, flush=True)
"""
REQUEST = """
async def process_request(request):
    import asyncio, helpers
    await asyncio.sleep(0)
    import asked
    return {"plain": helpers.WHOSE, "later": asked.WHOSE, "user agent": request.headers["User-Agent"]}
"""
PLAIN_REQUEST = """
def process_request(request):
    import helpers, asked
    return {"plain": helpers.WHOSE, "later": asked.WHOSE, "user agent": request.headers["User-Agent"]}
"""
FAILING_REQUEST = """
async def process_request(request):
    raise RuntimeError("this request is odd")
"""
PANEL_MAIN = "import panel as pn\npn.extension()\n" + MAIN
APPS = {
    "async_app_hooks": (MAIN, {"app_hooks.py": HOOKS + REQUEST}),
    "plain_app_hooks": (MAIN, {"app_hooks.py": PLAIN_HOOKS + PLAIN_REQUEST}),
    "async_older_names": (MAIN, {"server_lifecycle.py": HOOKS}),
    "plain_older_names": (MAIN, {"server_lifecycle.py": PLAIN_HOOKS}),
    "async_panel": (PANEL_MAIN, {"app_hooks.py": HOOKS + REQUEST}),
    "plain_panel": (PANEL_MAIN, {"app_hooks.py": PLAIN_HOOKS + PLAIN_REQUEST}),
}


def write(folder: Path, files: dict[str, str]) -> Path:
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(textwrap.dedent(text))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Apps that all have modules of the same names, from each of which it can be told whose it is."""
    folder = tmp_path_factory.mktemp("apps")
    for name, (main, hooks) in APPS.items():
        own = {f"{module}.py": f"WHOSE = {name!r}" for module in ("helpers", "later", "ending", "asked")}
        write(folder / name, {"main.py": main, **hooks, **own})
    write(folder / "failing", {"main.py": "", "app_hooks.py": FAILING_REQUEST})
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Replica]:
    args = ["--unused-session-lifetime", "200", "--check-unused-sessions", "50"]
    with Replica([folder / name for name in (*APPS, "failing")], name="hooks", args=args) as running:
        yield running


@pytest.mark.parametrize("name", APPS)
async def test_hooks_run_to_their_end_with_the_apps_own_modules(server: Replica, name: str) -> None:
    server.wait_line(f"^loaded {name}")
    async with await Client.open(server.app_url(name)) as client:
        seen: dict[str, Any] = ast.literal_eval(client.value("got", "text"))
    assert seen["created"] == (name, name)
    assert seen["hook on the loop"] is name.startswith("async")
    assert not seen["app on the loop"]
    if "app_hooks.py" in APPS[name][1]:  # Bokeh looks for this hook there only
        assert (seen["request"]["plain"], seen["request"]["later"]) == (name, name)
        assert seen["request"]["user agent"]
    await client.close()
    server.wait_line(f"^destroyed {name} True")


async def test_a_request_hook_that_fails_is_the_pages_failure(server: Replica) -> None:
    assert (await get_page(server.app_url("failing"))).status == 500
    server.wait_line("this request is odd")


@pytest.mark.parametrize("name", ["async_app_hooks", "plain_older_names"])
async def test_hooks_run_at_an_orderly_stop(folder: Path, name: str) -> None:
    with Replica([folder / name], name="stopped") as server:
        client = await Client.open(server.app_url(name))
        await client.close()
        server.terminate()
        server.wait_line(f"^destroyed {name} True")
        server.wait_line(f"^unloaded {name}")
