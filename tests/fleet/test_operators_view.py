"""What operators see of a fleet, and change of it as a whole, by commands on two real replicas."""

from __future__ import annotations

import asyncio
import getpass
import json
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bokeh.util.token import generate_jwt_token
from devfleet.fleet import Fleet
from devfleet.redis_server import eventually
from devfleet.replica import Replica
from harness.apps import CountedApp
from harness.client import Client, ServerError
from harness.pages import get_page
from harness.wire import WireClosed
from operations.scrape import get, scrape, until

FAILING = """
from bokeh.io import curdoc
from bokeh.models import Slider

def moved(attr, old, new):
    raise ValueError("no such data")

slider = Slider(name="slider", start=0, end=10, value=1)
slider.on_change("value", moved)
curdoc().add_root(slider)
"""


@pytest.fixture(scope="module")
def fleet(start_fleet: Callable[..., Fleet], tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    folder = tmp_path_factory.mktemp("operators")
    (folder / "failing.py").write_text(FAILING)
    sleepy = ["--hibernate-after", "0.3", "--check-unused-sessions", "100"]
    return start_fleet([CountedApp(folder).path, folder / "failing.py"], n=2, args=sleepy)


def svc(fleet: Fleet, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [fleet.replicas[0].command[0], *arguments, "--redis", fleet.redis.url]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def status(fleet: Fleet) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(svc(fleet, "status", "--json").stdout)
    return found


async def test_status_says_per_app_what_lives_what_sleeps_and_what_has_failed(fleet: Fleet) -> None:
    failing = {"app": "/failing", "replicas": 2, "live": 0, "asleep": 2, "errors": 3}
    counted = {"app": "/counted", "replicas": 2, "live": 0, "asleep": 0, "errors": 0}
    first, second = fleet.replicas
    url = Path(fleet.apps[1])
    async with await Client.open(first.app_url(url)) as one, await Client.open(second.app_url(url)) as two:
        for client, value in ((one, 2), (one, 3), (two, 2)):
            with pytest.raises(ServerError, match="no such data"):
                await client.patch("slider", value=value)

        await asyncio.to_thread(eventually, lambda: status(fleet)["apps"] == [counted, failing])

    found = status(fleet)
    assert all(each["memory"] > 20_000_000 for each in found["replicas"])
    assert "/failing  2" in svc(fleet, "status").stdout


async def test_maintenance_turns_new_pages_away_and_leaves_open_ones_alone(fleet: Fleet) -> None:
    first, second = fleet.replicas
    async with await Client.open(first.app_url(), session_id="open") as client:
        told = ["--message", "Back at <nine>", "--retry-after", "30"]
        begun = svc(fleet, "maintenance", "on", *told, "--operator", "ada")
        assert (begun.returncode, begun.stderr) == (0, "")
        assert begun.stdout.endswith("begun by ada: Back at <nine>\n")
        for replica in fleet.replicas:
            code, page, headers = get(replica.app_url())
            assert code == 503
            assert 30 <= int(headers["Retry-After"]) <= 45
            assert "Back at &lt;nine&gt;" in page
            assert get(f"{replica.app_url()}/autoload.js?bokeh-autoload-element=x")[0] == 503
            assert replica.status("/readyz") == 200

        # The session that is open goes on, also in a page of the other replica.
        await client.patch("slider", value=4)
        await client.reconnect()
        assert client.value("slider", "value") == 4
        again = await get_page(f"{second.app_url()}?bokeh-session-id=open")
        assert again.status == 200
        assert (await get_page(f"{second.app_url()}?bokeh-session-id=new")).status == 503
        # A Python client brings a token of its own.
        joined = Client(second.app_url(), generate_jwt_token("open"))
        await joined.reconnect()
        assert joined.value("slider", "value") == 4
        await joined.close()
        newcomer = Client(second.app_url(), generate_jwt_token("new"))
        with pytest.raises(WireClosed):
            await newcomer.connect()
        assert (newcomer.close_code, newcomer.close_reason) == (1013, "Back at <nine>")
        await newcomer.close()
    assert scrape(first.url)("svc_maintenance_pages_total", app="/counted") == 2
    assert scrape(first.url)("svc_maintenance", app="/failing") == 1
    assert "maintenance of all apps" in svc(fleet, "status").stdout
    line = "operator=ada (claimed, not authenticated) action=maintenance target=(all apps)"
    for replica in fleet.replicas:
        until(lambda replica=replica: any(line in each for each in replica.lines))

    assert svc(fleet, "maintenance", "off", "--operator", "grace").stdout == "no maintenance\n"
    line = "operator=grace (claimed, not authenticated) action=maintenance target=(all apps)"
    for replica in fleet.replicas:
        until(lambda replica=replica: any(line in each for each in replica.lines))
    assert [get(replica.app_url())[0] for replica in fleet.replicas] == [200, 200]


async def test_maintenance_of_one_app_outlives_its_replicas(fleet: Fleet) -> None:
    failing = Path(fleet.apps[1])
    svc(fleet, "maintenance", "on", "--message", "The archive moves", "--app", "/failing")
    replica = fleet.replicas[1]
    replica.stop()
    replica.start()

    for each in fleet.replicas:
        assert [get(each.app_url())[0], get(each.app_url(failing))[0]] == [200, 503]
    assert svc(fleet, "maintenance", "off", "--app", "/failing").returncode == 0
    assert "no replica serves /other" in svc(fleet, "maintenance", "off", "--app", "/other").stderr


async def test_without_redis_the_admin_page_begins_and_ends_it(
    replica: Callable[..., Replica], examples: Path
) -> None:
    server = replica([examples / "sliders.py"], args=["--admin", "--admin-user", "*"])
    async with await Client.open(f"{server.url}/admin") as page:
        await page.patch("maintenance message", value="Back at nine")
        for button in ("begin maintenance", "begin maintenance yes"):
            await page.click(button)
        await asyncio.to_thread(until, lambda: "Back at nine" in get(server.app_url())[1])
        assert get(server.app_url())[0] == 503
        assert get(f"{server.url}/admin")[0] == 200

        for button in ("end maintenance", "end maintenance yes"):
            await page.click(button)
        await asyncio.to_thread(until, lambda: get(server.app_url())[0] == 200)


async def test_the_replica_that_is_asked_says_who_asks_by_their_own_word(fleet: Fleet) -> None:
    replica = fleet.replicas[0]
    async with await Client.open(replica.app_url()):
        await asyncio.to_thread(
            eventually, lambda: "/counted" in svc(fleet, "sessions", "--app", "/counted").stdout
        )
        ended = svc(fleet, "sessions", "--app", "/counted", "--end", "--all", "--operator", "eve\nroot")
        assert ended.returncode == 0, ended.stdout
    drained = svc(fleet, "drain", replica.host)
    assert drained.returncode == 0, drained.stderr

    me = f"{getpass.getuser()}@{socket.gethostname()}"
    for line in (
        "operator=eve?root (claimed, not authenticated) action=end",
        f"operator={me} (claimed, not authenticated) action=drain",
    ):
        assert any(line in each for each in replica.lines)
