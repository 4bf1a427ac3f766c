"""How long a person waits: from the click on the link until the sliders can be moved, in Chromium.

And which parts that has: the server's, which is until the page is there, and from where BokehJS has been
started and its socket opened to the Document that comes through it; and those of BokehJS, its scripts, and
drawing.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from statistics import median

from devfleet.replica import PanelServe
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from loadtests.bench.crowd import LONG
from loadtests.bench.scenario import APPS, Measures, Ratio, Row, Scale, Scenario
from loadtests.bench.servers import Side

__all__ = ("SCENARIOS",)

PANEL_PAGE = APPS / "panel_page.py"
READY = "() => window.Bokeh && Bokeh.documents.length && Bokeh.documents[0].is_idle"
FAST_4G = {
    "offline": False,
    "latency": 165,
    "downloadThroughput": 9_000_000 * 0.9 / 8,
    "uploadThroughput": 1_500_000 * 0.9 / 8,
}
"""Milliseconds, bytes per second: "Fast 4G" of Chromium's developer tools. WebSockets are not slowed down."""
SLOWER_CPU = 4
"""Times, as developer tools advise for a phone of the middle range."""
DOCUMENT_FRAME = 6
"""ACK and PULL-DOC-REPLY are three frames each."""
WATCH_SOCKET = """
    window.socketTimes = [];
    const Plain = window.WebSocket;
    window.WebSocket = class extends Plain {
        constructor(...args) {
            super(...args);
            const note = () => window.socketTimes.push(performance.now());
            note();
            this.addEventListener("message", note);
        }
    };
"""
PARTS = f"""() => {{
    const [opened, ...frames] = window.socketTimes;
    const page = performance.getEntriesByType("navigation")[0];
    const document_came = frames[{DOCUMENT_FRAME - 1}];
    const waited_since = Math.max(opened, page.domInteractive);
    return {{
        servers: page.responseEnd + document_came - waited_since,
        scripts: page.domInteractive - page.responseEnd,
        drawing: performance.now() - document_came,
    }};
}}"""


@dataclass(frozen=True, slots=True)
class View:
    """One page view, in milliseconds; its parts leave out what Chromium needs to begin and to poll."""

    all: float
    servers: float
    """Until the page is there, and while BokehJS has nothing to do but to wait for the Document."""
    scripts: float
    """BokehJS: fetched, compiled, started."""
    drawing: float
    """From the Document to the last of its models drawn."""


async def interactive(side: Side, scale: Scale) -> Measures:
    """Medians of a few page views, in fresh profiles and in one that has been here before."""
    count = scale.count(3, 1)
    async with _chromium() as browser:
        await _fresh(browser, side.port, "sliders")  # warms the server up
        cpu = side.cpu_seconds()
        first = [await _fresh(browser, side.port, "sliders") for _ in range(count)]
        cost = (side.cpu_seconds() - cpu) / count
        again = await _again(browser, side.port, "sliders", count)
        slow = [await _fresh(browser, side.port, "sliders", slow=True) for _ in range(scale.count(2, 1))]
    return {
        "first_view": median(view.all for view in first),
        "next_view": median(view.all for view in again),
        "slow_view": median(view.all for view in slow),
        "servers_part": median(view.servers for view in first),
        "scripts": median(view.scripts for view in first),
        "drawing": median(view.drawing for view in first),
        "view_cpu": cost * 1000,
    }


async def panel(side: Side, scale: Scale) -> Measures:
    """The same of the usual Panel page."""
    count, app = scale.count(3, 1), PANEL_PAGE.stem
    async with _chromium() as browser:
        await _fresh(browser, side.port, app)
        first = [await _fresh(browser, side.port, app) for _ in range(count)]
        again = await _again(browser, side.port, app, count)
        slow = [await _fresh(browser, side.port, app, slow=True) for _ in range(scale.count(2, 1))]
    return {
        "panel_first": median(view.all for view in first),
        "panel_next": median(view.all for view in again),
        "panel_slow": median(view.all for view in slow),
    }


@asynccontextmanager
async def _chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        system = shutil.which("chromium") or shutil.which("google-chrome")
        browser = await playwright.chromium.launch(executable_path=system, args=["--no-sandbox"])
        yield browser
        await browser.close()


async def _fresh(browser: Browser, port: int, app: str, *, slow: bool = False) -> View:
    profile = await browser.new_context()
    try:
        return await _view(profile, port, app, slow)
    finally:
        await profile.close()


async def _again(browser: Browser, port: int, app: str, count: int) -> list[View]:
    profile = await browser.new_context()
    try:
        return [await _view(profile, port, app) for _ in range(count + 1)][1:]
    finally:
        await profile.close()


async def _view(profile: BrowserContext, port: int, app: str, slow: bool = False) -> View:
    page = await profile.new_page()
    await page.add_init_script(WATCH_SOCKET)
    if slow:
        await _slow_down(profile, page)
    began = time.perf_counter()
    await page.goto(f"http://127.0.0.1:{port}/{app}", wait_until="commit")
    await page.wait_for_function(READY, polling="raf", timeout=60_000)
    took = (time.perf_counter() - began) * 1000
    view = View(took, **await page.evaluate(PARTS))
    await page.close()
    return view


async def _slow_down(profile: BrowserContext, page: Page) -> None:
    tools = await profile.new_cdp_session(page)
    await tools.send("Network.emulateNetworkConditions", FAST_4G)
    await tools.send("Emulation.setCPUThrottlingRate", {"rate": SLOWER_CPU})


SCENARIOS = [
    Scenario(
        "browser",
        [
            Row("first_view", "time to interactive in Chromium, first visit", "ms", Ratio(at_most=0.6)),
            Row("servers_part", "the same: the server's part of it", "ms"),
            Row("scripts", "of a first visit: BokehJS fetched, compiled and started", "ms"),
            Row("drawing", "of a first visit: from the Document to all of it drawn", "ms"),
            Row("next_view", "the same with a warm browser cache", "ms", Ratio(at_most=0.55)),
            Row("slow_view", "the same, first visit over Fast 4G with a CPU four times slower", "ms"),
            Row("view_cpu", "the same: the server's CPU time per view, static files included", "ms"),
        ],
        interactive,
        args=LONG,
    ),
    Scenario(
        "panel-browser",
        [
            Row("panel_first", "usual Panel page, against `panel serve`: time to interactive, first visit",
                "ms", Ratio(at_most=0.6)),
            Row("panel_next", "the same with a warm browser cache", "ms", Ratio(at_most=0.5)),
            Row("panel_slow", "the same, first visit over Fast 4G with a CPU four times slower", "ms"),
        ],
        panel,
        apps=[PANEL_PAGE],
        args=LONG,
        peer=PanelServe,
    ),
]  # fmt: skip
