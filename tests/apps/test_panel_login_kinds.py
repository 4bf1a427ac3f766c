"""Further kinds of Panel's logins, and what their options do: no need of a fleet."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import panel as pn
import pytest
from bokeh.document import Document
from bokeh.models import Div, TextInput
from devfleet.replica import Replica
from harness.client import Client
from harness.oauth_provider import OAuthProvider
from harness.pages import get_page
from harness.visitor import Visitor, said

from service import Server

Start = Callable[..., Replica]

APP = Path(__file__).parent / "panel_apps" / "logged_in.py"
SECRET = "a secret of these tests, for cookies"
KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


@pytest.fixture(scope="module")
def provider() -> Iterator[OAuthProvider]:
    with OAuthProvider() as started:
        yield started


async def submits(visitor: Visitor, url: str, name: str, password: str, **fields: str) -> Any:
    return await visitor.post(url, username=name, password=password, **fields)


async def greeted(url: str, visitor: Visitor) -> str:
    async with await Client.open(url, cookies=visitor.cookies, timeout=60) as client:
        return said(client)


# -- a form ----------------------------------------------------------------------------------------


async def test_names_and_passwords_in_a_file(replica: Start, tmp_path: Path) -> None:
    passwords = tmp_path / "passwords.json"
    passwords.write_text(json.dumps({"Ada": "Open Sesame"}))
    args = ["--basic-auth", str(passwords), "--prefix", "/p", "--enable-xsrf-cookies", "--cookie-path", "/p"]
    server = replica([APP], args=args)
    url, login = f"{server.url}/p/logged_in?a=b", f"{server.url}/p/login"
    visitor = Visitor()
    form = await visitor.follow(await visitor.get(url))
    assert 'action="./login"' in form.text
    assert "cdn.holoviz.org" not in form.text
    assert (await submits(visitor, login, "Ada", "Open Sesame")).code == 403, (
        "without the XSRF cookie's value"
    )
    xsrf = {"_xsrf": form.text.partition('name="_xsrf" value="')[2].partition('"')[0]}

    wrong = await submits(visitor, login, "Ada", "open sesame", **xsrf)
    assert wrong.headers["Location"].startswith("./login?error=")
    answer = await submits(visitor, login, "Ada", "Open Sesame", **xsrf)

    assert answer.headers["Location"] == "./logged_in?a=b"
    (set_now,) = (line for line in answer.headers.get_list("Set-Cookie") if line.startswith("user="))
    assert "Path=/p;" in set_now
    assert "first Ada None None None" in await greeted(f"{server.url}/p/logged_in", visitor)
    out = await visitor.get(f"{server.url}/p/logout")
    assert 'action="./login"' in out.text
    assert not visitor.cookies.keys() & {"user", "id_token"}


async def test_a_password_for_everybody(replica: Start) -> None:
    server = replica([APP], env={"PANEL_BASIC_AUTH": "Open Sesame"}, args=["--login-endpoint", "in/here"])
    visitor = Visitor()
    form = await visitor.follow(await visitor.get(server.app_url()))
    assert urlsplit(form.url).path == "/in/here"
    assert 'action="../in/here"' in form.text
    wrong = await submits(visitor, f"{server.url}/in/here", "ada", "")
    assert wrong.headers["Location"].startswith("../in/here?error=")

    answer = await submits(visitor, f"{server.url}/in/here", "ada", "Open Sesame")

    assert answer.headers["Location"] == "../logged_in"
    assert "first ada" in await greeted(server.app_url(), visitor)


@pytest.mark.parametrize("planted", ["//evil.example.com", "///evil.example.com", "/\\evil.example.com"])
async def test_a_planted_cookie_leads_nowhere_else(server: Replica, planted: str) -> None:
    visitor = Visitor({"next_url": planted})
    answer = await submits(visitor, f"{server.url}/login", "ada", "Open Sesame")
    assert answer.headers["Location"] == "./"


@pytest.fixture
def server(replica: Start) -> Replica:
    return replica([APP], args=["--basic-auth", "Open Sesame"])


async def test_the_example(replica: Start, examples: Path) -> None:
    server = replica([examples / "auth" / "panel_user.py"], args=["--basic-auth", "Open Sesame"])
    visitor = Visitor()
    await submits(visitor, f"{server.url}/login", "ada", "Open Sesame")
    assert "Hello, ada!" in await greeted(server.app_url(), visitor)


async def test_templates(replica: Start, tmp_path: Path) -> None:
    for name in ("login", "logout"):
        (tmp_path / f"{name}.html").write_text(f"our {name} page {{{{ errormessage }}}}")
    args = [
        *("--basic-auth", "x", "--basic-login-template", str(tmp_path / "login.html")),
        *("--logout-template", str(tmp_path / "logout.html"), "--logout-endpoint", "bye"),
    ]
    server = replica([APP], args=args)
    assert "our login page" in (await get_page(f"{server.url}/login")).text
    assert "our logout page" in (await get_page(f"{server.url}/bye")).text


# -- other flows -----------------------------------------------------------------------------------


async def test_a_code_challenge_below_a_prefix(replica: Start, provider: OAuthProvider) -> None:
    args = [*provider.args("auth_code"), "--prefix", "/p", "--oauth-encryption-key", KEY]
    args += ["--cookie-path", "/p/"]
    server = replica([APP], args=args)
    visitor = Visitor()

    page = await visitor.logs_in(f"{server.url}/p/logged_in?a=b")

    assert page.url == f"{server.url}/p/logged_in?a=b"
    assert provider.authorized[-1]["code_challenge_method"] == "S256"
    assert provider.authorized[-1]["redirect_uri"] == f"{server.url}/p"
    token = provider.access_tokens[-1]
    said_there = await greeted(f"{server.url}/p/logged_in", visitor)
    assert f"first ada@example.com ada@example.com {token} refresh-" in said_there
    assert not [name for name in visitor.cookies if name.startswith("panel-oauth-")]


async def test_a_password_that_the_provider_checks(replica: Start, provider: OAuthProvider) -> None:
    server = replica([APP], args=provider.args("password"))
    visitor = Visitor()
    form = await visitor.follow(await visitor.get(f"{server.app_url()}?a=b"))
    assert "password" in form.text
    assert (await submits(visitor, f"{server.url}/login", "ada", "wrong")).code == 401

    answer = await submits(visitor, f"{server.url}/login", "ada", "open sesame")

    assert answer.code == 302
    token = provider.access_tokens[-1]
    assert f"first ada ada {token}" in await greeted(server.app_url(), visitor)


# -- providers at an address of one's own -----------------------------------------------------------

OWN = {
    "gitlab": ({"url": "git.example.com"}, "https://git.example.com/oauth/authorize"),
    "okta": (
        {"url": "us.okta.example.com", "server": "people"},
        "https://us.okta.example.com/oauth2/people/v1/authorize",
    ),
    "auth0": ({"subdomain": "us-house"}, "https://us-house.auth0.com/authorize"),
    "azure": ({"tenant": "4711"}, "https://login.microsoftonline.com/4711/oauth2/authorize"),
    "azurev2": ({"tenant": "4711"}, "https://login.microsoftonline.com/4711/oauth2/v2.0/authorize"),
}


@pytest.mark.parametrize("kind", OWN)
async def test_a_provider_at_an_address_of_ones_own(kind: str, replica: Start) -> None:
    """``--oauth-extra-params``, as Panel's handlers read them."""
    params, there = OWN[kind]
    args = [
        "--oauth-provider", kind, "--oauth-key", "x", "--oauth-secret", "y",
        "--oauth-extra-params", str(params), "--cookie-secret", SECRET,
    ]  # fmt: skip
    page = await Visitor().to_the_provider(replica([APP], args=args).app_url())
    assert page.headers["Location"].partition("?")[0] == there


async def test_variables_of_panel_say_where_the_provider_is(replica: Start) -> None:
    env = {
        "PANEL_OAUTH_PROVIDER": "gitlab", "PANEL_OAUTH_KEY": "x", "PANEL_OAUTH_SECRET": "y",
        "PANEL_OAUTH_EXTRA_PARAMS": "{'url': 'git.example.com'}", "PANEL_COOKIE_SECRET": SECRET,
    }  # fmt: skip
    server = replica([APP], env=env)
    page = await Visitor().to_the_provider(server.app_url())
    assert page.headers["Location"].startswith("https://git.example.com/oauth/authorize?")


# -- guests ----------------------------------------------------------------------------------------


async def test_guests_at_some_paths(replica: Start, provider: OAuthProvider, tmp_path: Path) -> None:
    other = tmp_path / "other.py"
    other.write_text(APP.read_text())
    args = [*provider.args(), "--oauth-refresh-tokens", "--oauth-guest-endpoints", "/logged_in"]
    server = replica([APP, other], args=args)
    visitor = Visitor()

    assert "first guest None None None" in await greeted(server.app_url(), Visitor())
    assert (await visitor.get(f"{server.app_url()}?a=b")).status == 200
    assert (await visitor.get(f"{server.url}/other")).status == 302
    visitor.cookies["is_guest"] = "1"
    assert (await visitor.get(f"{server.url}/other")).status == 302, "to say so opens no door"
    await visitor.logs_in(f"{server.url}/other")
    visitor.cookies["is_guest"] = "1"
    assert "first ada@example.com" in await greeted(server.app_url(), visitor)


async def test_a_guests_page_goes_on_when_its_browser_has_logged_in(
    replica: Start, provider: OAuthProvider
) -> None:
    args = [*provider.args(), "--oauth-refresh-tokens", "--oauth-optional"]
    server = replica([APP], args=args)
    visitor = Visitor()
    await visitor.get(server.app_url())
    async with await Client.open(server.app_url(), cookies=visitor.cookies) as client:
        await visitor.logs_in(f"{server.url}/login?next=/logged_in")
        client.wire.drop()
        client.cookies = visitor.cookies
        await client.reconnect()

        await client.patch(TextInput, value="on")
        await client.expect(lambda _: "now on guest None None None" in said(client))

    async with await Client.open(server.app_url(), cookies=visitor.cookies) as client:
        assert "first ada@example.com" in said(client)
        await visitor.get(f"{server.url}/logout")
        client.wire.drop()
        client.cookies = visitor.cookies
        with pytest.raises(Exception, match="403"):
            await client.reconnect()


async def test_everybody_may_be_a_guest(replica: Start, provider: OAuthProvider) -> None:
    server = replica([APP], args=provider.args(), env={"PANEL_OAUTH_OPTIONAL": "true"})
    visitor = Visitor()
    assert (await visitor.get(server.app_url())).status == 200

    page = await visitor.follow(await visitor.get(f"{server.url}/login?next=/logged_in"))
    for _ in range(4):
        page = await visitor.follow(page)
        if page.status == 200:
            break

    assert "first ada@example.com" in await greeted(server.app_url(), visitor)


# -- in programs -----------------------------------------------------------------------------------


def fill(document: Document) -> None:
    request: Any = document.session_context.request  # type: ignore[union-attr]
    document.add_root(Div(name="user", text=str(request.user)))


@asynccontextmanager
async def serving(**options: Any) -> AsyncIterator[Server]:
    server = Server({"/app": fill}, port=0, **options)
    await server.started()
    try:
        yield server
    finally:
        await server.stop_async()


async def test_a_program_names_the_options_as_for_panels_server() -> None:
    async with serving(basic_auth={"ada": "open sesame"}, login_endpoint="/in") as server:
        visitor = Visitor()
        page = await visitor.follow(await visitor.get(f"{server.url}app"))
        assert urlsplit(page.url).path == "/in"
        await submits(visitor, f"{server.url}in", "ada", "open sesame")
        async with await Client.open(f"{server.url}app", cookies=visitor.cookies) as client:
            assert client.value("user", "text") == "ada"
        await asyncio.sleep(0)


async def test_a_program_says_it_in_panels_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pn.config, "basic_auth", "Open Sesame")
    async with serving() as server:
        visitor = Visitor()
        assert (await visitor.get(f"{server.url}app")).status == 302
        await submits(visitor, f"{server.url}login", "ada", "Open Sesame")
        assert (await visitor.get(f"{server.url}app")).status == 200


# -- what is refused at the start ------------------------------------------------------------------

WRONG = {
    "--oauth-key": ["--oauth-provider", "generic"],
    "Panel has auth0": ["--oauth-provider", "nobody", "--oauth-key", "x"],
    "pip install pamela": ["--oauth-provider", "pam"],
    "give one of them": ["--oauth-provider", "generic", "--oauth-key", "x", "--basic-auth", "y"],
    "panel oauth-secret": ["--basic-auth", "x", "--oauth-encryption-key", "short"],
    "Python dictionary": ["--basic-auth", "x", "--oauth-extra-params", "[1]"],
}


@pytest.mark.parametrize(("said", "args"), WRONG.items(), ids=WRONG)
def test_what_makes_no_sense_is_said_at_the_start(said: str, args: list[str]) -> None:
    server = Replica([APP], name="wrong", args=args)
    server.start(ready=False)
    assert server.wait() == 2
    assert said in server.log
