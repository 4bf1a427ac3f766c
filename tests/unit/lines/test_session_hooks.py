"""Session hooks run where the server says, and what they give is awaited: Bokeh 3.10 does neither."""

from __future__ import annotations

import hashlib
import inspect
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest
from bokeh.application import Application
from bokeh.application.handlers import DirectoryHandler
from bokeh.application.handlers.handler import Handler
from bokeh.application.handlers.lifecycle import LifecycleHandler
from bokeh.application.handlers.server_lifecycle import ServerLifecycleHandler

from service.lines import line

NAMES = ("on_session_created", "on_session_destroyed")
HOOKS = """
import asyncio, threading

async def on_session_created(session_context):
    await asyncio.sleep(0)
    session_context.append(threading.get_ident())

def on_session_destroyed(session_context):
    session_context.append(threading.get_ident())
"""
KNOWN = {
    (3, 9): "03fe2043cace51b5",
    (3, 10): "9a18fdce8616336d",
}


@pytest.fixture(params=["app_hooks.py", "server_lifecycle.py", "handler"])
def handler(request: pytest.FixtureRequest, tmp_path: Path) -> Handler:
    """Of a directory with either name of its hooks, and for the hooks alone."""
    name = "app_hooks.py" if request.param == "handler" else request.param
    (tmp_path / name).write_text(textwrap.dedent(HOOKS))
    (tmp_path / "main.py").write_text("")
    if request.param == "handler":
        return ServerLifecycleHandler(filename=tmp_path / name)
    return DirectoryHandler(filename=tmp_path)


async def awaited(result: Any) -> None:
    while inspect.isawaitable(result):
        result = await result


@pytest.mark.parametrize("name", NAMES)
async def test_a_hook_runs_here_to_its_end(handler: Handler, name: str) -> None:
    ran_on: Any = []

    await awaited(line.session_hook(handler, name)(ran_on))

    assert ran_on == [threading.get_ident()]


@pytest.mark.parametrize("name", NAMES)
async def test_without_a_hook_nothing_happens(name: str, tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("")
    for handler in (DirectoryHandler(filename=tmp_path), LifecycleHandler(), Handler(), Application()):
        await awaited(line.session_hook(handler, name)(None))


@pytest.mark.parametrize("base", [LifecycleHandler, DirectoryHandler, Application, Handler])
@pytest.mark.parametrize("name", NAMES)
async def test_a_class_of_the_users_is_asked_itself(base: type, name: str) -> None:
    async def own(self: Any, session_context: Any) -> None:
        session_context.append("asked")

    handler = type("Own", (base,), {name: own, "__init__": lambda self: None})()
    seen: list[str] = []

    await awaited(line.session_hook(handler, name)(seen))

    assert seen == ["asked"]


def test_bokehs_handlers_are_those_that_were_read() -> None:
    """Where this fails, Bokeh has changed how hooks are run: read it, see to `session_hook`, then note it."""
    functions = [getattr(kind, name) for kind in (LifecycleHandler, DirectoryHandler) for name in NAMES]
    source = "".join(map(inspect.getsource, functions))
    assert hashlib.sha256(source.encode()).hexdigest()[:16] == KNOWN.get(line.VERSION)
