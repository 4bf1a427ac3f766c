"""The server inside other programs, and apps inside other pages: the examples, in Chromium."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from devfleet.fleet import Fleet
from devfleet.ports import free_port, wait_open
from devfleet.processes import Process
from devfleet.redis_server import RedisServer
from devfleet.replica import Replica
from harness.browser import Tab
from harness.client import Client
from harness.site import show
from jupyter_client.manager import AsyncKernelManager
from nbformat import read

from service import Server
from service.embedding import settings_of
from service.errors import ConfigError
from service.tokens import SessionIds


@pytest.fixture
def program(examples: Path) -> Iterator[Callable[..., int]]:
    """Runs a program of examples/embed on a free port: `program("flask_app.py", ...)`; its port."""
    running: list[Process] = []

    def start(name: str, *args: str, **options: Any) -> int:
        port = free_port()
        argv = [sys.executable, str(examples / "embed" / name), "--port", str(port), *args]
        running.append(Process(name, argv, **options).start())
        wait_open(port, 30)
        return port

    yield start
    for each in running:
        each.stop()


async def moved(tab: Tab) -> None:
    """The slider's move went through Python and back."""
    await tab.nudge_slider("exponent", 2)
    await tab.until("value('curve', 'data.y').at(-1) === 9")


async def test_a_script_serves_functions_and_applications(
    program: Callable[..., int], redis_server: RedisServer
) -> None:
    ports = [program("program.py", "--redis", redis_server.url) for _ in range(2)]

    async with await Client.open(f"http://localhost:{ports[0]}/powers") as one:
        assert one.page is not None
        url = f"http://localhost:{ports[1]}/powers"
        async with await Client.open(url, session_id=one.page.session_id) as other:
            await one.patch("exponent", value=2)
            await other.expect_value("exponent", "value", 2)
            await other.expect(lambda c: c.value("curve", "data")["y"][-1] == 9)
    async with await Client.open(f"http://localhost:{ports[0]}/again") as again:
        assert again.value("exponent", "value") == 1


async def test_a_tornado_page(program: Callable[..., int], tab: Tab) -> None:
    await tab.open(f"http://127.0.0.1:{program('tornado_app.py')}/")
    await moved(tab)


async def test_a_flask_page_with_a_session_of_its_own(program: Callable[..., int], tab: Tab) -> None:
    await tab.open(f"http://127.0.0.1:{program('flask_app.py')}/")
    await moved(tab)


async def test_a_flask_page_with_a_signed_session_for_all(
    program: Callable[..., int], open_tab: Callable[..., Any]
) -> None:
    port = program("flask_app.py")
    one, other = await open_tab(), await open_tab()
    await one.open(f"http://127.0.0.1:{port}/shared")
    await other.open(f"http://127.0.0.1:{port}/shared")

    await one.nudge_slider("exponent", 2)

    await other.until("value('curve', 'data.y').at(-1) === 9")


# -- apps of three replicas behind nginx -----------------------------------------------------------

SECRET = {"BOKEH_SECRET_KEY": "what pages and replicas share"}


@pytest.fixture(scope="module")
def fleet(start_fleet: Callable[..., Fleet], examples: Path) -> Fleet:
    args = ["--allow-websocket-origin", "127.0.0.1:*", "--session-ids", "signed"]
    return start_fleet([examples / "sliders.py"], args=args, env=SECRET)


@pytest.mark.parametrize("name", ["flask_app.py", "tornado_app.py", "django_app.py"])
async def test_a_page_with_an_app_of_the_fleet(
    fleet: Fleet, program: Callable[..., int], tab: Tab, name: str
) -> None:
    port = program(name, "--bokeh-url", fleet.app_url("sliders"))
    await tab.open(f"http://127.0.0.1:{port}/")
    await shifted(tab, tab)


async def test_a_flask_page_with_a_signed_session_of_the_fleet_for_all(
    fleet: Fleet, program: Callable[..., int], open_tab: Callable[..., Any]
) -> None:
    port = program("flask_app.py", "--bokeh-url", fleet.app_url("sliders"), env=SECRET)
    one, other = await open_tab(), await open_tab()
    for tab in (one, other):
        await tab.open(f"http://127.0.0.1:{port}/shared")

    await shifted(one, other)


async def test_a_notebook_of_jupyters_with_an_app_of_the_fleet(
    fleet: Fleet, examples: Path, tab: Tab
) -> None:
    async with notebook(examples, BOKEH_URL=fleet.app_url("sliders")) as outputs:
        await show(tab, outputs[-1], free_port())
        await shifted(tab, tab)


async def shifted(one: Tab, other: Tab) -> None:
    """A slider moved in one tab went through Python and shows in the other."""
    value = await one.nudge_slider("offset", 2)
    await other.until("value('wave', 'data.y.0') === argument", value)


# -- pages on another origin -----------------------------------------------------------------------


async def test_a_django_page_on_another_origin(program: Callable[..., int], examples: Path, tab: Tab) -> None:
    port = free_port()
    with Replica([examples / "sliders.py"], name="sliders", origins=[f"127.0.0.1:{port}"]) as server:
        argv = [sys.executable, str(examples / "embed/django_app.py"), "--port", str(port)]
        with Process("django", [*argv, "--bokeh-url", server.app_url()]) as django:
            await asyncio.to_thread(django.wait_line, "the page is at")
            await tab.open(f"http://127.0.0.1:{port}/")
            assert await tab.raw.locator("h1").inner_text() == "A page of Django's"
            await tab.until("Bokeh.documents[0].roots().length >= 1")


async def test_a_page_of_an_origin_that_is_not_allowed_says_which_flag_is_missing(
    examples: Path, open_tab: Callable[..., Any]
) -> None:
    port = free_port()
    with Replica([examples / "sliders.py"], name="sliders") as server:
        argv = [sys.executable, str(examples / "embed/django_app.py"), "--port", str(port)]
        with Process("django", [*argv, "--bokeh-url", server.app_url()]) as django:
            await asyncio.to_thread(django.wait_line, "the page is at")
            tab = await open_tab()
            tab.expect_problem(".")
            await tab.raw.goto(f"http://127.0.0.1:{port}/")
            await asyncio.to_thread(server.wait_line, f"--allow-websocket-origin=127.0.0.1:{port}")


# -- notebooks -------------------------------------------------------------------------------------


async def test_a_notebook_of_jupyters(examples: Path, tab: Tab) -> None:
    port = free_port()
    async with notebook(examples, NOTEBOOK_ORIGIN=f"127.0.0.1:{port}") as outputs:
        await show(tab, "".join(outputs), port)
        await moved(tab)
        tab.check()
        tab.expect_problem("WebSocket connection|Failed to connect")  # the kernel ends before the tab


@asynccontextmanager
async def notebook(examples: Path, **env: str) -> AsyncIterator[list[str]]:
    """Runs the example in a kernel, which lives on meanwhile; the HTML that each cell shows."""
    cells = [cell.source for cell in read(examples / "embed/notebook.ipynb", 4).cells if "outputs" in cell]
    manager = AsyncKernelManager(kernel_name="python3")
    await manager.start_kernel(cwd=str(examples / "embed"), env={**os.environ, **env})
    client = manager.client()
    client.start_channels()
    try:
        await client.wait_for_ready(timeout=60)
        yield [await run_cell(client, cell) for cell in cells]
    finally:
        client.stop_channels()
        await manager.shutdown_kernel(now=True)


async def run_cell(client: Any, source: str) -> str:
    html: list[str] = []

    def take(message: Any) -> None:
        html.append(message["content"].get("data", {}).get("text/html", ""))

    reply = await client.execute_interactive(source, timeout=60, output_hook=take)
    assert reply["content"]["status"] == "ok", reply["content"]
    return "".join(html)


# -- the class itself ------------------------------------------------------------------------------


def fill(doc: Any) -> None:
    doc.title = "filled"


async def test_a_server_on_a_loop_that_runs_already() -> None:
    server = Server(fill, port=0, address="127.0.0.1")
    await server.started()
    try:
        async with await Client.open(f"http://127.0.0.1:{server.port}") as client:
            assert client.document.title == "filled"
            assert len(server.get_sessions()) == 1
            assert len(server.get_sessions("/")) == 1
            with pytest.raises(ValueError, match="no app"):
                server.get_sessions("/other")
    finally:
        await server.stopped()


def test_options_by_bokehs_names() -> None:
    settings = settings_of(
        {
            "keep_alive_milliseconds": 500, "use_index": False, "redirect_root": False, "xsrf_cookies": True,
            "secret_key": b"k", "sign_sessions": True, "generate_session_ids": False, "prefix": "a/",
            "extra_websocket_origins": ["h:1"], "address": None, "unused_session_lifetime": 3.0,
        }
    )  # fmt: skip

    assert settings.keep_alive == 0.5
    assert settings.disable_index
    assert settings.disable_index_redirect
    assert settings.enable_xsrf_cookies
    assert (settings.secret_key, settings.session_ids) == ("k", SessionIds.EXTERNAL_SIGNED)
    assert settings.prefix == "/a"
    assert settings.allow_websocket_origin == ("h:1",)
    assert settings.unused_session_lifetime == 3.0


@pytest.mark.parametrize("options", [{"num_procs": 2}, {"no_such_option": 1}])
def test_an_option_that_cannot_be_is_refused_by_name(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        Server(fill, port=0, **options)
