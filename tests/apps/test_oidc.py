"""`examples/auth/oidc.py` against a provider on loopback, on one server and on replicas behind nginx."""

from __future__ import annotations

import asyncio
import html
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from bokeh.models import TextInput
from cryptography.hazmat.primitives.asymmetric import ec
from devfleet.fleet import Fleet
from devfleet.replica import Replica, Server
from harness.client import Client
from harness.oidc import OidcProvider
from harness.pages import Page
from harness.visitor import Visitor
from panel.models.markup import HTML

PANEL_APP = Path(__file__).parent / "panel_apps" / "who.py"


@pytest.fixture(scope="module")
def provider() -> Iterator[OidcProvider]:
    with OidcProvider() as started:
        yield started


@pytest.fixture(autouse=True)
def _correct(provider: OidcProvider) -> None:
    provider.reset()


@pytest.fixture(scope="module")
def server(serving: Callable[..., Server | Fleet], provider: OidcProvider, examples: Path) -> Server | Fleet:
    args = ["--auth-module", str(examples / "auth/oidc.py")]
    started = serving([examples / "auth/app.py", PANEL_APP], args=args, env=provider.env())
    provider.redirect_uris.add(f"{started.url}/login")
    return started


async def test_a_visitor_logs_in_and_the_app_greets_them(server: Server | Fleet) -> None:
    visitor = Visitor()

    back = await visitor.comes_back(f"{server.app_url('app')}?a=b")

    assert (back.status, back.headers["Location"]) == (302, "./app?a=b")
    set_now = back.headers.get_list("Set-Cookie")
    assert any(line.startswith("user=") for line in set_now)
    assert any(line.startswith('_xsrf="";') for line in set_now), "what was there before is forgotten"
    assert not [name for name in visitor.cookies if name.startswith("login-") and visitor.cookies[name]]
    async with await Client.open(server.app_url("app"), cookies=visitor.cookies) as client:
        assert client.value("greeting", "text") == "Hello, ada@example.com!"
    if isinstance(server, Fleet):
        asked, login, _there, callback = visitor.pages
        replicas = {server.served_by(page.headers).name for page in (asked, login, callback)}
        assert len(replicas) == 3


async def test_two_tabs_log_in_at_the_same_time(server: Server | Fleet) -> None:
    visitor = Visitor()
    one = await visitor.to_the_provider(f"{server.app_url('app')}?tab=1")
    other = await visitor.to_the_provider(f"{server.app_url('app')}?tab=2")

    for begun, expected in ((one, "./app?tab=1"), (other, "./app?tab=2")):
        back = await visitor.follow(await visitor.follow(begun))
        assert back.headers["Location"] == expected


async def test_logging_out_ends_it_here_and_leads_to_the_provider(
    server: Server | Fleet, provider: OidcProvider
) -> None:
    visitor = Visitor()
    await visitor.comes_back(server.app_url("app"))
    assert (await visitor.get(server.app_url("app"))).status == 200

    form = await visitor.get(f"{server.url}/logout")
    assert '<form method="post">' in form.text
    assert (await visitor.get(server.app_url("app"))).status == 200

    out = await visitor.post(f"{server.url}/logout")

    assert out.headers["Location"] == f"{provider.issuer}/logout?client_id=dashboards"
    assert (await visitor.get(server.app_url("app"))).status == 302


# -- what Panel apps know of the user --------------------------------------------------------------


def said(client: Client) -> str:
    return " ".join(html.unescape(model.text) for model in client.document.select({"type": HTML}))


async def logged_in(server: Server | Fleet) -> Visitor:
    visitor = Visitor()
    await visitor.comes_back(server.app_url("who"))
    return visitor


async def test_panel_knows_the_user(server: Server | Fleet) -> None:
    visitor = await logged_in(server)
    async with await Client.open(server.app_url("who"), cookies=visitor.cookies, timeout=60) as client:
        assert "who: ('ada@example.com', '4711', 'an opaque one')" in said(client)


@pytest.mark.parametrize("serving", ["three replicas"], indirect=True)
async def test_panel_knows_the_user_after_a_move(server: Fleet) -> None:
    visitor = await logged_in(server)
    first, *others = server.replicas
    async with await Client.open(first.app_url("who"), cookies=visitor.cookies, timeout=60) as client:
        await client.patch(TextInput, value="one")
        await client.expect(lambda _: "one ada@example.com an opaque one" in said(client))

        first.terminate()
        assert await asyncio.to_thread(first.wait) == 0
        client.wire.drop()
        client.url = others[0].app_url("who")
        await client.reconnect()

        assert "who: ('ada@example.com', '4711', 'an opaque one')" in said(client)
        await client.patch(TextInput, value="two")
        await client.expect(lambda _: "two ada@example.com an opaque one" in said(client))
    await first.start_async()


async def test_tokens_are_forgotten_at_logout(server: Server | Fleet) -> None:
    visitor = await logged_in(server)
    assert visitor.cookies["id_token"]
    assert visitor.cookies["access_token"]

    await visitor.get(f"{server.url}/logout")
    await visitor.post(f"{server.url}/logout")

    assert not visitor.cookies.keys() & {"user", "id_token", "access_token"}


async def test_a_token_that_is_too_long_for_a_cookie_hinders_no_login(
    server: Server | Fleet, provider: OidcProvider
) -> None:
    provider.access_token = "long" * 1024
    visitor = await logged_in(server)
    assert "access_token" not in visitor.cookies
    async with await Client.open(server.app_url("who"), cookies=visitor.cookies, timeout=60) as client:
        assert "who: ('ada@example.com', '4711', None)" in said(client)


# -- what is refused: no need of a fleet -----------------------------------------------------------

alone = pytest.mark.parametrize("serving", ["one server"], indirect=True)


async def refused(visitor: Visitor, page: Page, url: str) -> None:
    assert page.status == 403
    assert "Try again" in page.text
    assert (await visitor.get(url)).status == 302  # to the login, still


WRONG: dict[str, dict[str, Any]] = {
    "for another login": {"nonce": "an old one"},
    "for another client": {"aud": "somebody else"},
    "by another issuer": {"iss": "https://evil.example.com"},
    "expired": {"exp": 1},
    "an address that nobody verified": {"email_verified": False},
    "without what names the user": {"email": None},
}


@alone
@pytest.mark.parametrize("claims", WRONG.values(), ids=WRONG.keys())
async def test_an_id_token_that_is_not_right(
    server: Server, provider: OidcProvider, claims: dict[str, Any]
) -> None:
    provider.claims = claims
    visitor = Visitor()

    await refused(visitor, await visitor.comes_back(server.app_url("app")), server.app_url("app"))


@alone
async def test_an_id_token_that_somebody_else_signed(server: Server, provider: OidcProvider) -> None:
    provider.key = ec.generate_private_key(ec.SECP256R1())
    visitor = Visitor()

    await refused(visitor, await visitor.comes_back(server.app_url("app")), server.app_url("app"))


@alone
async def test_a_user_who_declines(server: Server, provider: OidcProvider) -> None:
    provider.denies = True
    visitor = Visitor()

    await refused(visitor, await visitor.comes_back(server.app_url("app")), server.app_url("app"))


@alone
async def test_somebody_elses_code_with_the_state_of_a_login_of_ones_own(server: Server) -> None:
    """The code is bound to its login by PKCE: without the verifier it is worth nothing."""
    victim, thief = Visitor(), Visitor()
    way_back = (await victim.follow(await victim.to_the_provider(server.app_url("app")))).headers["Location"]
    begun = await thief.to_the_provider(server.app_url("app"))
    code = parse_qs(urlsplit(way_back).query)["code"][0]
    state = parse_qs(urlsplit(begun.headers["Location"]).query)["state"][0]

    stolen = await thief.get(f"{server.url}/login?{urlencode({'code': code, 'state': state})}")

    await refused(thief, stolen, server.app_url("app"))


@alone
async def test_the_way_back_in_another_browser(server: Server) -> None:
    """Else one could log somebody in as oneself."""
    visitor, other = Visitor(), Visitor()
    there = await visitor.follow(await visitor.to_the_provider(server.app_url("app")))

    await refused(other, await other.get(there.headers["Location"]), server.app_url("app"))


@alone
async def test_the_way_back_leads_nowhere_else(server: Server) -> None:
    for elsewhere in (
        "https://evil.example.com/", "//evil.example.com", "/\\evil.example.com", "/\t/evil.example.com",
    ):  # fmt: skip
        visitor = Visitor()
        begun = await visitor.get(f"{server.url}/login?{urlencode({'next': elsewhere})}")
        back = await visitor.follow(await visitor.follow(begun))
        assert back.headers["Location"] == "./"


async def test_a_missing_setting_is_named_at_the_start(examples: Path) -> None:
    args = ["--auth-module", str(examples / "auth/oidc.py")]
    server = Replica([examples / "auth/app.py"], name="unset", args=args, env={"OIDC_ISSUER": None})

    server.start(ready=False)

    assert server.wait() == 2
    assert "set OIDC_ISSUER in the environment" in server.log
