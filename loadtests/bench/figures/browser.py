"""How long a person waits: from the click on the link until the sliders can be moved, in Chromium.

And which parts that has: the server's, which is until the page is there, and from where BokehJS has been
started and its socket opened to the Document that comes through it; and those of BokehJS, its scripts, and
drawing.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from statistics import median

from playwright.async_api import Browser, BrowserContext, async_playwright

from loadtests.bench.crowd import LONG
from loadtests.bench.scenario import Measures, Ratio, Row, Scale, Scenario
from loadtests.bench.servers import Side

__all__ = ("SCENARIOS",)

READY = "() => window.Bokeh && Bokeh.documents.length && Bokeh.documents[0].is_idle"
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
    async with async_playwright() as playwright:
        system = shutil.which("chromium") or shutil.which("google-chrome")
        browser = await playwright.chromium.launch(executable_path=system, args=["--no-sandbox"])
        await _fresh(browser, side.port)  # warms the server up
        cpu = side.cpu_seconds()
        first = [await _fresh(browser, side.port) for _ in range(count)]
        cost = (side.cpu_seconds() - cpu) / count
        known = await browser.new_context()
        again = [await _view(known, side.port) for _ in range(count + 1)][1:]
        await browser.close()
    return {
        "first_view": median(view.all for view in first),
        "next_view": median(view.all for view in again),
        "servers_part": median(view.servers for view in first),
        "scripts": median(view.scripts for view in first),
        "drawing": median(view.drawing for view in first),
        "view_cpu": cost * 1000,
    }


async def _fresh(browser: Browser, port: int) -> View:
    profile = await browser.new_context()
    try:
        return await _view(profile, port)
    finally:
        await profile.close()


async def _view(profile: BrowserContext, port: int) -> View:
    page = await profile.new_page()
    await page.add_init_script(WATCH_SOCKET)
    began = time.perf_counter()
    await page.goto(f"http://127.0.0.1:{port}/sliders", wait_until="commit")
    await page.wait_for_function(READY, polling="raf", timeout=60_000)
    took = (time.perf_counter() - began) * 1000
    view = View(took, **await page.evaluate(PARTS))
    await page.close()
    return view


SCENARIOS = [
    Scenario(
        "browser",
        [
            Row("first_view", "time to interactive in Chromium, first visit", "ms", Ratio(at_most=0.8)),
            Row("servers_part", "the same: the server's part of it", "ms"),
            Row("scripts", "of a first visit: BokehJS fetched, compiled and started", "ms"),
            Row("drawing", "of a first visit: from the Document to all of it drawn", "ms"),
            Row("next_view", "the same with a warm browser cache", "ms", Ratio(at_most=0.8)),
            Row("view_cpu", "the same: the server's CPU time per view, static files included", "ms"),
        ],
        interactive,
        args=LONG,
    )
]
