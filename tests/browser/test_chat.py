"""The chat of the examples on three replicas in three browsers, one of which loses its replica meanwhile."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from devfleet.fleet import Fleet
from devfleet.replica import Replica
from harness.browser import Tab

EACH = 20
"""Messages that each of two visitors sends."""


async def test_nobody_misses_a_message_and_nobody_sees_one_twice(
    start_fleet: Callable[..., Fleet], examples: Path, open_tab: Callable[..., Any]
) -> None:
    fleet = start_fleet([examples / "chat"])
    tabs = [await open_tab() for _ in fleet.replicas]
    for tab, replica in zip(tabs, fleet.replicas, strict=True):
        tab.expect_lost_connection()
        fleet.balance_over([replica])
        await tab.open(fleet.app_url())
        await tab.set("who", "value", replica.name)
    fleet.balance_over(fleet.replicas)
    doomed, *others = fleet.replicas
    talking = [
        asyncio.create_task(talk(tab, replica.name)) for tab, replica in zip(tabs[1:], others, strict=True)
    ]
    await tabs[0].until("value('lines', 'text').split('<div>').length > 9")

    await asyncio.to_thread(kill, fleet, doomed)
    await asyncio.gather(*talking)
    late = await open_tab()
    await late.open(fleet.app_url())

    for tab in (*tabs, late):
        await tab.until("value('lines', 'text').split('<div>').length > argument", 2 * EACH)
    said = [await lines(tab) for tab in (*tabs, late)]
    assert said == [said[1]] * 4
    for replica in others:
        own = [line for line in said[0] if line.startswith(replica.name)]
        assert own == [f"{replica.name}: {number}" for number in range(EACH)]
    assert len(said[0]) == 2 * EACH


async def talk(tab: Tab, name: str) -> None:
    for number in range(EACH):
        await tab.type("text", f"{number}")
        await tab.until(f"value('lines', 'text').includes('<b>{name}:</b> {number}<')")


def kill(fleet: Fleet, replica: Replica) -> None:
    replica.kill()
    fleet.balance_over(fleet.others(replica))


async def lines(tab: Tab) -> list[str]:
    """What it shows, without markup."""
    html = await tab.value("lines", "text")
    return [re.sub("<[^>]+>", "", line) for line in html.split("\n") if line]
