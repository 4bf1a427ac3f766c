"""Many tabs are closed at once: the event loop has its turn between the ends of their sessions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from devfleet.replica import Replica
from harness.apps import CountedApp
from harness.pages import get_page
from harness.wire import Wire

TABS = 100
SHORT_LIVES = ["--unused-session-lifetime", "300", "--check-unused-sessions", "200"]
ON_THE_LOOP = ["--app-threads", "0"]

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
    import asyncio

    in_one_turn = 0

    def next_turn():
        global in_one_turn
        in_one_turn = 0

    def on_session_destroyed(session_context):
        global in_one_turn
        in_one_turn += 1
        asyncio.get_running_loop().call_soon(next_turn)
        with open({ended!r}, "a") as file:
            print(in_one_turn, file=file)
"""
"""Each end notes how many there were since the event loop ran anything else, itself included."""


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


async def test_the_event_loop_has_its_turn_between_the_ends_of_sessions(
    replica: Callable[..., Replica], counted_app: Callable[..., CountedApp], tmp_path: Path
) -> None:
    """`make bench` measures for how long a server is silent meanwhile."""
    ended = tmp_path / "ended"
    ended.touch()
    app = counted_app("plot", body=PLOT, files={"app_hooks.py": HOOKS.format(ended=str(ended))})
    server = replica([app.path], args=[*SHORT_LIVES, *ON_THE_LOOP])
    wires = await open_tabs(server.app_url(), TABS)
    assert len(app.runs) == TABS

    await close_at_once(wires)
    async with asyncio.timeout(60):
        while len(ended.read_text().splitlines()) < TABS:
            assert (await get_page(f"{server.app_url()}/metadata")).status == 200

    assert set(ended.read_text().splitlines()) == {"1"}
