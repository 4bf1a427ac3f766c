"""Three hundred tabs are closed at once, and nobody else notices: no session's end stops the event loop."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from devfleet.replica import Replica
from harness.apps import CountedApp
from harness.pages import get_page
from harness.wire import Wire

pytestmark = pytest.mark.alone

TABS = 300
SHORT_LIVES = ["--unused-session-lifetime", "300", "--check-unused-sessions", "200"]

PLOT = """
    from bokeh.io import curdoc
    from bokeh.models import Slider
    from bokeh.plotting import figure

    plot = figure()
    plot.line([1, 2, 3], [1, 2, 3])
    slider = Slider(start=0, end=1, value=0)
    slider.on_change("value", lambda attr, old, new: plot.update(title=str(new)))
    curdoc().add_root(plot)
    curdoc().add_root(slider)
"""

HOOKS = """
    def on_session_destroyed(session_context):
        with open({ended!r}, "a") as file:
            file.write("x")
"""


async def open_tab(url: str) -> Wire:
    page = await get_page(url)
    wire = await Wire.open(f"ws{url.removeprefix('http')}/ws", page.token, timeout=60)
    message = await wire.receive()
    assert message is not None
    assert message.msgtype == "ACK"
    return wire


async def open_tabs(url: str, count: int) -> list[Wire]:
    few = asyncio.Semaphore(10)

    async def one() -> Wire:
        async with few:
            return await open_tab(url)

    return list(await asyncio.gather(*(one() for _ in range(count))))


async def close_at_once(wires: list[Wire]) -> None:
    for wire in wires:
        await wire.close(1001)
    await asyncio.gather(*(wire.receive() for wire in wires))


async def answer_times(url: str, over: Callable[[], bool]) -> list[float]:
    """How long each of many requests took, in seconds, one after the other until it is `over`."""
    times = []
    async with asyncio.timeout(60):
        while not over():
            began = time.monotonic()
            assert (await get_page(url)).status == 200
            times.append(time.monotonic() - began)
    return times


async def test_metadata_is_answered_while_300_sessions_end(
    replica: Callable[..., Replica], counted_app: Callable[..., CountedApp], tmp_path: Path
) -> None:
    """The bounds leave room for a busy machine; `bokeh serve` answers nothing for over a minute here."""
    ended = tmp_path / "ended"
    ended.touch()
    app = counted_app("plot", body=PLOT, files={"app_hooks.py": HOOKS.format(ended=str(ended))})
    server = replica([app.path], args=SHORT_LIVES)
    wires = await open_tabs(server.app_url(), TABS)
    assert len(app.runs) == TABS

    await close_at_once(wires)
    times = await answer_times(f"{server.app_url()}/metadata", lambda: ended.stat().st_size >= TABS)

    print(f"median {statistics.median(times) * 1000:.0f} ms, worst {max(times) * 1000:.0f} ms")  # noqa: T201
    assert statistics.median(times) < 0.1
    assert max(times) < 1
