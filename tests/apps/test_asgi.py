"""The server in ASGI programs: mounted, with their users, in several workers, under their signals."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest
from devfleet.ports import free_port
from devfleet.processes import Process
from devfleet.redis_server import RedisServer
from harness.browser import Tab
from harness.client import Client
from harness.oidc import OidcProvider
from harness.pages import get_page, post
from harness.visitor import Visitor, said
from harness.wire import WireClosed
from operations.scrape import scrape, until

APPS = Path(__file__).with_name("asgi_apps")


SERVING = {
    "uvicorn": "running on http",
    "hypercorn": "Running on http",
    "granian": "Started worker",
    "gunicorn": "Application startup complete",  # it listens before
}
"""What each server says as soon as it accepts connections."""


class Program(Process):
    """`uvicorn MODULE:app` on a port of its own, or with another server's command line."""

    def __init__(
        self, module: str, *args: str, server: str = "uvicorn", name: str = "app", **options: Any
    ) -> None:
        self.port = free_port()
        self._server = server
        where = {
            "uvicorn": ["--port", str(self.port)],
            "hypercorn": ["--bind", f"127.0.0.1:{self.port}", "--access-logfile", "-"],
            "granian": ["--interface", "asgi", "--port", str(self.port)],
            "gunicorn": [
                *("-k", "uvicorn_worker.UvicornWorker", "--bind", f"127.0.0.1:{self.port}"),
                "--no-control-socket",
            ],
        }
        argv = [sys.executable, "-m", server, f"{module}:{name}", *where[server], *args]
        super().__init__(module, argv, **options)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def wait_serving(self) -> None:
        self.wait_line(SERVING[self._server], 60)


@pytest.fixture
def program(examples: Path) -> Iterator[Callable[..., Program]]:
    """Runs a program of examples/embed, or of asgi_apps: `program("fastapi_app", ...)`."""
    running: list[Program] = []

    def start(module: str, *args: str, env: dict[str, str] | None = None, **options: Any) -> Program:
        path = f"{examples / 'embed'}:{APPS}"
        program = Program(module, *args, env={"PYTHONPATH": path, **(env or {})}, **options)
        running.append(program)
        program.start()
        program.wait_serving()
        return program

    yield start
    for each in running:
        each.stop()


async def moved(client: Client) -> None:
    await client.patch("exponent", value=3)
    await client.expect(lambda c: c.value("curve", "data")["y"][-1] == 27)


@pytest.mark.parametrize("server", ["uvicorn", "hypercorn", "granian"])
async def test_a_fastapi_page_with_an_app_of_the_same_process(
    program: Callable[..., Program], open_tab: Callable[..., Any], server: str
) -> None:
    running = program("fastapi_app", server=server)
    tab: Tab = await open_tab()
    await tab.open(f"{running.url}/login/anna")
    assert await tab.raw.locator("h1").inner_text() == "A page of anna's"
    await tab.until("value('user', 'text') === 'anna'")
    await tab.nudge_slider("exponent", 2)
    await tab.until("value('curve', 'data.y').at(-1) === 9")


async def test_a_django_page_with_an_app_of_the_same_process(
    program: Callable[..., Program], tab: Tab, tmp_path: Path
) -> None:
    """Whose sessions are those of the user of Django's session, and of nobody who has none."""
    database = {"DEMO_DATABASE": str(tmp_path / "demo.sqlite3")}
    running = program("django_asgi", name="application", env=database)
    app = f"{running.url}/bokeh/powers"
    assert (await get_page(app, follow=False)).headers["Location"] == "/login?next=%2Fbokeh%2Fpowers"
    assert (await get_page(f"{app}/autoload.js", follow=False)).status == 403

    await tab.raw.goto(running.url)
    for name in ("username", "password"):
        await tab.raw.locator(f"[name={name}]").fill("demo")
    await tab.raw.get_by_text("Log in").click()
    await tab.drawn()
    assert await tab.raw.locator("h1").inner_text() == "A page of demo's"
    await tab.until("value('user', 'text') === 'demo'")
    await tab.nudge_slider("exponent", 2)
    await tab.until("value('curve', 'data.y').at(-1) === 9")

    cookies = {each["name"]: each["value"] for each in await tab.raw.context.cookies()}
    page = await get_page(app, cookies=cookies)
    assert page.status == 200
    with pytest.raises(WireClosed) as refused:
        await Client(app, page.token).connect()  # without Django's session
    assert refused.value.http_status == 403


@pytest.mark.parametrize("server", ["uvicorn", "hypercorn"])
async def test_a_panel_page_has_all_it_asks_its_server_for(
    program: Callable[..., Program], tab: Tab, server: str
) -> None:
    running = program("asgi_panel", server=server)
    await tab.raw.context.add_cookies([{"name": "who", "value": "anna", "url": running.url}])
    await tab.raw.goto(f"{running.url}/apps/panel/people?amount=3")

    for text in ("first line: anna at /apps/panel/people ?amount=3", "twice 6"):
        await tab.raw.get_by_text(text).wait_for()
    await tab.raw.get_by_text("loaded", exact=True).wait_for()
    await tab.raw.locator(".tabulator-row").nth(1).wait_for()
    style = "getComputedStyle(document.body).getPropertyValue('--house')"
    assert (await tab.evaluate(style)).strip() == "7"  # of a file of the app's own template
    await tab.raw.get_by_text("add", exact=True).click()
    await tab.raw.locator(".tabulator-row").nth(2).wait_for()
    await tab.raw.locator(".noUi-handle").first.press("ArrowRight")
    await tab.raw.get_by_text("twice 8").wait_for()
    await tab.raw.wait_for_url("**?amount=4")

    await tab.raw.goto(f"{running.url}/apps/panel/greeting")  # what a function returns
    await tab.raw.get_by_text("hello anna").wait_for()
    assert tab.requested_elsewhere == []


async def test_a_page_below_the_mount(program: Callable[..., Program], tab: Tab) -> None:
    tab.expect_problem("favicon.ico")  # the host has none
    await tab.open(f"{program('fastapi_app').url}/bokeh/powers")
    await tab.nudge_slider("exponent", 2)
    await tab.until("value('curve', 'data.y').at(-1) === 9")


async def test_what_is_below_the_mount(program: Callable[..., Program]) -> None:
    running = program("fastapi_app")
    for path, status in {
        "/bokeh/healthz": 200,
        "/bokeh/readyz": 200,
        "/bokeh/metrics": 200,
        "/bokeh/static/js/bokeh.min.js": 200,
        "/bokeh/powers/metadata": 200,
        "/bokeh/none": 404,
        "/healthz": 404,
    }.items():
        assert (await get_page(running.url + path)).status == status, path
    index = await get_page(f"{running.url}/bokeh")
    assert (index.status, index.url) == (200, f"{running.url}/bokeh/powers")  # of the one app that there is


async def test_a_user_of_one_browser_cannot_use_the_token_of_another(program: Callable[..., Program]) -> None:
    url = f"{program('fastapi_app').url}/bokeh/powers"
    page = await get_page(url, cookies={"who": "anna"})
    with pytest.raises(WireClosed) as refused:
        await Client(url, page.token, cookies={"who": "berta"}).connect()
    assert refused.value.http_status == 403


async def test_a_page_of_another_host_may_not_connect(program: Callable[..., Program]) -> None:
    url = f"{program('fastapi_app').url}/bokeh/powers"
    page = await get_page(url)
    with pytest.raises(WireClosed) as refused:
        await Client(url, page.token, headers={"Origin": "http://evil.test"}).connect()
    assert refused.value.http_status == 403


class Visitors:
    """Some with a session each, who come back as BokehJS does, to `url` in the end."""

    def __init__(self, url: str, clients: list[Client]) -> None:
        self.url = url
        self.clients = clients

    async def use(self) -> None:
        for number, client in enumerate(self.clients):
            await client.patch("exponent", value=1.5 + number / 8)

    async def come_back(self) -> None:
        """Each as often as its socket is closed, until it stays; with what it was about before."""
        await asyncio.gather(*(self._come_back(client) for client in self.clients))
        values = [client.value("exponent", "value") for client in self.clients]
        assert values == [1.5 + number / 8 for number in range(len(self.clients))]

    async def _come_back(self, client: Client) -> None:
        await client.wait_closed(60)
        client.url = self.url
        while not client.connected:
            try:
                await client.reconnect()
                await client.server_info()
            except (WireClosed, OSError):
                await asyncio.sleep(0.05)


@pytest.fixture
async def visit() -> AsyncIterator[Callable[..., Awaitable[Visitors]]]:
    """Opens that many sessions: `visitors = await visit(url, 6)`."""
    async with AsyncExitStack() as stack:

        async def open_them(url: str, count: int) -> Visitors:
            opened = await asyncio.gather(*(Client.open(url) for _ in range(count)))
            for each in opened:
                stack.push_async_callback(each.close)
            return Visitors(url, opened)

        yield open_them


async def up(running: Program, count: int) -> None:
    """Return when that many workers have begun since the program was started."""
    begun = "Application startup complete"
    await asyncio.to_thread(until, lambda: len(running.matching(begun)) == count, 60)


async def test_two_workers_with_one_redis_are_one_server_also_over_a_restart(
    program: Callable[..., Program], redis_server: RedisServer, visit: Callable[..., Awaitable[Visitors]]
) -> None:
    args = ["--workers", "2", "--timeout-worker-healthcheck", "60"]
    running = program("fastapi_app", *args, env={"SVC_REDIS_URL": redis_server.url})
    await up(running, 2)
    visitors = await visit(f"{running.url}/bokeh/powers", 12)
    await visitors.use()
    first = visitors.clients[0].page
    assert first is not None
    async with await Client.open(visitors.url, session_id=first.session_id) as other:
        assert other.value("exponent", "value") == 1.5
    running.send_signal(signal.SIGHUP)  # one worker after the other
    await visitors.come_back()
    await up(running, 4)


async def test_nothing_is_lost_at_the_signals_of_gunicorn(
    program: Callable[..., Program], redis_server: RedisServer, visit: Callable[..., Awaitable[Visitors]]
) -> None:
    env = {"SVC_REDIS_URL": redis_server.url}
    running = program("fastapi_app", "--workers", "2", server="gunicorn", env=env)
    await up(running, 2)
    visitors = await visit(f"{running.url}/bokeh/powers", 6)
    await visitors.use()
    running.send_signal(signal.SIGHUP)
    await visitors.come_back()
    await up(running, 4)

    following = program("fastapi_app", server="gunicorn", env=env)
    visitors.url = f"{following.url}/bokeh/powers"
    running.terminate()
    await visitors.come_back()
    assert await asyncio.to_thread(running.wait) == 0
    for each in visitors.clients:
        await moved(each)


async def test_nothing_is_lost_as_a_program_is_started_anew(
    program: Callable[..., Program], redis_server: RedisServer
) -> None:
    """As a rolling restart does: the next one runs before the last one gets its SIGTERM."""
    env = {"SVC_REDIS_URL": redis_server.url}
    last, following = program("fastapi_app", env=env), program("fastapi_app", env=env)
    client = await Client.open(f"{last.url}/bokeh/powers")
    await client.patch("exponent", value=2.5)
    last.terminate()
    await client.wait_closed()
    assert client.close_code == 1012  # on which BokehJS comes back at once
    await asyncio.to_thread(last.wait)
    client.url = f"{following.url}/bokeh/powers"
    await client.reconnect()
    assert client.value("exponent", "value") == 2.5
    await moved(client)
    await client.close()


async def test_without_a_lifespan_it_begins_with_the_first_request(program: Callable[..., Program]) -> None:
    running = program("asgi_alone", "--lifespan", "off")
    async with await Client.open(f"{running.url}/powers") as client:
        await moved(client)
    running.wait_line("it starts with its first request")


async def test_a_mount_that_does_not_say_so_is_given_as_prefix(program: Callable[..., Program]) -> None:
    running = program("asgi_dispatched")
    assert (await get_page(f"{running.url}/")).text == "the host's own"
    page = await get_page(f"{running.url}/apps")
    assert page.url == f"{running.url}/apps/powers"
    async with await Client.open(f"{running.url}/apps/powers") as client:
        await moved(client)
        until(lambda: scrape(running.url)("svc_sessions", app="/powers", state="connected") == 1, 10)


async def test_the_hosts_middleware_says_who_the_user_is(program: Callable[..., Program]) -> None:
    url = f"{program('asgi_starlette').url}/apps/who"
    for cookies, name in (({"who": "anna"}, "anna"), ({}, "None")):
        async with await Client.open(url, cookies=cookies) as client:
            assert client.value("user", "text") == name


async def test_an_auth_policy_sees_the_host(program: Callable[..., Program]) -> None:
    url = f"{program('asgi_policy').url}/apps/who"
    assert (await get_page(url, follow=False)).headers["Location"] == "/apps/login"
    async with await Client.open(url, cookies={"who": "anna"}) as client:
        assert client.value("user", "text") == "anna"


async def test_an_auth_module_has_its_pages_below_the_mount(program: Callable[..., Program]) -> None:
    """And they lead back to the page that somebody wanted, wherever that is."""
    url = program("asgi_auth_module").url
    form = await get_page(f"{url}/apps/who?a=b")
    assert form.url == f"{url}/apps/login?next=%2Fapps%2Fwho%3Fa%3Db"
    answer = await post(form.url, {"name": "anna", "password": "bokeh"}, {})
    back = urljoin(form.url, answer.headers["Location"])
    assert back == f"{url}/apps/who?a=b"
    cookie = answer.headers.get_list("Set-Cookie")[0].partition(";")[0]
    name, _, value = cookie.partition("=")
    async with await Client.open(f"{url}/apps/who", cookies={name: value}) as client:
        assert client.value("user", "text") == "anna"


async def test_the_host_logs_its_users_in_by_openid_connect(program: Callable[..., Program]) -> None:
    """Pages of apps lead to its login and back; apps, sockets and scripts are for whom it let in."""
    with OidcProvider() as provider:
        running = program("asgi_oidc", env=provider.env())
        provider.redirect_uris.add(f"{running.url}/callback")
        app = f"{running.url}/apps/greeting"
        visitor = Visitor()
        page = await visitor.logs_in(f"{app}?a=b")
        assert page.url == f"{app}?a=b"
        async with await Client.open(app, cookies=visitor.cookies, timeout=60) as client:
            assert "hello ada@example.com" in said(client)
            stranger = Client(app, client.token)
            with pytest.raises(WireClosed) as refused:
                await stranger.connect()
            assert refused.value.http_status == 403
        assert (await get_page(f"{app}/autoload.js", follow=False)).status == 403

        await visitor.get(f"{running.url}/logout")
        assert (await visitor.get(app)).headers["Location"] == "/login?next=%2Fapps%2Fgreeting"


async def test_a_failing_start_ends_the_program(examples: Path) -> None:
    with Program("asgi_broken", env={"PYTHONPATH": str(APPS)}) as running:
        assert await asyncio.to_thread(running.wait, 60) not in (0, -signal.SIGTERM)
        running.wait_line("on_server_loaded")
