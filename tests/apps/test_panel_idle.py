"""A Panel session that nobody uses is idle: nothing of Panel's own goes on in it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import panel.models.layout  # the client makes models of these classes
import panel.models.markup
import panel.models.widgets  # noqa: F401
from bokeh.events import DocumentReady
from devfleet.fleet import Fleet
from harness.client import Client

APP = """
import panel as pn

pn.extension()
shown = pn.pane.Str("clicks: 0")
button = pn.widgets.Button(name="press")
button.on_click(lambda event: setattr(shown, "object", f"clicks: {event.new}"))
pn.Column(button, shown).servable()
"""
HIBERNATING = ["--hibernate-after", "0.5", "--check-unused-sessions", "100", "--log-level", "debug"]


async def test_it_hibernates_after_a_click(start_fleet: Callable[..., Fleet], tmp_path: Path) -> None:
    app = tmp_path / "clicks.py"
    app.write_text(APP)
    (replica,) = start_fleet([app], n=1, args=HIBERNATING).replicas
    async with await Client.open(replica.app_url("clicks"), timeout=60) as client:
        await client.emit(DocumentReady())
        await client.click({"label": "press"})
        models = client.document.models
        await client.expect(lambda _: any("clicks: 1" in str(getattr(each, "text", "")) for each in models))
        await asyncio.to_thread(replica.wait_line, "hibernates", 60, after=len(replica.lines))
