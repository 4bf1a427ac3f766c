"""A masked array in a callback: the gap in a line."""

import numpy as np
from bokeh.io import curdoc
from bokeh.models import ColumnDataSource, Div, TextInput

source = ColumnDataSource({"y": []}, name="source")
note = TextInput(name="note")
out = Div(name="out")


def show(attr, old, new):
    if new == "draw":
        source.data = {"y": np.ma.masked_greater([1.0, 2.0, 99.0, 3.0], 50)}
    out.text = f"{new}: {source.data['y']}"


note.on_change("value", show)
for model in (source, note, out):
    curdoc().add_root(model)
