"""A Panel app before and after a move; fails when they differ. Run by the tests beside it."""

from __future__ import annotations

import asyncio
from typing import Any

import panel as pn
from bokeh.document import Document
from harness.runs import Run, app_of

from service.documents.restore import Fidelity


async def moved_to_nine(run: Run) -> None:
    """Panel handles what clients change in a callback of its own."""
    slider: Any = run.session.document.slider  # type: ignore[attr-defined]
    moved = asyncio.Event()
    slider.param.watch(lambda event: moved.set(), "value")
    if slider.value != 9:
        await asyncio.wait_for(moved.wait(), 10)
    await run.do(lambda: None)  # after the callback that did it


async def main() -> None:
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


if __name__ == "__main__":
    asyncio.run(main())
