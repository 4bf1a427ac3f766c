"""The server inside other programs, and apps inside other pages: the examples, in Chromium."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from bokeh.application import Application
from bokeh.application.handlers import FunctionHandler
from bokeh.settings import settings as bokeh_settings
from devfleet.fleet import Fleet
from devfleet.ports import free_port, wait_open
from devfleet.processes import Process
from devfleet.redis_server import RedisServer
from devfleet.replica import Replica
from harness.browser import Tab
from harness.client import Client
from harness.pages import get_page
from harness.site import show
from harness.wire import WireClosed
from jupyter_client.manager import AsyncKernelManager
from nbformat import read

from service import Server
from service.embedding import settings_of
from service.errors import ConfigError
from service.lines import line
from service.settings import Settings
from service.tokens import SessionIds
from service.web.auth import Auth


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
    with Replica([examples / "sliders.py"], name="sliders") as server:
        argv = [sys.executable, str(examples / "embed/django_app.py"), "--port", "0"]
        with Process("django", [*argv, "--bokeh-url", server.app_url()]) as django:
            found = await asyncio.to_thread(django.wait_line, r"the page is at http://127.0.0.1:(\d+)/")
            port = found[1]
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
            assert len(server.get_sessions(app_path="/")) == 1
            assert client.page is not None
            assert server.get_session("/", client.page.session_id) is server.get_sessions()[0]
            with pytest.raises(ValueError, match="no app"):
                server.get_sessions("/other")
            with pytest.raises(ValueError, match="no such session"):
                server.get_session("/", "other")
    finally:
        await server.stopped()


@asynccontextmanager
async def serving(apps: Any = fill, **options: Any) -> AsyncIterator[tuple[Server, str]]:
    server = Server(apps, port=0, address="127.0.0.1", **options)
    try:
        await server.started()
        yield server, f"http://127.0.0.1:{server.port}"
    finally:
        await server.stop_async()


def app_that_notes(notes: list[str]) -> Application:
    """An app all whose hooks note that they have run to their end."""

    def noting(name: str) -> Any:
        async def hook(self: Any, context: Any) -> None:
            await asyncio.sleep(0)
            notes.append(name)

        return hook

    names = ("on_server_loaded", "on_server_unloaded", "on_session_created", "on_session_destroyed")
    kind: Any = type("Noting", (FunctionHandler,), {name: noting(name.removeprefix("on_")) for name in names})
    return Application(kind(fill), metadata=lambda: {"notes": len(notes)})


async def test_hooks_have_run_when_a_stop_is_complete() -> None:
    notes: list[str] = []
    async with serving(app_that_notes(notes)) as (server, url):
        async with await Client.open(url):
            assert notes == ["server_loaded", "session_created"]
            await server.stop_async()
            assert notes[2:] == ["session_destroyed", "server_unloaded"]
        await server.wait_until_stopped()


async def test_a_stop_from_the_loop_itself_can_be_waited_for() -> None:
    notes: list[str] = []
    async with serving(app_that_notes(notes)) as (server, _):
        await server.wait_until_stopped()  # nobody asked: nothing to wait for
        server.stop()
        assert notes == ["server_loaded"]
        one, other = server.wait_until_stopped(), server.stop_async()
        await asyncio.gather(one, other)
        assert notes == ["server_loaded", "server_unloaded"]


async def test_a_stop_from_another_thread_waits() -> None:
    notes: list[str] = []
    async with serving(app_that_notes(notes)) as (server, _):
        await asyncio.to_thread(server.stop)
        assert notes == ["server_loaded", "server_unloaded"]


@pytest.mark.parametrize("end", ["stop", "unlisten"])
@pytest.mark.parametrize("elsewhere", [False, True])
async def test_the_port_is_free_when_it_returns(end: str, elsewhere: bool) -> None:
    async with serving() as (server, url):
        async with await Client.open(url) as client:
            given_back = getattr(server, end)
            if elsewhere:
                await asyncio.to_thread(given_back)
            else:
                given_back()
            with socket.socket() as taken:
                taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                taken.bind(("127.0.0.1", server.port))
                taken.listen()
            if end == "unlisten":  # who is there stays
                await client.server_info()
        await server.stop_async()


async def test_sessions_are_found_by_app_and_id() -> None:
    async with serving({"/one": fill, "/([a-z]+)": fill}, index="/its/index.html") as (server, url):
        assert server.index == "/its/index.html"
        assert server.unix_socket is None
        assert server.get_sessions() == []
        async with await Client.open(f"{url}/one"), await Client.open(f"{url}/other") as other:
            assert other.page is not None
            session_id = other.page.session_id
            assert len(server.get_sessions()) == 2
            assert [each.id for each in server.get_sessions("/([a-z]+)")] == [session_id]
            assert server.get_session("/([a-z]+)", session_id).id == session_id
            with pytest.raises(ValueError, match="no such session"):
                server.get_session("/one", session_id)


async def test_a_program_listens_on_a_unix_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    server = Server(fill, unix_socket=path)
    try:
        await server.started()
        assert (server.unix_socket, server.port) == (path, 0)
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")
        assert b" 200 OK" in await reader.readline()
        writer.close()
        server.unlisten()
        assert not os.path.exists(path)  # noqa: ASYNC240 - a small look
    finally:
        await server.stop_async()


async def test_metadata_may_be_a_function() -> None:
    async with serving(app_that_notes([])) as (_, url):
        assert (await get_page(f"{url}/metadata")).json() == {"url": "/", "data": {"notes": 1}}


async def test_all_sessions_of_an_app_are_updated() -> None:
    async def later(doc: Any) -> None:
        await asyncio.sleep(0)
        doc.title = f"{doc.title} later"

    def titled(doc: Any) -> None:
        doc.title = "updated"

    def failing(doc: Any) -> None:
        raise RuntimeError("not this one")

    async with serving({"/one": fill, "/other": fill}) as (server, url), AsyncExitStack() as clients:
        one, two, other = [
            await clients.enter_async_context(await Client.open(f"{url}/{path}"))
            for path in ("one", "one", "other")
        ]
        await server.update_sessions("/one", titled)
        await server.update_sessions("/one", later)
        for client in (one, two):
            await client.expect(lambda c: c.document.title == "updated later")
        assert other.document.title == "filled"
        assert len(server.get_sessions()) == 3
        with pytest.raises(RuntimeError, match="not this one"):
            await server.update_sessions("/one", failing)
        with pytest.raises(ValueError, match="no app"):
            await server.update_sessions("/none", titled)


async def test_tornados_own_options_are_passed_on() -> None:
    async with serving(http_server_kwargs={"no_keep_alive": True}) as (_, url):
        assert (await get_page(url)).headers["Connection"] == "close"
    with pytest.raises(ConfigError, match="ssl_certfile"):
        Server(fill, port=0, http_server_kwargs={"ssl_options": {}})
    with pytest.raises(ConfigError, match="no option keep"):
        Server(fill, port=0, http_server_kwargs={"keep": True})


async def test_a_server_that_never_started_gives_back_its_port() -> None:
    server = Server(fill, port=0, address="127.0.0.1")
    await server.stop_async()

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", server.port))


# -- what Bokeh's settings say ---------------------------------------------------------------------


@pytest.fixture
def bokehs_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Bokeh's settings as a program sets them; unset again afterwards."""
    for name in [name for name in os.environ if name.startswith(("BOKEH_", "SVC_"))]:
        monkeypatch.delenv(name)
    names = ("secret_key", "sign_sessions", "cookie_secret", "xsrf_cookies", "ico_path", "auth_module")
    yield bokeh_settings
    for name in names:
        getattr(bokeh_settings, name).unset_value()


async def made(**options: Any) -> Settings:
    server = Server.from_settings(fill, port=0, **options)
    await server.stop_async()
    return server._replica.settings


async def test_what_programs_set_in_bokehs_settings_counts(
    bokehs_settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bokehs_settings.secret_key = "of the settings, long enough to be one"
    bokehs_settings.sign_sessions = True
    bokehs_settings.cookie_secret = "biscuit"
    bokehs_settings.xsrf_cookies = True
    bokehs_settings.ico_path = "none"

    found = await made()
    assert found.secret_key == "of the settings, long enough to be one"
    assert found.session_ids is SessionIds.SIGNED
    assert (found.cookie_secret, found.enable_xsrf_cookies, found.ico_path) == ("biscuit", True, "none")

    monkeypatch.setenv("SVC_COOKIE_SECRET", "ours")
    found = await made(secret_key=b"given", sign_sessions=False)
    assert (found.secret_key, found.session_ids) == ("given", SessionIds.UNSIGNED)
    assert found.cookie_secret == "ours"

    auth = tmp_path / "auth.py"
    auth.write_text("def get_user(handler): return 'x'\nlogin_url = '/in'\n")
    bokehs_settings.auth_module = str(auth)
    assert (await made()).auth_module == str(auth)
    assert (await made(auth_provider=Auth())).auth_module is None


async def test_signing_needs_a_key(bokehs_settings: Any) -> None:
    with pytest.raises(ConfigError, match="secret"):
        await made(sign_sessions=True, generate_session_ids=False)


# -- who the user is -------------------------------------------------------------------------------


class Policy:
    """Made by hand: Bokeh 3.9 has no class for it."""

    def __init__(self, authenticator: Any, *, login_url: Any = None, logout_url: str | None = None) -> None:
        self._authenticator, self._login_url, self.logout_url = authenticator, login_url, logout_url

    async def authenticate(self, request: Any) -> Any:
        return self._authenticator(request)

    def get_login_url(self, request: Any) -> str | None:
        return self._login_url(request) if callable(self._login_url) else self._login_url


POLICIES = [Policy]
if line.VERSION >= (3, 10):
    POLICIES.append(import_module("bokeh.server.auth").AuthPolicy)


def show_user(doc: Any) -> None:
    context = doc.session_context
    doc.title = f"{context.request.user} leaves by {context.logout_url}"


def by_cookie(request: Any) -> Any:
    assert (request.method, request.protocol) == ("GET", "http")
    assert request.headers["host"] == request.headers["Host"] == request.host
    assert request.root_path == ""
    assert request.uri.startswith(request.path)
    named = request.cookies.get("name")
    return None if named is None else {"name": named.value, "asks": sorted(request.arguments)}


def by_argument(request: Any) -> str | None:
    return f"/enter?from={request.query}" if "a" in request.arguments else None


@pytest.mark.parametrize("kind", POLICIES)
@pytest.mark.parametrize("given_as", ["auth_policy", "auth_provider"])
async def test_a_policy_says_who_may_see_an_app(kind: Any, given_as: str) -> None:
    policy = kind(by_cookie, login_url=by_argument, logout_url="out")
    async with serving(show_user, prefix="p", **{given_as: policy}) as (_, base):
        url = f"{base}/p"
        stranger = await get_page(url, arguments={"a": "1"}, follow=False)
        assert (stranger.status, stranger.headers["Location"]) == (302, "/enter?from=a=1")
        assert (await get_page(url)).status == 401
        assert (await get_page(f"{url}/autoload.js")).status == 403

        cookies = {"name": "ann"}
        page = await get_page(url, cookies=cookies)
        assert page.status == 200
        with pytest.raises(WireClosed, match="403"):
            await Client(url, page.token).connect()
        async with await Client.open(url, cookies=cookies) as client:
            assert client.document.title == '{"asks": [], "name": "ann"} leaves by /p/out'


@pytest.mark.parametrize("kind", POLICIES)
async def test_a_policy_may_point_to_pages_elsewhere(kind: Any) -> None:
    policy = kind(by_cookie, login_url="https://in.example/", logout_url="https://out.example/")
    async with serving(show_user, auth_policy=policy) as (_, url):
        assert (await get_page(url, follow=False)).headers["Location"] == "https://in.example/"
        async with await Client.open(url, cookies={"name": "bob"}) as client:
            assert client.document.title.endswith("leaves by https://out.example/")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"auth_policy": object()}, "auth_policy: it has no authenticate"),
        ({"auth_policy": Policy(by_cookie), "auth_provider": Auth()}, "not both"),
    ],
)
def test_a_policy_that_would_let_in_everybody_is_refused(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        Server(fill, port=0, **options)


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


@pytest.mark.parametrize("options", [{"num_procs": 2}, {"dev": True}, {"dev": ()}, {"no_such_option": 1}])
def test_an_option_that_cannot_be_is_refused_by_name(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        Server(fill, port=0, **options)
