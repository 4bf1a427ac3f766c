"""The admin page of a fleet in a browser: who may see it, what it shows, and what can be done with it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from devfleet.fleet import Fleet
from devfleet.replica import Replica
from harness.browser import Tab
from harness.client import Client
from harness.pages import get_page
from harness.wire import Wire, WireClosed
from operations.scrape import until

AUTH = """
login_url = "/login"

def get_user(handler):
    return handler.get_cookie("who")
"""


@pytest.fixture(scope="module")
def auth(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("admin") / "auth.py"
    path.write_text(AUTH)
    return path


@pytest.fixture(scope="module")
def fleet(start_fleet: Callable[..., Fleet], auth: Path, examples: Path) -> Fleet:
    """Two replicas with an admin page for ada."""
    args = ["--auth-module", str(auth), "--admin", "--admin-user", "ada"]
    return start_fleet([examples / "sliders.py"], n=2, args=args)


def svc(fleet: Fleet, *arguments: str) -> list[dict[str, object]]:
    command = [fleet.replicas[0].command[0], *arguments, "--redis", fleet.redis.url, "--json"]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, timeout=60).stdout)
    return list(found["replicas"] if isinstance(found, dict) else found)


async def test_nobody_else_gets_in(fleet: Fleet) -> None:
    url = f"{fleet.url}/admin"

    assert (await get_page(url, follow=False)).status == 302
    assert (await get_page(url, cookies={"who": "eve"})).status == 403
    assert (await get_page(f"{url}/metadata", cookies={"who": "eve"})).status == 403
    page = await get_page(url, cookies={"who": "ada"})
    assert page.headers["X-Frame-Options"] == "DENY"
    with pytest.raises(WireClosed) as refused:
        await Wire.open(f"ws{url.removeprefix('http')}/ws", page.token, cookies={"who": "eve"})
    assert refused.value.http_status == 403


async def test_it_is_not_for_visitors(fleet: Fleet) -> None:
    """Neither listed nor embeddable, and with one app still the root leads there."""
    ada = {"who": "ada"}
    root = await get_page(f"{fleet.url}/", cookies=ada, follow=False)
    script = await get_page(f"{fleet.url}/admin/autoload.js?bokeh-autoload-element=1", cookies=ada)

    assert root.headers["Location"] == "./sliders"
    assert script.status == 404


async def test_an_operators_page_takes_no_seat_and_is_no_load(
    replica: Callable[..., Replica], auth: Path, examples: Path
) -> None:
    args = ["--auth-module", str(auth), "--admin", "--admin-user", "ada", "--max-sessions", "1"]
    server, ada = replica([examples / "sliders.py"], args=args), {"who": "ada"}
    async with (
        await Client.open(f"{server.url}/admin", cookies=ada),
        await Client.open(server.app_url(), cookies=ada),
    ):
        assert (await get_page(server.app_url(), cookies=ada)).status == 503
        async with await Client.open(f"{server.url}/admin", cookies=ada) as page:
            metrics = (await get_page(f"{server.url}/metrics")).text
            assert page.document.get_model_by_name("drain") is None  # there is nobody to drain to

    assert 'svc_sessions{app="/sliders",state="connected"} 1.0' in metrics
    assert 'svc_sessions{app="/admin"' not in metrics
    assert "svc_admin_sessions 2.0" in metrics


async def test_an_operator_ends_a_session_and_drains_a_replica(fleet: Fleet, tab: Tab) -> None:
    await tab.raw.context.add_cookies([{"name": "who", "value": "ada", "url": fleet.url}])
    async with await Client.open(fleet.app_url(), cookies={"who": "eve"}) as visitor:
        await tab.open(f"{fleet.url}/admin")
        (held,) = [each for each in svc(fleet, "sessions") if each["user"] == "eve"]
        short = str(held["session"])

        cell = tab.raw.locator(".slick-cell", has_text=short)
        await cell.click()
        await tab.raw.get_by_text("eve", exact=True).wait_for()
        await tab.click("end")
        await tab.raw.get_by_role("button", name=f"End {short}?").click()
        assert await visitor.wait_closed() == 1012
        await cell.wait_for(state="detached")
        await tab.raw.get_by_text(f"{short} ends").wait_for()

    owner = [str(each["owner"]) for each in svc(fleet, "sessions") if each["app"] == "/admin"][-1]
    await tab.raw.locator(".slick-cell", has_text=owner).first.click()
    await tab.click("drain")
    tab.expect_lost_connection()
    await tab.raw.get_by_role("button", name=f"Drain {owner}?").click()
    await tab.until("model('replicas').source.get_length() === 1", timeout=30)
    await tab.raw.get_by_text(f"{owner} was asked to drain").wait_for()
    for line in (
        f"operator=ada action=end target={short} outcome={short} ends",
        f"operator=ada action=drain target={owner} outcome={owner} was asked",
        f"operator=ada (claimed, not authenticated) action=drain target={owner}",
    ):
        until(lambda line=line: any(line in each for replica in fleet.replicas for each in replica.lines))
