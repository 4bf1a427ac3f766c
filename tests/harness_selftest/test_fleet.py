"""The fleet's own machinery: round robin for real, replicas that come and go, and a clean end."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from devfleet import processes
from devfleet.fleet import Fleet
from devfleet.processes import Process
from devfleet.replica import Replica
from harness.apps import CountedApp
from harness.browser import Tab
from harness.client import Client
from harness.pages import get_page
from harness.tools import require

pytestmark = pytest.mark.usefixtures("own_command_line")

FLEET = Path(__file__).parents[2] / "tools" / "fleet.py"


async def test_nginx_sends_pages_round_the_replicas(fleet: Fleet) -> None:
    pages = [await get_page(fleet.app_url()) for _ in range(6)]
    served = [fleet.served_by(page.headers).name for page in pages]
    assert sorted(served) == ["replica a", "replica a", "replica b", "replica b", "replica c", "replica c"]


async def test_a_client_goes_through_the_balancer(fleet: Fleet) -> None:
    async with await Client.open(fleet.app_url()) as client:
        await client.patch("offset", value=1.5)
        await client.expect(lambda c: c.value("wave", "data")["y"][0] == 1.5)


async def test_a_browser_goes_through_the_balancer(fleet: Fleet, tab: Tab) -> None:
    await tab.open(fleet.app_url())
    value = await tab.drag_slider("offset", 0.3)
    await tab.wait_value("wave", "data.y.0", value)


async def test_replicas_come_and_go(fleet: Fleet) -> None:
    added = fleet.add_replica()
    served = {fleet.served_by((await get_page(fleet.app_url())).headers) for _ in range(8)}
    assert added in served

    fleet.replicas.remove(added)
    fleet.balance_over(fleet.replicas)
    assert added.stop() == 0
    served = {fleet.served_by((await get_page(fleet.app_url())).headers) for _ in range(8)}
    assert served == set(fleet.replicas)


async def test_an_app_counts_its_runs(
    counted_app: Callable[..., CountedApp], replica: Callable[..., Replica]
) -> None:
    app = counted_app()
    server = replica([app.path])
    async with await Client.open(server.app_url()), await Client.open(server.app_url()):
        assert app.runs == [server.pid, server.pid]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_tool_starts_a_fleet_and_stops_it_cleanly(examples: Path, number: signal.Signals) -> None:
    require("redis-server")
    require("nginx")
    with Process("tool", [sys.executable, FLEET, examples / "sliders.py", "--replicas", "1"]) as tool:
        tool.wait_line("open http://.*/sliders", 40)
        tool.send_signal(number)
        assert tool.wait() == 0, tool.log


def test_the_tool_names_what_is_not_installed(tmp_path: Path) -> None:
    with Process("tool", [sys.executable, FLEET], env={"PATH": str(tmp_path)}) as tool:
        assert tool.wait() == 2
        assert "apt-get install redis-server" in tool.log


def test_a_process_that_fails_shows_its_log() -> None:
    failing = Process("failing", [sys.executable, "-c", "print('last words'); raise SystemExit(3)"])
    with failing, pytest.raises(processes.ProcessFailed, match=r"(?s)exit code 3.*never.*last words"):
        failing.wait_line("never")
    assert failing not in processes.running()
