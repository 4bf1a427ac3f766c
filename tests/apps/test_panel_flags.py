"""Flags of `panel serve` that work here, tried as they are there."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Callable, Iterator
from http.cookies import SimpleCookie
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from devfleet.fleet import Fleet
from devfleet.replica import PanelServe, Replica, Server
from harness.browser import Tab
from harness.client import Client
from harness.pages import get_page
from tornado.httpclient import AsyncHTTPClient, HTTPRequest, HTTPResponse

from service.lines import line

Start = Callable[..., Replica]

APP = """
import os
from bokeh.io import curdoc
from bokeh.models import Div

curdoc().add_root(Div(name="said", text=os.environ.get("SAID", "nothing")))
with open(os.path.join(os.path.dirname(__file__), "runs"), "a") as runs:
    runs.write("x")
"""

PLUGIN = """
from tornado.web import RequestHandler

class Hello(RequestHandler):
    def initialize(self, name):
        self.name = name
    def get(self):
        self.finish(f"hello {self.name}")

ROUTES = [("/hello", Hello, {"name": "ada"})]
"""

AUTH = """
from tornado.web import RequestHandler

login_url = "/login"

def get_user(handler):
    return handler.get_cookie("user")
"""


def write(path: Path, text: str) -> None:
    path.write_text(text)


@pytest.fixture
def app(tmp_path: Path) -> Path:
    path = tmp_path / "app.py"
    path.write_text(APP)
    return path


async def test_files_plugins_titles_and_a_name_for_the_health_check(
    app: Path, tmp_path: Path, replica: Start
) -> None:
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "logo 1.txt").write_text("a logo")
    (tmp_path / "hello_plugin.py").write_text(PLUGIN)
    args = [
        *("--static-dirs", f"assets={tmp_path / 'assets'}", "--index-titles", "/app=My <app>"),
        *("--plugins", "hello_plugin", "--disable-index-redirect", "--server", "tornado"),
        *("--liveness", "--liveness-endpoint", "alive", "--prefix", "/p"),
    ]
    server = replica([app], args=args, env={"PYTHONPATH": str(tmp_path)})

    assert (await get_page(f"{server.url}/p/assets/logo%201.txt")).text == "a logo"
    assert (await get_page(f"{server.url}/p/assets/../app.py")).status in (403, 404)
    assert "My &lt;app&gt;" in (await get_page(f"{server.url}/p/")).text
    assert (await get_page(f"{server.url}/p/hello")).text == "hello ada"
    assert (await get_page(f"{server.url}/p/alive")).status == 200


async def test_files_are_for_users(app: Path, tmp_path: Path, replica: Start) -> None:
    (tmp_path / "auth.py").write_text(AUTH)
    server = replica(
        [app], args=["--static-dirs", f"x={tmp_path}", "--auth-module", str(tmp_path / "auth.py")]
    )

    assert (await get_page(f"{server.url}/x/app.py", follow=False)).status == 302
    assert (await get_page(f"{server.url}/x/app.py", cookies={"user": "ada"})).text == APP


async def test_a_script_runs_before_the_apps_which_run_once(
    app: Path, tmp_path: Path, replica: Start
) -> None:
    setup = tmp_path / "setup.py"
    setup.write_text("import os\nos.environ['SAID'] = 'set up'\n")
    server = replica([app], args=["--setup", str(setup), "--warm"])

    assert (tmp_path / "runs").read_text() == "x"
    async with await Client.open(server.app_url()) as client:
        assert client.value("said", "text") == "set up"


async def test_autoreload_is_dev(app: Path, replica: Start) -> None:
    server = replica([app], args=["--autoreload"])
    async with await Client.open(server.app_url()) as client:
        write(app, APP.replace('"nothing"', '"something"'))
        await client.wait_closed(30)
        await client.reconnect(timeout=30)
        assert client.value("said", "text") == "something"


# -- beside `panel serve` itself ---------------------------------------------------------------------

PANEL_APP = """
from contextvars import Context
import panel as pn
import runs
runs.note()
pn.extension()
outside = Context().run(lambda: pn.state.base_url)
seen = f"spinner {pn.config.global_loading_spinner} root {outside} page {pn.state.location.pathname}"
pn.Column(pn.pane.Str(seen)).servable(title="an app")
"""
RUNS = """
import pathlib
def note():
    with open(pathlib.Path(__file__).with_suffix(".log"), "a") as log:
        log.write("x")
"""
DOCUMENT = """
```python
import panel as pn

pn.extension()
```

some text

```python
pn.pane.Str("code").servable()
```
"""
PROCESSES = {"here": Replica, "panel serve": PanelServe}


@pytest.fixture(scope="module")
def apps(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("beside")
    (folder / "runs.py").write_text(RUNS)
    (folder / "panels.py").write_text(PANEL_APP)
    (folder / "other.py").write_text(PANEL_APP)
    (folder / "text.md").write_text(DOCUMENT)
    return [folder / name for name in ("panels.py", "other.py", "text.md")]


@pytest.fixture(scope="module", params=PROCESSES)
def both(request: pytest.FixtureRequest, apps: list[Path]) -> Iterator[Server]:
    """A server of ours, and then Panel's own, with the same flags."""
    args = [
        *(
            "--global-loading-spinner",
            "--liveness",
            "--liveness-endpoint",
            "alive",
            "--root-path",
            "/proxied",
        ),
        *("--rest-session-info", "--session-history", "2", "--index-titles", "/panels=The first"),
    ]
    # With --rest-session-info Panel 1.9 takes no documents.
    with PROCESSES[request.param](apps[:2], name=request.param, args=args) as server:
        yield server


async def answer_of(url: str) -> Any:
    page = await get_page(url, timeout=60)
    assert page.status == 200, page.text
    return json.loads(page.text)


async def test_liveness_says_whether_an_app_runs(both: Server) -> None:
    assert await answer_of(f"{both.url}/alive") == {"/alive": True}
    assert await answer_of(f"{both.url}/alive?endpoint=/panels") == {"/panels": True}
    assert (await get_page(f"{both.url}/alive?endpoint=/nobody")).status == 400


async def test_a_page_has_the_loading_spinner_and_the_address_before_the_proxy(both: Server) -> None:
    page = await get_page(both.app_url("panels"), timeout=60)
    assert '<body class="pn-loading' in page.text
    async with await Client.open(both.app_url("panels"), timeout=60) as client:
        text = json.dumps(client.document_json)
    assert "spinner True root /" in text
    assert "page /panels" in text
    if isinstance(both, Replica) or line.VERSION >= (3, 10):  # Panel 1.9 forgets it, or the slash behind it
        assert "spinner True root /proxied" in text


async def test_the_list_of_apps_is_panels_own(both: Server) -> None:
    page = await get_page(f"{both.url}/")
    assert "Panel Applications" in page.text
    assert 'href="./other"' in page.text or "window.location='./other'" in page.text
    assert "The first" in page.text


async def test_documents_are_apps(replica: Start, apps: list[Path]) -> None:
    async with await Client.open(replica(apps).app_url("text"), timeout=60) as client:
        text = json.dumps(client.document_json)
    assert "some text" in text
    assert "code" in text


async def test_session_info(both: Server) -> None:
    for _ in range(3):
        async with await Client.open(both.app_url("other"), timeout=60):
            pass
    info = (await answer_of(f"{both.url}/rest/session_info"))["session_info"]
    assert info["total"] >= 3
    assert info.keys() == {"total", "live", "sessions"}
    assert len(info["sessions"]) == 2
    for session in info["sessions"].values():
        assert session.keys() == {"launched", "started", "rendered", "ended", "user_agent"}
        assert session["launched"] <= session["started"]


# -- what fleets add to it ---------------------------------------------------------------------------


async def test_session_info_is_of_all_replicas(start_fleet: Callable[..., Fleet], app: Path) -> None:
    fleet = start_fleet([app], n=2, args=["--rest-session-info", "--session-history", "-1"])
    clients = [await Client.open(each.app_url()) for each in fleet.replicas]
    infos = [await answer_of(f"{each.url}/session_info") for each in fleet.replicas]
    for client in clients:
        await client.close()

    assert infos[0] == infos[1]
    assert (infos[0]["total"], infos[0]["live"]) == (2, 2)
    for client in clients:
        assert client.page is not None
        assert client.page.session_id not in str(infos)
    forged = await get_page(f"{fleet.replicas[0].url}/_svc/file/session_info")
    assert forged.status in (401, 403)


async def test_the_admin_pages_password_holds_on_all_replicas(
    start_fleet: Callable[..., Fleet], app: Path
) -> None:
    args = ["--admin", "--admin-endpoint", "ops", "--admin-password", "open sesame"]
    first, second = start_fleet([app], n=2, args=args, env={"PANEL_ADMIN_USERS": ""}).replicas

    refused = await get_page(f"{first.url}/ops", follow=False)
    assert (refused.status, refused.headers["Location"]) == (302, "./ops/login")
    assert (await get_page(f"{first.url}/ops/login")).status == 200
    assert "Set-Cookie" not in (await post(f"{first.url}/ops/login", password="wrong")).headers
    entered = await post(f"{first.url}/ops/login", password="open sesame")
    assert (entered.code, entered.headers["Location"]) == (302, "../ops")
    cookie = SimpleCookie(entered.headers["Set-Cookie"])["svc_admin"]
    assert (cookie["httponly"], cookie["path"]) == (True, ""), (
        "it is of the page's own path, whatever that is"
    )
    cookies = {"svc_admin": cookie.value}
    async with await Client.open(f"{second.url}/ops", cookies=cookies) as client:
        assert client.document_json["roots"]
    forged = await get_page(f"{second.url}/ops", cookies={"svc_admin": "forged"}, follow=False)
    assert forged.status == 302
    assert (await get_page(f"{second.url}/ops/ws", cookies={"svc_admin": "forged"})).status == 403


async def test_a_page_is_drawn_once_for_many(replica: Start, apps: list[Path], tab: Tab) -> None:
    log = apps[0].with_name("runs.log")
    server = replica(apps[:2], args=["--reuse-sessions"])
    log.write_text("")

    pages = [await get_page(server.app_url("panels"), timeout=60) for _ in range(3)]
    assert len(log.read_text()) == 1
    assert len({page.session_id for page in pages}) == 3
    await get_page(f"{server.app_url('panels')}?theme=dark", timeout=60)
    assert len(log.read_text()) == 2
    for number in (3, 4):
        await tab.raw.goto(server.app_url("panels"))
        await tab.raw.get_by_text("page /panels").first.wait_for(timeout=30_000)
        assert len(log.read_text()) == number


async def test_the_app_runs_as_soon_as_its_page_is_sent(replica: Start, apps: list[Path]) -> None:
    log = apps[0].with_name("runs.log")
    server = replica(apps[:2], args=["--reuse-sessions", "warm"])
    log.write_text("")

    for _ in range(2):
        await get_page(server.app_url("panels"), timeout=60)
    async with asyncio.timeout(40):
        while len(log.read_text()) < 2:  # noqa: ASYNC110 - it is another process that writes
            await asyncio.sleep(0.02)


async def test_an_app_at_the_root(replica: Start, apps: list[Path]) -> None:
    server = replica(apps[:2], args=["--index", "other"])

    assert "an app" in (await get_page(f"{server.url}/", timeout=60)).text
    assert "an app" in (await get_page(server.app_url("panels"), timeout=60)).text


def test_an_index_that_is_no_app(app: Path) -> None:
    assert "--index nothing: it is no template, and none of the apps" in refused(app, "--index", "nothing")


@pytest.mark.skipif(find_spec("panel.io.pages") is None, reason="Panel 1.9 has none")
async def test_page_config(replica: Start, apps: list[Path], tmp_path: Path) -> None:
    config = tmp_path / "page.json"
    config.write_text(json.dumps({"title": "Our apps", "raw_css": "body { color: teal }"}))
    server = replica(apps[:2], env={"PANEL_PAGE_CONFIG": str(config)})

    page = await get_page(f"{server.url}/")
    assert "<title>Our apps</title>" in page.text
    assert "color: teal" in page.text
    assert "unknown keys" in refused(apps[0], "--page-config", '{"colour": "teal"}')


@pytest.mark.skipif(find_spec("pyinstrument") is not None, reason="then it is there")
def test_a_profiler_that_is_not_installed(app: Path) -> None:
    flags = ["--admin", "--admin-password", "p", "--profiler", "pyinstrument"]
    assert "pyinstrument is not installed" in refused(app, *flags)


async def test_several_apps_are_developed_at_once(replica: Start, tmp_path: Path) -> None:
    apps = [tmp_path / f"{name}.py" for name in ("first", "second")]
    for path in apps:
        path.write_text(APP)
    server = replica(apps, args=["--autoreload"])
    async with await Client.open(server.app_url("first")) as first:
        async with await Client.open(server.app_url("second")) as second:
            write(apps[1], APP.replace('"nothing"', '"something"'))
            await second.wait_closed(30)
            await second.reconnect(timeout=30)
            assert second.value("said", "text") == "something"
        assert first.value("said", "text") == "nothing"


def refused(app: Path, *flags: str) -> str:
    done = subprocess.run(
        [*Replica.command, str(app), "--port", "0", *flags],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    return line


async def post(url: str, **fields: str) -> HTTPResponse:
    client = AsyncHTTPClient(force_instance=True)
    request = HTTPRequest(url, method="POST", body=urlencode(fields), follow_redirects=False)
    answer: HTTPResponse = await client.fetch(request, raise_error=False)
    client.close()
    return answer
