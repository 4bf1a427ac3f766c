"""What apps can share costs nothing where they do not: no command to Redis that a plain app does not need."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from devfleet.fleet import Fleet
from harness.client import Client
from operations.scrape import until

PLAIN = """
from bokeh.io import curdoc
from bokeh.models import Div

curdoc().add_root(Div(name="shown", text=""))
"""

JOB = """
from svc import fleet

@fleet.job
def work(): pass
"""

BEATS = 4

Commands = Callable[[str, dict[str, str]], Awaitable[set[str]]]


@pytest.fixture
def commands(start_fleet: Callable[..., Fleet], tmp_path: Path) -> Commands:
    """The commands that Redis had of a replica with these files, until a session was there for some time."""

    async def had(name: str, files: dict[str, str]) -> set[str]:
        folder = tmp_path / name / "app"
        folder.mkdir(parents=True)
        for file, source in files.items():
            (folder / file).write_text(source)
        fleet = start_fleet([folder], n=1, args=["--check-unused-sessions", "3600000"])
        client = await Client.open(fleet.app_url())

        def calls() -> dict[str, int]:
            found = fleet.redis.command("INFO", "commandstats")
            return {name.removeprefix("cmdstat_"): counts["calls"] for name, counts in found.items()}

        due = calls()["smembers"] + BEATS  # one for each heartbeat
        await asyncio.to_thread(until, lambda: calls()["smembers"] >= due)
        listening = fleet.redis.command("PUBSUB", "NUMSUB", "svc:messages")[1]
        await client.close()
        found = set(calls())
        fleet.stop()
        assert listening == 0
        return found

    return had


async def test_an_app_that_only_imports_it_costs_no_command(commands: Commands) -> None:
    plain = await commands("plain", {"main.py": PLAIN})
    imports = await commands("imports", {"main.py": f"from svc import fleet\n{PLAIN}"})
    job = await commands("job", {"main.py": PLAIN, "work.py": JOB})

    assert imports == plain
    # That of looking whether other replicas were given jobs: else the two above would show nothing.
    assert job - plain == {"zcard"}
