"""The example apps come back as they were."""

from __future__ import annotations

from pathlib import Path

import pytest
from bokeh.document import Document
from bokeh.events import ButtonClick
from bokeh.models import Slider
from harness.runs import Run, app_of

from service.documents.restore import Fidelity

EXAMPLES = Path(__file__).parents[3] / "examples"


@pytest.mark.parametrize("name", ["sliders.py", "weather", "explorer.py", "streaming.py", "unlocked.py"])
async def test_after_its_first_input(name: str) -> None:
    first = await Run.begin(app_of(str(EXAMPLES / name)))
    await first.pull()
    sliders = [model for model in first.session.document.models if isinstance(model, Slider)]
    for slider in sliders[:2]:
        event = {"kind": "ModelChanged", "model": {"id": slider.id}, "attr": "value", "new": slider.end}
        await first.patched({"events": [event]})
    first.take()

    second = await first.restored()

    assert second.session.fidelity is Fidelity.EXACT
    assert second.as_is() == first.as_is()
    await first.end()
    await second.end()


async def test_the_counter_counts_on() -> None:
    first = await Run.begin(app_of(str(EXAMPLES / "counter")))
    await first.pull()
    await click(first)
    await click(first)
    first.take()

    second = await first.restored()
    await click(second)

    assert second["total"].text == "3 clicks"
    assert second["news"].text.startswith("This session has moved")


async def test_a_counter_in_a_global_of_python_does_not() -> None:
    """What the documentation warns of."""

    def build(doc: Document) -> None:
        from bokeh.models import Button, Div

        clicks = 0
        total, button = Div(text="0 clicks", name="total"), Button(name="count")

        def count() -> None:
            nonlocal clicks
            clicks += 1
            total.text = f"{clicks} clicks"

        button.on_click(count)
        doc.add_root(total)
        doc.add_root(button)

    first = await Run.begin(app_of(build))
    await first.pull()
    await click(first)
    await click(first)
    first.take()

    second = await first.restored()
    assert second["total"].text == "2 clicks"
    await click(second)
    assert second["total"].text == "1 clicks"


async def click(run: Run) -> None:
    await run.do(lambda: run["count"]._trigger_event(ButtonClick(run["count"])))
