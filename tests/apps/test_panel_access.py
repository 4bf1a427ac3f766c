"""Who Panel apps let in: ``authorize_callback`` is asked for pages, scripts and sockets, on every replica."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from devfleet.fleet import Fleet
from devfleet.replica import Replica
from harness.client import Client
from harness.pages import get_page
from harness.wire import WireClosed
from panel.models.markup import HTML
from tornado.web import create_signed_value

SECRET = "a secret that these tests share with their replicas"

AUTH = """
login_url = "/login"

def get_user(handler):
    return handler.get_signed_cookie("user")
"""

OF_SESSION = """
import panel as pn

def authorize(user_info):
    return pn.state.user == "grace"

pn.extension(authorize_callback=authorize)
pn.pane.Str(f"secret of {pn.state.user}").servable()
"""

OF_SESSION_BY_PATH = """
import panel as pn

pn.extension(authorize_callback=lambda info, path: path == "/by_path" and pn.state.user == "grace")
pn.pane.Str("secret").servable()
"""

RAISES = """
import panel as pn

def authorize(user_info):
    return {}["nobody knows"]

pn.extension(authorize_callback=authorize)
pn.pane.Str("secret").servable()
"""

ASYNC = """
import panel as pn

async def authorize(user_info):
    return False

pn.extension(authorize_callback=authorize)
pn.pane.Str("secret").servable()
"""

ELSEWHERE = """
import panel as pn

pn.extension(authorize_callback=lambda info: "/somewhere/else")
pn.pane.Str("secret").servable()
"""

APPS = {
    "of_session": OF_SESSION, "by_path": OF_SESSION_BY_PATH, "raises": RAISES, "asynchronous": ASYNC,
    "elsewhere": ELSEWHERE,
}  # fmt: skip


@pytest.fixture(scope="module")
def fleet(start_fleet: Callable[..., Fleet], tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    folder = tmp_path_factory.mktemp("access")
    (folder / "auth.py").write_text(AUTH)
    return start_fleet(
        [_written(folder, name) for name in APPS],
        n=2,
        args=["--auth-module", str(folder / "auth.py"), "--cookie-secret", SECRET],
    )


def _written(folder: Path, name: str) -> Path:
    path = folder / f"{name}.py"
    path.write_text(APPS[name])
    return path


def cookies_of(name: str) -> Mapping[str, str]:
    return {"user": create_signed_value(SECRET, "user", name).decode()}


@pytest.mark.parametrize("app", ["of_session", "by_path"])
async def test_who_is_allowed_gets_in_on_every_replica(fleet: Fleet, app: str) -> None:
    here, there = fleet.replicas
    async with await Client.open(here.app_url(app), cookies=cookies_of("grace"), timeout=60) as client:
        assert "secret" in client.value(HTML, "text")
        client.url = there.app_url(app)
        await client.reconnect(timeout=60)
        assert "secret" in client.value(HTML, "text")


@pytest.mark.parametrize(
    ("app", "user"),
    [("of_session", "ada"), ("by_path", "ada"), ("raises", "grace"), ("asynchronous", "grace")],
)
async def test_nobody_else_gets_a_page_or_a_document(fleet: Fleet, app: str, user: str) -> None:
    for replica in fleet.replicas:
        for _ in range(2):  # the second time the app has run here before
            await is_refused(replica, app, cookies_of(user))


async def is_refused(replica: Replica, app: str, cookies: Mapping[str, str]) -> None:
    page = await get_page(replica.app_url(app), cookies=cookies)
    assert page.status == 403
    assert "token" not in page.text
    assert "secret" not in page.text

    embed = {"bokeh-autoload-element": "x"}
    script = await get_page(f"{replica.app_url(app)}/autoload.js", arguments=embed, cookies=cookies)
    if script.status != 403:  # it holds a token, with which nobody gets in
        client = Client(replica.app_url(app), script.token, cookies=cookies, timeout=60)
        with pytest.raises(WireClosed) as refused:
            await client.connect()
        await client.close()
        assert (refused.value.http_status, client.close_code) in {(403, None), (None, 1008)}


async def test_an_app_may_send_users_elsewhere(fleet: Fleet) -> None:
    page = await get_page(fleet.app_url("elsewhere"), cookies=cookies_of("ada"), follow=False)

    assert page.status == 302
    assert page.headers["Location"] == "/somewhere/else"


async def test_without_an_auth_module_nobody_is_known(
    replica: Callable[..., Replica], tmp_path: Path
) -> None:
    server = replica([_written(tmp_path, "of_session")])

    await is_refused(server, "of_session", {})
