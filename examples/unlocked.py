"""A slow computation in an executor, which does not keep the document locked meanwhile."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from bokeh.document import without_document_lock
from bokeh.io import curdoc
from bokeh.layouts import column
from bokeh.models import Button, Div, Slider

document = curdoc()
executor = ThreadPoolExecutor(max_workers=2)

steps = Slider(start=1, end=10, value=3, title="Tenths of a second", name="tenths")
button = Button(label="Compute", name="compute")
result = Div(text="Nothing yet", name="result")


def compute(tenths):
    time.sleep(tenths / 10)
    return f"Computed for {tenths} tenths of a second"


async def show(text):
    result.text = text


@without_document_lock
async def compute_in_background():
    text = await asyncio.get_running_loop().run_in_executor(executor, compute, steps.value)
    document.add_next_tick_callback(partial(show, text))


button.on_click(lambda: document.add_next_tick_callback(compute_in_background))
document.on_session_destroyed(lambda session_context: executor.shutdown(wait=False))
document.add_root(column(steps, button, result))
