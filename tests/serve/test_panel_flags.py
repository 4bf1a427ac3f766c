"""Flags of `panel serve` that work here, tried as they are there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from devfleet.replica import Replica
from harness.client import Client
from harness.pages import get_page

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
