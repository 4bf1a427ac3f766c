"""The usual Panel page, beside ``panel serve``: nearly all of it is the work of Panel and of the app."""

from __future__ import annotations

import itertools
from typing import Any

from devfleet.replica import PanelServe

from loadtests.bench.client import Tab
from loadtests.bench.crowd import LONG, Worker, open_many, rate
from loadtests.bench.scenario import APPS, Measures, Ratio, Row, Scale, Scenario
from loadtests.bench.servers import Side

__all__ = ("SCENARIOS",)

PAGE = APPS / "panel_page.py"

OPEN_PAGES = 10
"""While a slider is moved: with `panel serve` a move costs the more the more pages are open."""


async def page(side: Side, scale: Scale) -> Measures:
    tabs: list[Tab] = []

    async def open_tab() -> None:
        tabs.append(await Tab.open(side.port, PAGE.stem))

    for _ in range(OPEN_PAGES):
        await open_tab()
    await tabs[0].pull_parsed()
    _, moves = await rate(side, 2 * scale.seconds, [mover(tabs[0])])
    _, opened = await rate(side, 2 * scale.seconds, [open_tab])
    for tab in tabs:
        tab.close()
    return {"panel_open": opened, "panel_moves": moves}


async def memory(side: Side, scale: Scale) -> Measures:
    tabs = await open_many(side, PAGE.stem, OPEN_PAGES)
    before, count = side.rss(), scale.count(60, 10)
    tabs += await open_many(side, PAGE.stem, count)
    took = side.rss() - before
    for tab in tabs:
        tab.close()
    return {"panel_kb": took / count / 1024}


def mover(tab: Tab) -> Worker:
    """Moves the slider and waits until the text that Python makes of it has come."""
    slider, places = titled(tab.document, "offset"), itertools.count(1.5)

    async def move() -> None:
        place = next(places)
        tab.set(slider, "value", place)
        while not any(f"{place}&lt;/strong&gt;".encode() in frame for frame in await tab.message()):
            pass

    return move


def titled(value: Any, title: str) -> str:
    """The id of the slider with that title; "" if there is none."""
    children: Any = value if isinstance(value, list) else ()
    if isinstance(value, dict):
        attributes = value.get("attributes")
        if isinstance(attributes, dict) and attributes.get("title") == title and "Slider" in value["name"]:
            return str(value["id"])
        children = value.values()
    return next((found for child in children if (found := titled(child, title))), "")


SCENARIOS = [
    Scenario(
        "panel",
        [
            Row("panel_open", "usual Panel page, against `panel serve`: sessions per second of CPU", "1/s",
                Ratio(at_least=4)),
            Row("panel_moves", "the same: slider moves whose result has come, per second of CPU", "1/s",
                Ratio(at_least=5)),
        ],
        page,
        apps=[PAGE],
        args=LONG,
        peer=PanelServe,
    ),
    Scenario(
        "panel-memory",
        [Row("panel_kb", "usual Panel page, against `panel serve`: memory per live session", "KiB",
             Ratio(at_most=0.5))],
        memory,
        apps=[PAGE],
        args=LONG,
        rounds=2,
        peer=PanelServe,
    ),
]  # fmt: skip
