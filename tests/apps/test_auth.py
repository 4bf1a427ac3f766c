"""Users: the auth module's hooks, on whichever replica a request lands, and tokens that are somebody's."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

import pytest
from devfleet.fleet import Fleet
from devfleet.replica import Replica, Server
from harness.apps import CountedApp
from harness.client import Client
from harness.pages import Page, get_page, post
from harness.wire import Wire, WireClosed
from tornado.httpclient import HTTPResponse
from tornado.web import create_signed_value

Start = Callable[..., Replica]

SHOWS_USER = """
from bokeh.io import curdoc
from bokeh.models import Div
context = curdoc().session_context
curdoc().add_root(Div(name="got", text=repr({"user": context.request.user, "logout": context.logout_url})))
"""

AUTH = """
from tornado.web import RequestHandler

login_url = "/login"
logout_url = "/logout"


async def get_user_async(handler):
    return handler.get_signed_cookie("user")


class LoginHandler(RequestHandler):
    def get(self):
        self.write(f"<form method=post>{self.xsrf_form_html()}</form>")

    def post(self):
        self.set_signed_cookie("user", self.get_argument("name"))
        self.redirect(self.get_argument("next", "/"))


class LogoutHandler(RequestHandler):
    def get(self):
        self.clear_cookie("user")
        self.redirect("/login")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("auth")
    (folder / "auth.py").write_text(AUTH)
    return folder


@pytest.fixture(scope="module")
def guarded(start_fleet: Callable[..., Fleet], folder: Path) -> Fleet:
    """Three replicas with an auth module and XSRF cookies, and no secret but what they agree upon."""
    app = CountedApp(folder, "app", body=SHOWS_USER)
    args = ["--auth-module", str(folder / "auth.py"), "--enable-xsrf-cookies", "--use-xheaders"]
    return start_fleet([app.path], n=3, args=args)


async def log_in(server: Server | Fleet, name: str, **fields: str) -> dict[str, str]:
    """The cookies of a user who logged in, over whichever replicas the requests took."""
    answer, cookies = await submit_login(server, name=name, **fields)
    assert answer.code == 302, answer.body
    for line in answer.headers.get_list("Set-Cookie"):
        key, _, value = line.partition(";")[0].partition("=")
        cookies[key] = value
    return cookies


async def submit_login(server: Server | Fleet, **fields: str) -> tuple[HTTPResponse, dict[str, str]]:
    """The answer to the filled form, and the cookies that came with the empty one."""
    form = await get_page(f"{server.url}/login")
    cookies = dict(form.cookies)
    return await post(f"{server.url}/login", {"_xsrf": cookies["_xsrf"], **fields}, cookies), cookies


@pytest.mark.flags("--auth-module")
async def test_a_stranger_is_sent_to_the_login_page_and_back(guarded: Fleet) -> None:
    page = await get_page(f"{guarded.app_url()}?a=b", follow=False)

    assert page.status == 302
    assert page.headers["Location"] == "./login?next=%2Fapp%3Fa%3Db"


async def test_login_counts_on_every_replica_and_the_app_sees_the_user(guarded: Fleet) -> None:
    cookies = await log_in(guarded, "ada")

    for replica in guarded.replicas:
        async with await Client.open(replica.app_url(), cookies=cookies) as client:
            assert ast.literal_eval(client.value("got", "text")) == {"user": "ada", "logout": "/logout"}


async def test_index_metadata_and_scripts_need_a_user_too(guarded: Fleet) -> None:
    element = {"bokeh-autoload-element": "1"}

    assert (await get_page(f"{guarded.url}/", follow=False)).status == 302
    assert (await get_page(f"{guarded.app_url()}/metadata", follow=False)).status == 302
    assert (await get_page(f"{guarded.app_url()}/autoload.js", arguments=element, follow=False)).status == 403


async def refused(fleet: Fleet, token: str, cookies: dict[str, str]) -> int | None:
    url = f"ws{fleet.app_url().removeprefix('http')}/ws"
    with pytest.raises(WireClosed) as caught:
        await Wire.open(url, token, cookies=cookies)
    return caught.value.http_status


async def test_a_socket_without_user_is_refused_before_the_upgrade(guarded: Fleet) -> None:
    page = await get_page(guarded.app_url(), cookies=await log_in(guarded, "ada"))

    assert await refused(guarded, page.token, {}) == 403
    assert await refused(guarded, page.token, {"user": "ada"}) == 403


async def test_a_token_used_by_another_user_is_refused(guarded: Fleet) -> None:
    page = await get_page(guarded.app_url(), cookies=await log_in(guarded, "ada"))

    assert await refused(guarded, page.token, await log_in(guarded, "eve")) == 403


@pytest.mark.flags("--enable-xsrf-cookies")
async def test_a_form_without_the_xsrf_value_is_refused(guarded: Fleet) -> None:
    form = await get_page(f"{guarded.url}/login")

    answer = await post(f"{guarded.url}/login", {"name": "eve"}, dict(form.cookies))

    assert answer.code == 403


async def test_cookies_have_their_flags(guarded: Fleet) -> None:
    form = await get_page(f"{guarded.replicas[0].url}/login")
    cookies = dict(form.cookies)
    fields = {"name": "ada", "_xsrf": cookies["_xsrf"]}
    url = f"{guarded.replicas[0].url}/login"

    plain = await post(url, fields, cookies)
    behind_tls = await post(url, fields, cookies, **{"X-Forwarded-Proto": "https"})

    assert {"HttpOnly", "SameSite=Lax"} <= flags(plain)
    assert "Secure" not in flags(plain)
    assert {"HttpOnly", "SameSite=Lax", "Secure"} <= flags(behind_tls)
    assert "HttpOnly" not in form.headers["Set-Cookie"]  # pages' own scripts have to read _xsrf


def flags(answer: HTTPResponse) -> set[str]:
    return {part.strip() for part in answer.headers["Set-Cookie"].split(";")}


async def test_logging_out_ends_it(guarded: Fleet) -> None:
    cookies = await log_in(guarded, "ada")
    page = await get_page(f"{guarded.url}/logout", cookies=cookies, follow=False)

    assert page.headers["Location"] == "/login"
    assert 'user=""' in page.headers["Set-Cookie"]


@pytest.mark.flags("--cookie-secret")
async def test_a_cookie_secret_that_is_given_signs_the_cookies(folder: Path, replica: Start) -> None:
    app = CountedApp(folder, "secret", body=SHOWS_USER)
    args = ["--auth-module", str(folder / "auth.py"), "--cookie-secret", "known to others, too"]
    server = replica([app.path], args=args)

    for secret, status in (("known to others, too", 200), ("guessed", 302)):
        cookies = {"user": create_signed_value(secret, "user", "ada").decode()}
        assert (await get_page(server.app_url(), cookies=cookies, follow=False)).status == status


# -- the example -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def example(serving: Callable[..., Server | Fleet], examples: Path) -> Server | Fleet:
    args = ["--auth-module", str(examples / "auth/auth.py"), "--enable-xsrf-cookies"]
    return serving([examples / "auth/app.py"], args=args, env={"DEMO_PASSWORD": "open sesame"})


async def test_the_example_greets_who_knows_the_password(example: Server | Fleet) -> None:
    cookies = await log_in(example, "<ada>", password="open sesame")

    async with await Client.open(example.app_url(), cookies=cookies) as client:
        assert client.value("greeting", "text") == "Hello, &lt;ada&gt;!"


async def test_the_example_does_not_let_others_in(example: Server | Fleet) -> None:
    answer, _ = await submit_login(example, name="eve", password="guessed")

    assert (answer.code, b"That is not right" in answer.body) == (403, True)
    assert "user=" not in str(answer.headers.get_list("Set-Cookie"))


ELSEWHERES = (
    "https://evil.example.com/", "//evil.example.com", "/\\evil.example.com", "/\t/evil.example.com",
    "\n//evil.example.com", "/\r\n/evil.example.com", "/\x7f/evil.example.com", "javascript:alert(1)",
)  # fmt: skip


async def test_the_example_s_login_leads_nowhere_else(example: Server | Fleet) -> None:
    form = await get_page(f"{example.url}/login")
    for elsewhere in ELSEWHERES:
        url = f"{example.url}/login?{urlencode({'next': elsewhere})}"
        fields = {"_xsrf": form.cookies["_xsrf"], "name": "ada", "password": "open sesame"}
        answer = await post(url, fields, dict(form.cookies))
        assert (answer.code, answer.headers["Location"]) == (302, "./"), elsewhere


async def test_logging_in_makes_the_form_s_token_worthless(example: Server | Fleet) -> None:
    answer, before = await submit_login(example, name="ada", password="open sesame")
    forgotten = [line for line in answer.headers.get_list("Set-Cookie") if line.startswith('_xsrf="";')]

    form = await get_page(f"{example.url}/login")

    assert forgotten
    assert form.cookies["_xsrf"] != before["_xsrf"]


async def test_only_a_form_of_the_example_logs_out(example: Server | Fleet) -> None:
    cookies = await log_in(example, "ada", password="open sesame")
    url = f"{example.url}/logout"

    form = await get_page(url, cookies=cookies)
    assert form.cookies["user"] == cookies["user"]
    assert (await post(url, {}, cookies)).code == 403
    out = await post(url, {"_xsrf": form.cookies["_xsrf"]}, dict(form.cookies))

    assert (out.code, out.headers["Location"]) == (302, "./login")
    assert any(line.startswith('user="";') for line in out.headers.get_list("Set-Cookie"))


# -- other modules ---------------------------------------------------------------------------------

ELSEWHERE = """
def get_user(handler):
    return handler.get_query_argument("who", None)

def get_login_url(handler):
    return "https://login.corp/"
"""


async def test_get_user_and_get_login_url(folder: Path, replica: Start) -> None:
    (folder / "elsewhere.py").write_text(ELSEWHERE)
    app = CountedApp(folder, "own", body=SHOWS_USER)
    args = ["--auth-module", str(folder / "elsewhere.py"), "--cookie-secret", "c"]
    server = replica([app.path], args=args)

    known: Page = await get_page(server.app_url(), arguments={"who": "ada"})
    stranger = await get_page(server.app_url(), follow=False)

    assert known.status == 200
    assert stranger.headers["Location"].startswith("https://login.corp/?next=http%3A%2F%2F127.0.0.1")
