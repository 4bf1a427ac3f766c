"""What apps can do since Bokeh 3.10: files in one event, and locked callbacks from any thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from devfleet.fleet import Fleet
from devfleet.replica import Replica
from harness.browser import Tab
from harness.client import Client

from service.lines import line

pytestmark = pytest.mark.skipif(line.VERSION < (3, 10), reason="Bokeh 3.9 has neither")

APPS = Path(__file__).parent / "bokeh_3_10_apps"


@pytest.fixture(scope="module")
def server() -> Iterator[Replica]:
    args = ["--unused-session-lifetime", "200", "--check-unused-sessions", "50"]
    with Replica([APPS / "locked.py"], name="locked", args=args) as running:
        yield running


async def test_locked_callbacks_of_threads_change_the_document(server: Replica) -> None:
    async with await Client.open(server.app_url()) as client:
        await client.click("begin")
        await client.expect(lambda c: c.value("every", "tags") == list(range(100)))
        await client.expect(lambda c: c.value("late", "tags") == list(range(100)))
        await client.expect(lambda c: c.value("latest", "tags")[-1:] == [99])
        seen = client.value("latest", "tags")
        assert seen == sorted(seen)


async def test_they_are_closed_when_their_session_ends(server: Replica) -> None:
    async with await Client.open(server.app_url()) as client:
        await client.click("begin")
    await asyncio.to_thread(server.wait_line, "^called after the end: closed, closed, closed$")
    assert "Traceback" not in server.log


async def test_they_end_with_the_server() -> None:
    with Replica([APPS / "locked.py"], name="ends") as server:
        async with await Client.open(server.app_url()) as client:
            await client.click("begin")
            server.terminate()
            await client.wait_closed()
        assert await asyncio.to_thread(server.wait) == 0
        assert "Traceback" not in server.log


async def test_a_chosen_file_comes_in_one_event_and_outlives_its_replica(
    start_fleet: Callable[..., Fleet], tab: Tab, tmp_path: Path
) -> None:
    """Also what the app keeps of it in Python: the event is replayed like any other input."""
    tab.expect_lost_connection()
    fleet = start_fleet([APPS / "upload.py"], args=["--durability", "sync"])
    (tmp_path / "three.csv").write_text("a\nb\nc\n")
    await tab.open(fleet.app_url("upload"))

    await tab.raw.locator("input[type=file]").set_input_files(tmp_path / "three.csv")
    await tab.wait_value("said", "text", "three.csv (text/csv) is of upload")

    await asyncio.to_thread(owner_of(fleet).kill)
    await tab.raw.get_by_text("Client connect was reestablished").wait_for(timeout=30_000)

    await tab.wait_value("said", "text", "three.csv (text/csv) is of upload")
    await tab.click("count")
    await tab.wait_value("said", "text", "3 lines of three.csv")
    await tab.raw.locator("input[type=file]").set_input_files([])
    await tab.click("count")
    await tab.wait_value("said", "text", "0 lines of ")


def owner_of(fleet: Fleet) -> Replica:
    (key,) = fleet.redis.command("KEYS", "svc:*:session")
    name = fleet.redis.command("HGET", key, "owner").decode()
    (owner,) = [each for each in fleet.replicas if each.matching(f"{name} listens")]
    return owner
