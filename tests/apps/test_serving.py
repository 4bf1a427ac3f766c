"""`service.serve` takes what `pn.serve` takes: each thing alone, in a script, a running loop and a thread."""

from __future__ import annotations

import asyncio
import inspect
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import panel as pn
import pytest
from bokeh.application import Application
from bokeh.application.handlers import FunctionHandler
from bokeh.models import Div
from devfleet.ports import free_port, wait_open
from devfleet.processes import Process
from harness.client import Client
from harness.pages import get_page
from panel.io.server import get_server
from tornado.ioloop import IOLoop

from service import serve
from service.embedding import settings_of
from service.errors import ConfigError
from service.serving import ServerThread
from service.settings import OPTIONS


class Shown(pn.viewable.Viewer):
    """What is made of Panel's base class for authors."""

    def __panel__(self) -> Any:
        return pn.pane.Str("of a class")


def build() -> Any:
    """Built for each session."""
    return pn.Column(pn.pane.Str(f"built for {pn.state.location.pathname}"), pn.widgets.IntSlider(value=7))


def fill(document: Any) -> None:
    document.add_root(Div(text="a plain one"))


@pytest.fixture(scope="module")
def thread(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerThread]:
    folder = tmp_path_factory.mktemp("served")
    script = folder / "script.py"
    script.write_text("import panel as pn\npn.pane.Str(f'a script of {__name__}').servable()\n")
    (folder / "hello.txt").write_text("hello")
    panels = {
        "function": build, "viewable": pn.Row(pn.pane.Str("one for all")), "class": Shown(),
        "text": "# a title",
        "template": pn.template.FastListTemplate(title="a template", main=[pn.pane.Str("in it")]),
        "script": script, "path": str(script), "/plain": Application(FunctionHandler(fill)),
    }  # fmt: skip
    titles = {name: f"title of {name}" for name in panels}
    served = serve(
        panels, title=titles, show=False, threaded=True, static_dirs={"files": folder},
        liveness="alive", session_history=10, websocket_origin=["other.example.com", "localhost:*"],
    )  # fmt: skip
    assert isinstance(served, ServerThread)
    yield served
    served.stop()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("function", "built for /function"), ("viewable", "one for all"), ("class", "of a class"),
        ("text", "a title"), ("template", "in it"), ("script", "a script of"), ("path", "a script of"),
        ("plain", "a plain one"),
    ],
)  # fmt: skip
async def test_it_is_shown(thread: ServerThread, name: str, text: str) -> None:
    async with await Client.open(thread.server.url + name, timeout=60) as client:
        assert text in json.dumps(client.document_json)
        if name in ("function", "viewable", "class", "text"):
            assert client.document.title == f"title of {name}"


async def test_what_panels_options_add(thread: ServerThread) -> None:
    url = thread.server.url
    assert (await get_page(f"{url}files/hello.txt")).text == "hello"
    assert (await get_page(f"{url}alive")).json() == {"/alive": True}
    assert (await get_page(f"{url}session_info")).json().keys() == {"total", "live", "sessions"}
    origin = {"Origin": "http://other.example.com"}
    async with await Client.open(f"{url}function", headers=origin, timeout=60) as client:
        assert client.document_json["roots"]


async def test_in_a_running_loop() -> None:
    server = serve(build, show=False, verbose=False)
    assert not isinstance(server, ServerThread)
    await server.started()
    try:
        async with await Client.open(server.url, timeout=60) as client:
            assert "built for /" in json.dumps(client.document_json)
    finally:
        await server.stop_async()


@pytest.mark.filterwarnings("ignore:.*socket.socket:pytest.PytestUnraisableExceptionWarning")
def test_a_thread_gives_back_its_port_and_says_what_is_wrong() -> None:
    first = serve(build, show=False, threaded=True, verbose=False)
    assert isinstance(first, ServerThread)
    port = first.server.port
    # Tornado (6.6) forgets to close the socket for which it finds no place.
    with pytest.raises(ConfigError, match=str(port)):
        serve(build, port=port, show=False, threaded=True)
    first.stop()
    first.stop()
    assert not first.is_alive()

    again = serve(build, port=port, show=False, threaded=True, verbose=False)
    assert isinstance(again, ServerThread)
    again.stop()


SCRIPT = """
import sys
from service import serve

def page():
    import panel as pn
    return pn.pane.Str("of a script")

serve({"page": page}, port=int(sys.argv[1]), show=True, title="it")
print("the end")
"""


async def test_in_a_script_until_it_is_told_to_end(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(SCRIPT)
    browser = tmp_path / "browser"
    browser.write_text(f"#!/bin/sh\necho $1 >> {tmp_path}/shown\n")
    browser.chmod(0o755)
    port = free_port()
    program = Process(
        "program", [sys.executable, str(tmp_path / "program.py"), str(port)], env={"BROWSER": str(browser)}
    )
    with program:
        await asyncio.to_thread(wait_open, port, 60)
        program.wait_line("Launching server at http://localhost")
        async with await Client.open(f"http://127.0.0.1:{port}/page", timeout=60) as client:
            assert "of a script" in json.dumps(client.document_json)
        await asyncio.to_thread(program.stop)
        program.wait_line("the end")
    assert f":{port}/" in (tmp_path / "shown").read_text()


@pytest.mark.parametrize(
    ("panels", "options", "said"),
    [
        ({"a/": build}, {}, "must not end with a slash"),
        ({"a": build, "b": build}, {"title": {"a": "A"}}, "title has none for /b"),
        (build, {"admin": True}, "--admin-user"),
        (build, {"no_such": 1}, "no option no_such"),
        (build, {"static_dirs": {"x": "/no/such"}}, "leads to no directory"),
        (build, {"num_procs": 2}, "num_procs"),
    ],
)
def test_what_cannot_be_is_refused(panels: Any, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        serve(panels, show=False, start=False, **options)


OF_A_LOGIN = {
    "basic_auth", "cookie_path", "login_endpoint", "login_template", "logout_endpoint", "logout_template",
}  # fmt: skip
SAMPLES: dict[str, Any] = {
    "static_dirs": {}, "liveness": True, "session_history": 3, "warm": True, "root_path": "/x",
    "cookie_secret": "c",
}  # fmt: skip


def parameters(function: Callable[..., Any]) -> set[str]:
    found = inspect.signature(function).parameters.values()
    return {each.name for each in found if each.kind is not each.VAR_KEYWORD}


def test_it_has_all_parameters_of_panels_in_the_same_order_with_the_same_defaults() -> None:
    theirs, ours = (inspect.signature(each).parameters for each in (pn.serve, serve))
    assert list(ours) == list(theirs)
    for name, each in theirs.items():
        assert (ours[name].default, ours[name].kind) == (each.default, each.kind)


def test_it_takes_all_options_of_panels_servers() -> None:
    more = parameters(get_server) - parameters(serve) - {"panel"}
    wanted = {name for name in more if not name.startswith("oauth_") and name not in OF_A_LOGIN}
    assert wanted == SAMPLES.keys()
    assert wanted <= OPTIONS.keys()
    for name in wanted - {"static_dirs", "liveness"}:
        settings_of({name: SAMPLES[name]})


async def test_a_loop_that_runs_already_is_refused_at_once() -> None:
    with pytest.raises(RuntimeError, match="already running"):
        await asyncio.to_thread(ServerThread, lambda io_loop: None, IOLoop.current())
