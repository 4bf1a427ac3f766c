"""Panel's own logins, on one server and on replicas behind nginx, each request elsewhere."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from itertools import count, islice
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from bokeh.models import TextInput
from devfleet.fleet import Fleet
from devfleet.replica import Server
from harness.client import Client
from harness.oauth_provider import OAuthProvider
from harness.pages import get_page
from harness.visitor import Visitor, said
from operations.scrape import scrape
from operations.scrape import until as wait_until

APP = Path(__file__).parent / "panel_apps" / "logged_in.py"
NUMBERS = count()
FLEET = pytest.mark.parametrize("serving", ["three replicas"], indirect=True)
ALONE = pytest.mark.parametrize("serving", ["one server"], indirect=True)


@pytest.fixture(scope="module")
def provider() -> Iterator[OAuthProvider]:
    with OAuthProvider() as started:
        yield started


@pytest.fixture(autouse=True)
def _as_usual(provider: OAuthProvider) -> Iterator[None]:
    yield
    provider.lifetime, provider.padding, provider.away, provider.refused = 300.0, 0, False, 0
    provider.user, provider.before_answer = "ada@example.com", lambda: None


@pytest.fixture(scope="module")
def server(serving: Callable[..., Server | Fleet], provider: OAuthProvider) -> Server | Fleet:
    return serving([APP], args=[*provider.args(), "--oauth-refresh-tokens"])


async def opened(server: Server | Fleet, visitor: Visitor) -> Client:
    return await Client.open(server.app_url(), cookies=visitor.cookies, timeout=60)


async def knows(client: Client, what: str) -> str:
    """What the app says when it is asked now; waits until it says that."""
    for number in islice(NUMBERS, 100):
        await client.patch(TextInput, value=f"{number}")
        await client.expect(lambda _, asked=f"now {number} ": asked in said(client))
        if what in said(client):
            return said(client)
        await asyncio.sleep(0.1)
    raise AssertionError(f"{what!r} is not in {said(client)!r}")


async def until(check: Callable[[], Any], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not check():  # noqa: ASYNC110 - what happens is in another process
            await asyncio.sleep(0.05)


# -- a login ---------------------------------------------------------------------------------------


async def test_a_visitor_logs_in_and_the_app_knows_who_it_is(
    server: Server | Fleet, provider: OAuthProvider
) -> None:
    visitor = Visitor()

    page = await visitor.logs_in(f"{server.app_url()}?a=b")

    assert page.url == f"{server.app_url()}?a=b"
    assert provider.authorized[-1]["redirect_uri"] == server.url
    async with await opened(server, visitor) as client:
        token = provider.access_tokens[-1]
        assert f"first ada@example.com ada@example.com {token} refresh-" in said(client)
    if isinstance(server, Fleet):
        ours = [each for each in visitor.pages if each.url.startswith(server.url)]
        assert len({server.served_by(each.headers).name for each in ours}) == 3


async def test_two_tabs_log_in_at_the_same_time(server: Server | Fleet) -> None:
    visitor = Visitor()
    begun = [await visitor.to_the_provider(f"{server.app_url()}?tab={tab}") for tab in (1, 2)]

    for tab, page in enumerate(begun, 1):
        for _ in range(4):
            page = await visitor.follow(page)
            if page.status == 200:
                break
        assert page.url.endswith(f"?tab={tab}")
    assert not [name for name in visitor.cookies if name.startswith("panel-oauth-")]


async def test_after_logging_out_one_has_to_log_in_again(server: Server | Fleet) -> None:
    visitor = Visitor()
    await visitor.logs_in(server.app_url())

    page = await visitor.get(f"{server.url}/logout")

    assert page.status == 200
    assert 'action="./login"' in page.text
    assert not visitor.cookies.keys() & {"user", "id_token", "access_token", "refresh_token", "oauth_expiry"}
    assert (await visitor.get(server.app_url())).status == 302


@FLEET
async def test_logging_out_while_tokens_are_refreshed(server: Fleet, provider: OAuthProvider) -> None:
    provider.user, provider.lifetime = "leaver@example.com", 9
    refreshing, answers = threading.Event(), threading.Event()
    visitor, before = Visitor(), provider.refreshes
    await visitor.logs_in(server.app_url())
    copied = dict(visitor.cookies)
    clients = [
        await Client.open(replica.app_url(), cookies=visitor.cookies, timeout=60)
        for replica in server.replicas
    ]
    provider.lifetime = 300
    provider.before_answer = lambda: (refreshing.set(), answers.wait(30), None)[-1]
    await until(refreshing.is_set)

    await visitor.get(f"{server.url}/logout")
    answers.set()

    for client in clients:
        await knows(client, "leaver@example.com None None None")
    assert provider.refreshes == before + 1
    for cookies in (visitor.cookies, copied):
        for replica in server.replicas:
            page = await get_page(replica.app_url(), cookies=cookies, follow=False)
            assert page.status == 302
            assert "login" in page.headers["Location"]
    for client in clients:
        client.wire.drop()
        with pytest.raises(Exception, match="403"):
            await client.reconnect()
    assert (await visitor.logs_in(server.app_url())).status == 200


@FLEET
async def test_each_browser_has_a_login_of_its_own(server: Fleet, provider: OAuthProvider) -> None:
    provider.user = "two@example.com"
    browsers = [Visitor(), Visitor()]
    clients, tokens = [], []
    for visitor in browsers:
        await visitor.logs_in(server.app_url())
        tokens.append(provider.access_tokens[-1])
        clients.append(await opened(server, visitor))
    for client, token in zip(clients, tokens, strict=True):
        await knows(client, f"two@example.com {token} refresh-")

    await browsers[0].get(f"{server.url}/logout")

    await knows(clients[0], "two@example.com None None None")
    await knows(clients[1], f"two@example.com {tokens[1]} refresh-")
    assert (await browsers[1].get(server.app_url())).status == 200
    assert (await browsers[0].get(server.app_url())).status == 302
    for client in clients:
        await client.close()


async def test_who_logs_in_again_in_another_tab_has_the_new_tokens_in_all(
    server: Server | Fleet, provider: OAuthProvider
) -> None:
    provider.user = "again@example.com"
    visitor = Visitor()
    await visitor.logs_in(server.app_url())
    async with await opened(server, visitor) as client:
        await visitor.logs_in(f"{server.url}/login?next={urlsplit(server.app_url()).path}")

        await knows(client, f"again@example.com {provider.access_tokens[-1]} refresh-")


@FLEET
async def test_a_replica_is_killed_between_redirect_and_callback(
    server: Fleet, provider: OAuthProvider
) -> None:
    visitor = Visitor()
    page = await visitor.to_the_provider(server.app_url())
    begun = server.served_by(visitor.pages[-1].headers)
    begun.kill()
    try:
        server.balance_over(server.others(begun))
        for _ in range(4):
            page = await visitor.follow(page)
            if page.status != 302:
                break
        assert page.status == 200
        async with await opened(server, visitor) as client:
            assert "first ada@example.com" in said(client)
    finally:
        await begun.start_async()
        server.balance_over(server.replicas)


# -- tokens ----------------------------------------------------------------------------------------


@FLEET
async def test_tokens_are_refreshed_once_for_all_sessions_wherever_they_are(
    server: Fleet, provider: OAuthProvider
) -> None:
    provider.user, provider.lifetime = "grace@example.com", 6
    visitor = Visitor()
    await visitor.logs_in(server.app_url())
    before = provider.refreshes
    provider.lifetime = 300
    clients = [
        await Client.open(replica.app_url(), cookies=visitor.cookies, timeout=60)
        for replica in server.replicas
    ]
    first = provider.access_tokens[-1]

    await until(lambda: provider.refreshes > before)

    for client in clients:
        fresh = provider.access_tokens[-1]
        assert fresh != first
        text = await knows(client, fresh)
        assert f"grace@example.com {fresh} refresh-{fresh.split('-')[1]}-" in text
    assert provider.refreshes == before + 1
    page = await visitor.get(server.app_url())
    assert page.status == 200
    assert provider.refreshes == before + 1
    for client in clients:
        await client.close()


@FLEET
async def test_many_pages_with_expired_tokens_cause_one_refresh(
    server: Fleet, provider: OAuthProvider
) -> None:
    provider.user, provider.lifetime = "many@example.com", 4
    answers = threading.Event()
    provider.before_answer = lambda: (provider.asked[-1] != "refresh_token" or answers.wait(30), None)[-1]
    visitor, before = Visitor(), provider.refreshes
    await visitor.logs_in(server.app_url())
    expired = provider.access_tokens[-1]
    provider.lifetime = 300
    await until(lambda: not provider.is_good(expired))

    visits = [asyncio.create_task(get_page(server.app_url(), cookies=visitor.cookies)) for _ in range(12)]
    await until(lambda: provider.refreshes > before)
    answers.set()
    pages = await asyncio.gather(*visits)

    assert {page.status for page in pages} == {200}
    assert {urlsplit(page.url).path for page in pages} == {urlsplit(server.app_url()).path}
    assert provider.refreshes == before + 1
    assert provider.refused == 0, "no refresh token is used twice"


@FLEET
async def test_a_session_that_moved_has_tokens_that_are_good_then(
    server: Fleet, provider: OAuthProvider
) -> None:
    provider.user, provider.lifetime = "mover@example.com", 4
    visitor = Visitor()
    await visitor.logs_in(server.app_url())
    first, other, *_ = server.replicas
    async with await Client.open(first.app_url(), cookies=visitor.cookies, timeout=60) as client:
        old = provider.access_tokens[-1]
        await client.patch(TextInput, value="moves")
        await client.expect(lambda _: "now moves mover@example.com" in said(client))
        first.kill()
        client.wire.drop()
        provider.lifetime = 300
        await until(lambda: not provider.is_good(old))
        client.url = other.app_url()
        await client.reconnect()

        token = provider.access_tokens[-1]
        assert provider.is_good(token)
        assert f"mover@example.com {token} refresh-" in await knows(client, token)
    await first.start_async()


async def test_a_session_that_slept_has_tokens_that_are_good_then(
    start_fleet: Callable[..., Fleet], provider: OAuthProvider
) -> None:
    sleepy = ["--hibernate-after", "0.5", "--check-unused-sessions", "200"]
    fleet = start_fleet([APP], n=1, args=[*provider.args(), "--oauth-refresh-tokens", *sleepy])
    provider.user, provider.lifetime = "sleeper@example.com", 5
    visitor = Visitor()
    await visitor.logs_in(fleet.app_url())
    async with await opened(fleet, visitor) as client:
        old = provider.access_tokens[-1]
        await asyncio.to_thread(until_asleep, fleet)
        provider.lifetime = 300
        await until(lambda: not provider.is_good(old))

        await client.patch(TextInput, value="wakes")
        await client.expect(lambda _: "now wakes " in said(client))

        token = provider.access_tokens[-1]
        assert f"now wakes sleeper@example.com sleeper@example.com {token} refresh-" in said(client)
        assert provider.is_good(token)


def until_asleep(fleet: Fleet) -> None:
    wait_until(lambda: scrape(fleet.replicas[0].url)("svc_hibernated_sessions") >= 1)


async def test_who_is_not_trusted_any_more_has_to_log_in(
    server: Server | Fleet, provider: OAuthProvider
) -> None:
    provider.user, provider.lifetime = "eve@example.com", 1
    visitor = Visitor()
    await visitor.logs_in(server.app_url())
    provider.revoke()
    await until(lambda: not provider.is_good(provider.access_tokens[-1]))

    page = await visitor.get(server.app_url())

    assert page.status == 302
    assert "login" in page.headers["Location"]
    for _ in range(3):
        assert (await visitor.get(server.app_url())).status == 302
    assert provider.refused == 1, "it is asked once"
    provider.lifetime = 300
    assert (await visitor.logs_in(server.app_url())).status == 200


async def test_a_provider_in_trouble_logs_nobody_out(server: Server | Fleet, provider: OAuthProvider) -> None:
    provider.user, provider.lifetime = "patient@example.com", 1
    visitor = Visitor()
    await visitor.logs_in(server.app_url())
    provider.away = True
    await until(lambda: not provider.is_good(provider.access_tokens[-1]))

    async with asyncio.timeout(30):  # the server heard of its token a little later than it was made
        while (page := await visitor.get(server.app_url())).status == 200:  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.1)

    assert page.status == 503
    assert "login service" in page.text
    provider.away, provider.lifetime = False, 300
    async with asyncio.timeout(30):
        while (await visitor.get(server.app_url())).status == 503:  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.2)
    assert (await visitor.get(server.app_url())).status == 200


async def test_who_logs_in_or_out_while_the_store_is_away_is_told_so(
    start_fleet: Callable[..., Fleet], provider: OAuthProvider
) -> None:
    fleet = start_fleet([APP], n=1, args=[*provider.args(), "--oauth-refresh-tokens"])
    inside, outside = Visitor(), Visitor()
    await inside.logs_in(fleet.app_url())
    on_the_way = await outside.comes_back(fleet.app_url())

    fleet.redis.pause()
    out = await inside.get(f"{fleet.url}/logout")
    come = await outside.follow(on_the_way)
    fleet.redis.resume()

    assert (out.status, come.status) == (503, 503)
    assert "You may still be logged in: the session store does not answer" in out.text
    assert "You are not logged in: the session store does not answer" in come.text
    assert "Retry-After" in out.headers
    assert inside.cookies["user"]
    assert "user" not in outside.cookies
    async with asyncio.timeout(30):
        while (await inside.get(f"{fleet.url}/logout")).status != 200:  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.2)
    assert (await inside.get(fleet.app_url())).status == 302
    assert (await outside.logs_in(fleet.app_url())).status == 200


async def test_tokens_that_are_too_long_for_a_cookie(server: Server | Fleet, provider: OAuthProvider) -> None:
    provider.user, provider.padding = "azure@example.com", 5000
    visitor = Visitor()
    await visitor.logs_in(server.app_url())

    assert "access_token" not in visitor.cookies
    async with await opened(server, visitor) as client:
        assert provider.access_tokens[-1] in said(client)


@FLEET
async def test_no_token_is_in_redis_in_plain_text(server: Fleet, provider: OAuthProvider) -> None:
    provider.user = "secret@example.com"
    visitor = Visitor()
    await visitor.logs_in(server.app_url())
    async with await opened(server, visitor) as client:
        token = provider.access_tokens[-1]
        assert token in said(client)
        held = everything(server)
    assert any(":tokens:" in key for key in held)
    texts = [token, *(visitor.cookies[name] for name in ("access_token", "refresh_token", "id_token"))]
    for text in (*texts, *(text.split("|")[-2].partition(":")[2] for text in texts[1:])):
        assert text
        assert text.encode() not in repr(held).encode()


def everything(server: Fleet) -> dict[str, Any]:
    """All that is in Redis but for journals, which hold what apps show."""
    keys = [key.decode() for key in server.redis.command("KEYS", "*")]
    read = {"hash": ("HGETALL",), "string": ("GET",), "set": ("SMEMBERS",), "zset": ("ZRANGE", 0, -1)}
    read["none"] = read["string"]  # it has expired since
    return {key: _read(server, key, read) for key in keys if not key.endswith(":journal")}


def _read(server: Fleet, key: str, read: dict[str, tuple[Any, ...]]) -> Any:
    verb, *rest = read[server.redis.command("TYPE", key).decode()]
    return server.redis.command(verb, key, *rest)


# -- what is refused -------------------------------------------------------------------------------

ELSEWHERE = (
    "https://evil.example.com/", "//evil.example.com", "///evil.example.com", "/\\evil.example.com",
    "/\t/evil.example.com", "javascript:alert(1)", "evil.example.com",
)  # fmt: skip


@ALONE
@pytest.mark.parametrize("elsewhere", ELSEWHERE)
async def test_the_way_back_leads_nowhere_else(server: Server, elsewhere: str) -> None:
    page = await Visitor().get(f"{server.url}/login?next={quote(elsewhere, safe='')}")
    assert page.status == 400


@ALONE
async def test_the_way_back_in_another_browser(server: Server) -> None:
    visitor, other = Visitor(), Visitor()
    there = await visitor.follow(await visitor.to_the_provider(server.app_url()))
    page = await other.follow(await other.get(there.headers["Location"]))
    assert page.status == 401
    assert (await other.get(server.app_url())).status == 302


@ALONE
async def test_a_socket_without_a_login(server: Server) -> None:
    visitor = Visitor()
    page = await visitor.logs_in(server.app_url())
    client = Client(server.app_url(), page.token)
    with pytest.raises(Exception, match="403"):
        await client.connect()
