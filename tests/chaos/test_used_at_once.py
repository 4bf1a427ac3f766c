"""What users do right after a move counts, also where their session is shown before its app has run.

The apps make models where no two runs need make the same ones: on threads, and in callbacks that come later.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from devfleet.fleet import Fleet
from operations.scrape import at_rest, scrape

from loadtests.bench.client import Tab

APPS = Path(__file__).with_name("at_once")
MOMENTS = (0.0, 0.02, 0.05, 0.2, 0.26, 0.3, 0.34, 0.4, 0.6, 1.0)
"""Seconds after the page is shown: before its session is live, at that moment, and after it."""


@pytest.fixture(scope="module")
def fleet(start_fleet: Callable[..., Fleet]) -> Fleet:
    return start_fleet(sorted(APPS.glob("*.py")), n=2, args=["--log-level", "debug"])


def models(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        if value.get("type") == "object" and "id" in value:
            yield value
        value = list(value.values())
    for each in value if isinstance(value, list) else ():
        yield from models(each)


class Page:
    """One that sends what its user does without waiting for any answer."""

    def __init__(self, tab: Tab) -> None:
        self._tab = tab
        self._found: dict[str, Any] = {}

    async def pull(self) -> tuple[int, str]:
        """The count of clicks, and what was typed."""
        self._tab.send("PULL-DOC-REQ", b"{}")
        while b'"PULL-DOC-REPLY"' not in (frames := await self._tab.message())[0]:
            pass
        for each in models(json.loads(frames[2])["doc"]):
            attributes = each.get("attributes", {})
            names = {attributes.get(name) for name in ("name", "title", "label")} & {
                "press",
                "entry",
                "count",
            }
            self._found.update((name, each) for name in names)
        count, entry = (self._found[name]["attributes"] for name in ("count", "entry"))
        return int(count.get("text", count.get("value"))), entry.get("value", "")

    def use(self, text: str) -> None:
        entries = [["model", {"id": self._found["press"]["id"]}]]
        click = {"type": "event", "name": "button_click", "values": {"type": "map", "entries": entries}}
        self._send({"kind": "MessageSent", "msg_type": "bokeh_event", "msg_data": click})
        model = {"id": self._found["entry"]["id"]}
        self._send({"kind": "ModelChanged", "model": model, "attr": "value", "new": text})

    def _send(self, event: dict[str, Any]) -> None:
        self._tab.send("PATCH-DOC", json.dumps({"events": [event]}).encode())

    async def shows(self, count: int, text: str) -> None:
        """Wait for it. ConnectionError where the page has to connect once more."""
        async with asyncio.timeout(60):
            while (found := await self.pull()) != (count, text):
                assert found[0] <= count
                await asyncio.sleep(0.05)


@pytest.mark.parametrize("app", [each.stem for each in sorted(APPS.glob("*.py"))])
async def test_every_click_counts(fleet: Fleet, app: str) -> None:
    here, there = fleet.replicas
    tab = await Tab.open(here.port, app, pull=False)
    page = Page(tab)
    assert (await page.pull())[0] == 0
    for number in (1, 2):
        page.use(f"before {number}")
        await page.shows(number, f"before {number}")
    await asyncio.to_thread(at_rest, fleet, here)

    here.kill()
    await asyncio.to_thread(here.wait)
    try:
        shown = scrape(there.url)("svc_composed_pulls_total", result="shown")
        tab.cut()
        tab.port = there.port
        await tab.connect(pull=False)
        assert await page.pull() == (2, "before 2")
        assert scrape(there.url)("svc_composed_pulls_total", result="shown") == shown + 1
        at = 0.0
        for number, moment in enumerate(MOMENTS, 3):
            await asyncio.sleep(moment - at)
            at = moment
            page.use(f"after {number}")
        await page.shows(2 + len(MOMENTS), f"after {2 + len(MOMENTS)}")
        assert not there.matching("Traceback")
    finally:
        tab.close()
        await here.start_async()
