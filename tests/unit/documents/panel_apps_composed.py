"""Panel apps: what is put together from their records is what their Documents send; fails when it is not.

Run by the tests beside it, with the paths of apps.
"""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections.abc import Iterator
from typing import Any

from bokeh.events import ButtonClick
from bokeh.models import Button, ColumnDataSource
from bokeh.models.widgets import Slider, TextInput
from harness.pulls import assert_composed
from harness.runs import Run, app_of

from service.apps import threads
from service.documents import scheduling

DRAWN = {"kind": "MessageSent", "msg_type": "bokeh_event", "msg_data": {
    "type": "event", "name": "document_ready", "values": {"type": "map", "entries": []}}}  # fmt: skip


def inputs(run: Run) -> Iterator[dict[str, Any]]:
    """What a user may do: to all that can be moved, written into and clicked."""
    for model in sorted(run.session.document.models, key=lambda model: model.id):
        reference: dict[str, Any] = {"model": {"id": model.id}}
        if isinstance(model, Slider):
            yield {"kind": "ModelChanged", **reference, "attr": "value", "new": model.start + 2 * model.step}
        elif isinstance(model, TextInput):
            yield {"kind": "ModelChanged", **reference, "attr": "value", "new": f"{model.value} and more"}
        elif isinstance(model, Button) or hasattr(type(model), "clicks"):
            click = {"type": "event", "name": ButtonClick.event_name, "values": {
                "type": "map", "entries": [["model", {"id": model.id}]]}}  # fmt: skip
            yield {"kind": "MessageSent", "msg_type": "bokeh_event", "msg_data": click}
        elif isinstance(model, ColumnDataSource) and model.data:
            name = min(model.data)
            rows = (
                [[0, model.data[name][0]]]
                if len(model.data[name]) and isinstance(model.data[name][0], str)
                else []
            )
            yield {"kind": "ColumnsPatched", **reference, "attr": "data", "patches": {
                "type": "map", "entries": [[name, rows]]}}  # fmt: skip


async def compared(run: Run) -> None:
    """Once nothing works on the Document, in one go; again where a thread of the app's own did meanwhile."""
    for left in reversed(range(5)):
        for _ in range(200):
            await asyncio.sleep(0.01)
            if not (run.session.locked or run.session.at_work or run.session.held):
                break
        assert not run.session.held
        run.take()
        try:
            assert_composed(run)
            assert_composed(run, inline=True)
        except AssertionError:
            if not left:
                raise
        else:
            return


async def used(run: Run) -> None:
    for event in list(inputs(run)):
        if event.get("model", {}).get("id", "") in {"", *(model.id for model in run.session.document.models)}:
            await run.patched({"events": [event]})
            await compared(run)


async def goes_through(path: str) -> None:
    first = await Run.begin(app_of(path))
    await first.pull()
    await compared(first)
    await first.patched({"events": [DRAWN]})
    await compared(first)
    await used(first)
    first.session.journal.lost()  # type: ignore[union-attr]
    await compared(first)
    await first.end()  # Panel finds its objects by ids, which the next life has again
    second = await first.restored()
    await compared(second)
    await used(second)
    await second.end()


async def main() -> int:
    threads.install()
    scheduling.install()
    failed = []
    for path in sys.argv[1:]:
        try:
            await asyncio.wait_for(goes_through(path), 60)
        except Exception:  # noqa: BLE001 - all of them are to be named
            failed.append(path)
            sys.stderr.write(f"{path}:\n{traceback.format_exc()}")
    return len(failed)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
