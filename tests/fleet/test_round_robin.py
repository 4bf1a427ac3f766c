"""Three replicas behind plain round robin are one server: every page view runs its app once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from devfleet.asgi import AsgiReplica
from devfleet.fleet import Fleet
from devfleet.replica import Replica
from harness.apps import CountedApp
from harness.client import Client
from harness.pages import get_page

from fleet.app_sources import TEMPLATE, TEMPLATED

VIEWS = 30


@pytest.fixture(scope="module")
def templated(tmp_path_factory: pytest.TempPathFactory) -> CountedApp:
    files = {"templates/index.html": TEMPLATE}
    return CountedApp(tmp_path_factory.mktemp("templated"), "templated", body=TEMPLATED, files=files)


@pytest.fixture(scope="module", params=[Replica, AsgiReplica], ids=["tornado", "asgi"])
def fleet(
    start_fleet: Callable[..., Fleet],
    plain: CountedApp,
    templated: CountedApp,
    request: pytest.FixtureRequest,
) -> Fleet:
    """With the last one on each of the fronts."""
    return start_fleet([plain.path, templated.path], make_last=request.param)


def about(number: int) -> dict[str, Any]:
    """What visitor `number` sends along."""
    return {
        "arguments": {"who": f"visitor {number}"},
        "cookies": {"who": f"cookie{number}"},
        "headers": {"X-Who": f"header {number}"},
    }


def seen(client: Client) -> Any:
    return json.loads(client.value("seen", "text"))


@asynccontextmanager
async def views(url: str, count: int) -> AsyncIterator[list[Client]]:
    """That many visitors, one after the other; all stay."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(await Client.open(url, **about(i))) for i in range(count)]


@pytest.mark.parametrize("name", ["plain", "templated"])
async def test_thirty_page_views_run_the_app_thirty_times(
    fleet: Fleet, name: str, request: pytest.FixtureRequest
) -> None:
    app: CountedApp = request.getfixturevalue(name)
    before = len(app.runs)
    async with views(fleet.app_url(name), VIEWS) as clients:
        assert len(app.runs) - before <= VIEWS
        pages = [fleet.served_by(client.page.headers) for client in clients if client.page]
        sockets = [fleet.served_by(client.wire.headers) for client in clients]

        assert set(pages) == set(sockets) == set(fleet.replicas)
        assert all(page is not socket for page, socket in zip(pages, sockets, strict=True))
        assert set(app.runs[before:]) == {replica.pid for replica in fleet.replicas}
        for number, client in enumerate(clients):
            expected = about(number)
            assert seen(client) == {
                "arguments": {"who": [expected["arguments"]["who"]]},
                "cookies": expected["cookies"],
                "header": expected["headers"]["X-Who"],
            }


async def test_visitors_do_not_see_each_others_changes(fleet: Fleet) -> None:
    async with views(fleet.app_url("plain"), 6) as clients:
        await asyncio.gather(
            *(client.patch("slider", value=10 + number) for number, client in enumerate(clients))
        )
        for number, client in enumerate(clients):
            await client.expect_value("double", "text", str(2 * (10 + number)))
        assert [client.value("slider", "value") for client in clients] == list(range(10, 16))


async def test_many_views_at_once_are_served_as_well(fleet: Fleet, plain: CountedApp) -> None:
    before = len(plain.runs)
    clients = await asyncio.gather(*(Client.open(fleet.app_url("plain"), **about(i)) for i in range(12)))
    try:
        assert len(plain.runs) - before == 12
        assert [seen(client)["cookies"]["who"] for client in clients] == [f"cookie{i}" for i in range(12)]
    finally:
        await asyncio.gather(*(client.close() for client in clients))


async def test_template_variables_are_in_the_page_and_roots_in_their_places(fleet: Fleet) -> None:
    async with views(fleet.app_url("templated"), 4) as clients:
        for number, client in enumerate(clients):
            assert client.page is not None
            assert f"<h1>Hello, visitor {number}</h1>" in client.page.text
            assert client.page.roots.keys() == {root.id for root in client.document.roots}


async def test_pages_are_for_their_own_browser_only(fleet: Fleet) -> None:
    for name in ("plain", "templated"):
        assert (await get_page(fleet.app_url(name))).headers["Cache-Control"] == "private, no-cache"


async def test_the_token_stays_small_whatever_the_cookies(fleet: Fleet) -> None:
    cookies = {f"cookie{number}": "x" * 1000 for number in range(12)}
    async with await Client.open(fleet.app_url("plain"), cookies=cookies) as client:
        assert len(client.token) < 500
        assert seen(client)["cookies"] == cookies
