"""`svc sessions --end`: one session ends wherever it is, with its hooks, and its page says so."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from devfleet.fleet import Fleet
from devfleet.redis_server import eventually
from harness.apps import CountedApp
from harness.browser import Tab
from harness.client import Client

from store.contract import SessionKey
from store.keys import Keys

HOOKS = """
def on_session_destroyed(session_context):
    with open({log!r}, "a") as log:
        log.write(session_context.id + "\\n")
"""

STUCK = """
import asyncio, time
from pathlib import Path
from bokeh.io import curdoc
from bokeh.models import TextInput

document = curdoc()
begun = Path(__file__).parent / "begun"
if "stuck" in document.session_context.request.arguments:
    begun.touch()
    while True:
        pass

def wished(attr, old, new):
    if new == "callback":
        turn_in_circles()
    else:
        document.add_next_tick_callback(wait_for_ever)

def turn_in_circles():
    begun.touch()
    while True:
        time.sleep(0.01)

async def wait_for_ever():
    begun.touch()
    await asyncio.Event().wait()

wish = TextInput(name="wish", value="")
wish.on_change("value", wished)
document.add_root(wish)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ending")


@pytest.fixture(scope="module")
def fleet(start_fleet: Callable[..., Fleet], folder: Path) -> Fleet:
    """Two replicas with an app that notes which of its sessions ended."""
    app = CountedApp(folder, files={"app_hooks.py": HOOKS.format(log=str(folder / "ended"))})
    (folder / "stuck.py").write_text(STUCK)
    return start_fleet([app.path, folder / "stuck.py"], n=2)


def svc(fleet: Fleet, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [fleet.replicas[0].command[0], "sessions", "--redis", fleet.redis.url, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


async def test_the_page_of_an_ended_session_says_so(fleet: Fleet, folder: Path, tab: Tab) -> None:
    await tab.open(fleet.app_url())
    (shown,) = json.loads(svc(fleet, "--json").stdout)

    ended = svc(fleet, shown["session"], "--end")

    assert ended.stdout == f"{shown['session']} has ended\n"
    await tab.raw.get_by_text("This session has ended.").wait_for()
    (hooked,) = (folder / "ended").read_text().split()
    assert SessionKey("/counted", hooked).short == shown["session"]
    assert json.loads(svc(fleet, "--json").stdout) == []

    await tab.raw.get_by_text("Start afresh").click()
    await tab.until("value('slider', 'value') === 1")
    (other,) = json.loads(svc(fleet, "--json").stdout)
    assert other["session"] != shown["session"]


async def test_a_session_that_is_relayed_ends_for_all(fleet: Fleet) -> None:
    owner, other = fleet.replicas
    short = SessionKey("/counted", "shared").short
    async with (
        await Client.open(owner.app_url(), session_id="shared") as first,
        await Client.open(other.app_url(), session_id="shared") as second,
    ):
        await asyncio.to_thread(eventually, lambda: short in svc(fleet).stdout)

        ended = await asyncio.to_thread(svc, fleet, short, "--end")

        assert ended.returncode == 0, ended.stderr
        assert [await first.wait_closed(), await second.wait_closed()] == [1012, 1012]
        await second.reconnect()
        assert second.document.title == "This session has ended."


@pytest.mark.parametrize(
    ("what", "function"), [("callback", r"turn_in_circles \("), ("coroutine", "wait_for_ever")]
)
async def test_a_session_ends_whose_code_does_not(
    fleet: Fleet, folder: Path, what: str, function: str
) -> None:
    (folder / "begun").unlink(missing_ok=True)
    owner, other = fleet.replicas
    key = SessionKey("/stuck", what)
    async with (
        await Client.open(owner.app_url("stuck"), session_id=what) as first,
        await Client.open(other.app_url("stuck"), session_id=what) as second,
    ):
        going = asyncio.create_task(second.patch("wish", value=what))
        await asyncio.to_thread(eventually, (folder / "begun").exists, within=30)

        ended = await asyncio.to_thread(svc, fleet, key.short, "--end")

        assert ended.returncode == 0, ended.stderr
        assert [await first.wait_closed(), await second.wait_closed()] == [1012, 1012]
        owner.wait_line(rf"abandoned with its last journaled state, still running: {function}")
        await second.reconnect()
        assert second.document.title == "This session has ended."
        await asyncio.gather(going, return_exceptions=True)
    async with await Client.open(owner.app_url("stuck"), session_id=what) as anew:
        assert anew.value("wish", "value") == ""


async def test_a_session_ends_that_is_never_built(fleet: Fleet, folder: Path) -> None:
    """Its page is a shell, as the app has run before: its socket waits, and another replica's with it."""
    (folder / "begun").unlink(missing_ok=True)
    owner, other = fleet.replicas
    key = SessionKey("/stuck", "never")
    for each in fleet.replicas:
        await (await Client.open(each.app_url("stuck"))).close()
    page = Client.open(owner.app_url("stuck"), session_id="never", arguments={"stuck": "1"})
    opening = [asyncio.create_task(page)]
    await asyncio.to_thread(eventually, (folder / "begun").exists, within=30)
    opening.append(asyncio.create_task(Client.open(other.app_url("stuck"), session_id="never")))

    def built_for() -> float | None:
        found = {each["session"]: each["building"] for each in json.loads(svc(fleet, "--json").stdout)}
        return found.get(key.short)

    await asyncio.to_thread(eventually, lambda: (built_for() or 0) > 0, within=30)
    # However long it takes: what nobody has listed expires after a minute.
    eventually(lambda: int(fleet.redis.command("PTTL", Keys("svc").session(key.tag))) == -1)
    ended = await asyncio.to_thread(svc, fleet, key.short, "--end")

    assert ended.returncode == 0, ended.stderr
    owner.wait_line(r"abandoned while being built, still running: <module> \(.*stuck.py:\d+\)")
    for each in await asyncio.gather(*opening):
        assert each.document.title == "This session has ended."
        await each.close()
    assert built_for() is None


async def test_ending_takes_one_session(fleet: Fleet) -> None:
    refused = svc(fleet, "--app", "/nowhere", "--end")

    assert refused.returncode == 2
    assert "--end takes one session, and 0 fit" in refused.stderr


async def test_all_sessions_of_an_app_end_and_no_others(fleet: Fleet) -> None:
    ids = [f"many {number}" for number in range(3)]
    clients = [
        await Client.open(replica.app_url(), session_id=name)
        for name, replica in zip(ids, [*fleet.replicas, fleet.replicas[0]], strict=True)
    ]
    async with await Client.open(fleet.replicas[0].app_url("stuck"), session_id="stays"):
        await asyncio.to_thread(eventually, lambda: len(of_app(fleet, "/counted")) == 3)

        ended = await asyncio.to_thread(svc, fleet, "--app", "/counted", "--end", "--all")

        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert ended.stdout.endswith("3 of 3 sessions have ended\n")
        assert [await each.wait_closed() for each in clients] == [1012] * 3
        assert of_app(fleet, "/counted") == []
        assert SessionKey("/stuck", "stays").short in of_app(fleet, "/stuck")
    for each in clients:
        await each.close()


def of_app(fleet: Fleet, app: str) -> list[str]:
    return [each["session"] for each in json.loads(svc(fleet, "--app", app, "--json").stdout)]


async def test_ending_all_needs_to_know_of_what(fleet: Fleet) -> None:
    refused = svc(fleet, "--end", "--all")

    assert refused.returncode == 2
    assert "--app" in refused.stderr
