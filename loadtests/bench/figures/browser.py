"""How long a person waits: from the click on the link until the sliders can be moved, in Chromium."""

from __future__ import annotations

import shutil
import time

from playwright.async_api import Browser, async_playwright

from loadtests.bench.figures.throughput import LONG
from loadtests.bench.scenario import Measures, Ratio, Row, Scale, Scenario
from loadtests.bench.servers import Side

__all__ = ("SCENARIOS",)

READY = "() => window.Bokeh && Bokeh.documents.length && Bokeh.documents[0].is_idle"


async def interactive(side: Side, scale: Scale) -> Measures:
    """The median of a few page views in fresh profiles, after one that warms the server up."""
    async with async_playwright() as playwright:
        system = shutil.which("chromium") or shutil.which("google-chrome")
        browser = await playwright.chromium.launch(executable_path=system, args=["--no-sandbox"])
        await _view(browser, side.port)
        first = sorted([await _view(browser, side.port) for _ in range(scale.count(5, 2))])
        context = await browser.new_context()
        await _view(browser, side.port, context)
        again = sorted([await _view(browser, side.port, context) for _ in range(scale.count(5, 2))])
        await browser.close()
    return {"first_view": first[len(first) // 2], "next_view": again[len(again) // 2]}


async def _view(browser: Browser, port: int, context: object = None) -> float:
    """Milliseconds; with a ``context`` its cache is used, and kept."""
    own = context is None
    profile = await browser.new_context() if own else context
    page = await profile.new_page()  # type: ignore[union-attr, attr-defined]
    began = time.perf_counter()
    await page.goto(f"http://127.0.0.1:{port}/sliders", wait_until="commit")
    await page.wait_for_function(READY, polling="raf", timeout=60_000)
    took = (time.perf_counter() - began) * 1000
    await page.close()
    if own:
        await profile.close()  # type: ignore[union-attr, attr-defined]
    return took


SCENARIOS = [
    Scenario(
        "browser",
        [
            Row("first_view", "time to interactive in Chromium, first visit", "ms", Ratio(at_most=0.8)),
            Row("next_view", "the same with a warm browser cache", "ms", Ratio(at_most=0.8)),
        ],
        interactive,
        args=LONG,
    )
]
