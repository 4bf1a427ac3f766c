"""A Panel app before and after a move, and at its end; fails when they differ, or when something is left.

Run by the tests beside it.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import panel as pn
from bokeh.document import Document
from bokeh.io.state import curstate
from harness.runs import Run, app_of

from service.apps.panel_objects import PanelObjects
from service.documents.ids import IdSpace
from service.documents.restore import Fidelity

TEMPLATE = Path(__file__).parents[2] / "apps/panel_apps/template.py"


async def moved_to_nine(run: Run) -> None:
    """Panel handles what clients change in a callback of its own."""
    slider: Any = run.session.document.slider  # type: ignore[attr-defined]
    moved = asyncio.Event()
    slider.param.watch(lambda event: moved.set(), "value")
    if slider.value != 9:
        await asyncio.wait_for(moved.wait(), 30)
    await run.do(lambda: None)  # after the callback that did it


class Complaints(logging.Handler):
    """Collects warnings and errors."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.found: list[str] = []
        logging.getLogger().addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(self.format(record))


async def comes_back() -> None:
    def build(doc: Document) -> None:
        slider = pn.widgets.IntSlider(start=0, end=99, value=1)
        squares = pn.pane.Markdown(pn.bind(lambda n: f"the square is {n * n}", slider))
        view = pn.Column(slider, squares)
        doc.slider = slider  # type: ignore[attr-defined]
        view.server_doc(doc)

    first = await Run.begin(app_of(build))
    await first.pull()
    model = next(m for m in first.session.document.models if hasattr(m, "start") and hasattr(m, "value"))
    change = {"kind": "ModelChanged", "model": {"id": model.id}, "attr": "value", "new": 9}
    await first.patched({"events": [change]})
    await moved_to_nine(first)
    first.take()

    second = await first.restored()
    await moved_to_nine(second)

    assert second.session.fidelity is Fidelity.EXACT
    assert second.session.document.slider.value == 9  # type: ignore[attr-defined]
    assert second.as_seen() == first.as_seen()
    await first.end()
    await second.end()


def takes_back_constants() -> None:
    """Which are read where a thread of another session has just made them variable."""
    complaints = Complaints()
    document = Document()
    player = pn.widgets.Player(start=0, end=9, value=1)
    player.server_doc(document)
    model = document.roots[0]

    PanelObjects(IdSpace("a")).restore(document, {model.id: {"value": 5, "value_throttled": 4}})

    assert complaints.found == []
    assert (player.value, player.value_throttled) == (5, 4)


async def ends_quietly() -> None:
    """A script, which Panel's own handlers run."""
    complaints = Complaints()
    run = await Run.begin(app_of(str(TEMPLATE)))
    document = run.session.document
    assert document in pn.state._locations

    await run.end()

    assert complaints.found == []
    assert document not in pn.state._locations


async def main() -> None:
    default = curstate().document
    await comes_back()
    takes_back_constants()
    await ends_quietly()
    assert curstate().document is default


if __name__ == "__main__":
    asyncio.run(main())
