"""Headless Chromium, and one tab of it that knows Bokeh: documents, models, and the elements they draw.

A tab collects what went wrong in it: console errors, uncaught exceptions, failed requests. Whatever a test
did not declare as expected fails it at the end. Nothing here sleeps; it waits in the page.
"""

from __future__ import annotations

import io
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from PIL import Image
from playwright.async_api import (
    Browser,
    ConsoleMessage,
    ElementHandle,
    Page,
    Request,
    Response,
    async_playwright,
)

from harness.tools import require

_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]

LOST_CONNECTION = (
    "WebSocket connection to",
    "Could not open websocket",
    "Lost websocket",
    "ERR_CONNECTION",
    "not connected so cannot send",  # what a page's own player or clock changes meanwhile, before ...
    "'send' on 'WebSocket'",  # ... and while BokehJS tries again
    "HTTP 50[234]|status of 50[234]|Unexpected response code: 50[234]",
)

_IDLE = "() => globalThis.Bokeh?.documents?.length >= 1 && Bokeh.documents.every(each => each.is_idle)"

_MODEL = """
    const model = (which) => {
        for (const document of Bokeh.documents) {
            const found = document.get_model_by_name(which) ?? document.get_model_by_id(which);
            if (found != null) return found;
        }
        return null;
    };
    const value = (which, path) => path.split(".").reduce((at, name) => at?.[name], model(which));
    const plain = (at) =>
        at instanceof Map ? Object.fromEntries([...at].map(([key, each]) => [key, plain(each)])) :
        ArrayBuffer.isView(at) ? Array.from(at) :
        Array.isArray(at) ? at.map(plain) :
        at?.id !== undefined && at?.type !== undefined ? {id: at.id, type: at.type} :
        Object.prototype.toString.call(at) === "[object Object]" && at.constructor === Object
            ? Object.fromEntries(Object.entries(at).map(([key, each]) => [key, plain(each)])) :
        at ?? null;
    const view = (which) => Bokeh.index.find_one_by_id(model(which)?.id);
"""


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Debian's Chromium, headless, started and stopped here."""
    program = require("chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=_FLAGS)
        try:
            yield browser
        finally:
            await browser.close()


class Tab:
    """One tab. `which` is always a model's name or id; a `path` leads into it: "title.text".

    `raw` is Playwright's Page, for what is not here. Timeouts are in seconds.
    """

    def __init__(self, raw: Page, timeout: float = 30) -> None:
        self.raw = raw
        self.timeout = timeout
        self.problems: list[str] = []
        self.console: list[str] = []
        self.requested: list[str] = []
        self._expected: list[str] = []
        raw.set_default_timeout(timeout * 1000)
        raw.on("console", self._on_console)
        raw.on("pageerror", lambda error: self.problems.append(f"uncaught: {error}"))
        raw.on("request", lambda request: self.requested.append(request.url))
        raw.on("requestfailed", self._on_failed)
        raw.on("response", self._on_response)

    # pages

    async def open(self, url: str) -> None:
        """Goes to `url` and waits until all Bokeh documents in the page are drawn."""
        await self.raw.goto(url)
        await self.drawn()

    async def drawn(self, documents: int = 1, timeout: float | None = None) -> None:
        """Waits for that many documents, all of them idle."""
        await self.until(f"Bokeh.documents?.length >= {documents} && ({_IDLE})()", timeout=timeout)

    async def until(self, condition: str, argument: Any = None, timeout: float | None = None) -> None:
        """Waits until a JavaScript expression is true; it may use `model(name)`, `value(name, path)`,
        `view(name)`, `plain(anything)` and `argument`."""
        script = f"argument => {{ if (!globalThis.Bokeh) return false; {_MODEL} return !!({condition}); }}"
        await self.raw.wait_for_function(script, arg=argument, timeout=(timeout or self.timeout) * 1000)

    async def evaluate(self, expression: str, argument: Any = None) -> Any:
        """A JavaScript expression's value; see `until` for what it may use."""
        return await self.raw.evaluate(f"argument => {{ {_MODEL} return {expression}; }}", argument)

    # models

    async def value(self, which: str, path: str) -> Any:
        """A property as the page sees it, as plain data; models become `{id, type}`."""
        return await self.evaluate("plain(value(...argument))", [which, path])

    async def wait_value(self, which: str, path: str, expected: Any, timeout: float | None = None) -> None:
        """Waits until that property has that value (compared as JSON)."""
        try:
            await self.until(
                "JSON.stringify(plain(value(argument[0], argument[1]))) === JSON.stringify(argument[2])",
                [which, path, expected],
                timeout,
            )
        except Exception as error:
            raise AssertionError(
                f"{which} {path} is {await self.value(which, path)!r}, not {expected!r}"
            ) from error

    async def set(self, which: str, path: str, value: Any) -> None:
        """Sets a property from JavaScript, as a CustomJS would; it goes to the server."""
        await self.evaluate("(model(argument[0])[argument[1]] = argument[2], null)", [which, path, value])

    # elements, through their shadow roots, by real mouse and keyboard

    async def element(self, which: str, inner: str | None = None) -> ElementHandle:
        """The element that model's view draws into, or the first one in it that matches `inner`."""
        await self.until("view(argument)?.el != null", which)
        script = """const at = view(argument[0]).el; return argument[1] == null ? at :
            (at.shadowRoot ?? at).querySelector(argument[1]) ?? at.querySelector(argument[1])"""
        handle = await self.raw.evaluate_handle(f"argument => {{ {_MODEL} {script}; }}", [which, inner])
        element = handle.as_element()
        assert element is not None, f"{which} has no {inner}"
        return element

    async def click(self, which: str) -> None:
        """Clicks a button."""
        await (await self.element(which, "button, .bk-btn")).click()

    async def type(self, which: str, text: str) -> None:
        """Replaces the text of an input widget and leaves it."""
        box = await self.element(which, "input, textarea")
        await box.fill(text)
        await box.press("Enter")

    async def drag_slider(self, which: str, fraction: float) -> float:
        """Drags a slider's handle with the mouse to `fraction` of its track; the value it then has."""
        track = await (await self.element(which, ".noUi-base")).bounding_box()
        handle = await (await self.element(which, ".noUi-handle")).bounding_box()
        assert track is not None
        assert handle is not None
        y = handle["y"] + handle["height"] / 2
        await self.raw.mouse.move(handle["x"] + handle["width"] / 2, y)
        await self.raw.mouse.down()
        await self.raw.mouse.move(track["x"] + track["width"] * fraction, y, steps=8)
        await self.raw.mouse.up()
        return float(await self.value(which, "value"))

    async def nudge_slider(self, which: str, steps: int) -> float:
        """Moves a slider by keyboard, `steps` to the right (or left); the value it then has."""
        handle = await self.element(which, ".noUi-handle")
        for _ in range(abs(steps)):
            await handle.press("ArrowRight" if steps > 0 else "ArrowLeft")
        return float(await self.value(which, "value"))

    async def image(self, which: str | None = None) -> Image.Image:
        """A screenshot, of one model's element or of the tab."""
        await self.until(f"({_IDLE})()")
        shown = self.raw if which is None else await self.element(which)
        return Image.open(io.BytesIO(await shown.screenshot())).convert("RGB")

    async def count_pixels(self, which: str, colour: str, tolerance: int = 24) -> int:
        """How many pixels of a model's element are of about that colour ("#1f77b4")."""
        wanted = tuple(int(colour[at : at + 2], 16) for at in (1, 3, 5))
        found = (await self.image(which)).getcolors(maxcolors=1 << 24) or []
        return sum(count for count, rgb in found if _near(rgb, wanted, tolerance))

    # what went wrong

    def expect_problem(self, pattern: str) -> None:
        """Problems in which this regular expression is found are part of the test."""
        self._expected.append(pattern)

    def expect_lost_connection(self) -> None:
        """What BokehJS and Chromium say while a page's server is away is part of the test."""
        self._expected += LOST_CONNECTION

    def unexpected(self) -> list[str]:
        return [each for each in self.problems if not any(re.search(known, each) for known in self._expected)]

    @property
    def requested_elsewhere(self) -> list[str]:
        """What pages asked other hosts for than this one."""
        return [each for each in self.requested if urlsplit(each).hostname not in ("127.0.0.1", None)]

    def check(self) -> None:
        """AssertionError if anything went wrong that nobody expected."""
        wrong = self.unexpected()
        assert not wrong, "problems in the browser:\n" + "\n".join(wrong)

    def _on_console(self, message: ConsoleMessage) -> None:
        self.console.append(f"{message.type}: {message.text}")
        if message.type == "error":
            self.problems.append(f"console: {message.text} ({message.location.get('url')})")

    def _on_failed(self, request: Request) -> None:
        late = re.search(r"/bokeh-(gl|widgets|tables|mathjax)\.", request.url)
        if late and request.failure == "net::ERR_ABORTED":
            return  # loaded when the page is drawn: the test had moved on
        self.problems.append(f"request failed: {request.method} {request.url} {request.failure}")

    def _on_response(self, response: Response) -> None:
        if response.status >= 400:
            self.problems.append(f"HTTP {response.status}: {response.url}")


@asynccontextmanager
async def tab(browser: Browser, **context_options: Any) -> AsyncIterator[Tab]:
    """A tab in a fresh profile of its own. Problems in it fail the test that leaves it."""
    context = await browser.new_context(viewport={"width": 1200, "height": 800}, **context_options)
    try:
        opened = Tab(await context.new_page())
        yield opened
        opened.check()
    finally:
        await context.close()


def _near(rgb: Any, wanted: tuple[int, ...], tolerance: int) -> bool:
    return all(abs(one - other) <= tolerance for one, other in zip(rgb, wanted, strict=True))
