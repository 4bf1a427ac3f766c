"""An app whose build takes as long as there is a file ``closed`` beside it.

It raises where there is one called ``fails``, and has another root with ``more``. What it shows is random, so
that only the session's record has it.
"""

from __future__ import annotations

import random
import time
from pathlib import Path

from bokeh.events import ClientReconnected
from bokeh.io import curdoc
from bokeh.layouts import column
from bokeh.models import Button, ColumnDataSource, Div, Slider
from bokeh.plotting import figure

CLOSED = Path(__file__).with_name("closed")
while CLOSED.exists():
    time.sleep(0.01)

if CLOSED.with_name("fails").exists():
    raise RuntimeError("not now")

source = ColumnDataSource({"x": list(range(20)), "y": [random.random() for _ in range(20)]}, name="noise")
plot = figure(name="plot", width=300, height=200)
plot.line("x", "y", source=source)
slider = Slider(name="slider", title="factor", start=0, end=100, value=1)
shown = Div(name="shown", text="1")
came = Div(name="came")
rows = column(name="rows")
add = Button(name="add", label="Add row")


def moved(attr: str, old: float, new: float) -> None:
    shown.text = str(new)


def added() -> None:
    number = len(rows.children) + 1
    row = Slider(name=f"row {number}", title=f"row {number}", start=0, end=100, value=0)
    row.on_change("value", moved)
    rows.children = [*rows.children, row]


def came_again(event: ClientReconnected) -> None:
    came.text = "again"


def measured(attr: str, old: int, new: int) -> None:
    came.text += f" {new}"


plot.on_change("inner_width", measured)
curdoc().on_event(ClientReconnected, came_again)
slider.on_change("value", moved)
add.on_click(added)
curdoc().add_root(column(plot, slider, shown, came, add, rows))
if CLOSED.with_name("more").exists():
    curdoc().add_root(Div(name="more", text="more"))
curdoc().title = "gated"
