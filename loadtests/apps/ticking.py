"""Streams from a periodic callback, and puts a new column in with each move of the slider."""

import numpy as np
from bokeh.io import curdoc
from bokeh.layouts import column
from bokeh.models import ColumnDataSource, Slider
from bokeh.plotting import figure

rows = ColumnDataSource({"t": [], "y": []}, name="rows")
block = ColumnDataSource({"x": np.zeros(10_000)}, name="block")
slider = Slider(name="slider", start=0, end=1_000_000, value=0)
plot = figure(height=200)
plot.line("t", "y", source=rows)
ticks = 0


def tick() -> None:
    global ticks
    ticks += 1
    rows.stream({"t": [ticks], "y": [ticks % 7]}, rollover=100)


def moved(attr: str, old: int, new: int) -> None:
    block.data = {"x": np.full(10_000, float(new))}


slider.on_change("value", moved)
curdoc().add_periodic_callback(tick, 200)
for root in (column(slider, plot), block):
    curdoc().add_root(root)
