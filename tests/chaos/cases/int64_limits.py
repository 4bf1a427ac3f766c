"""Ids of 64 bits, drawn anew by each run, as of live data."""

import numpy as np
from bokeh.io import curdoc
from bokeh.models import ColumnDataSource, Div, TextInput

rng = np.random.default_rng()
ids = np.append(rng.integers(0, 2**62, 3), np.iinfo("int64").max)  # the last one: "open end"
source = ColumnDataSource({"id": ids}, name="source")
note = TextInput(name="note")
out = Div(name="out")
note.on_change("value", lambda attr, old, new: setattr(out, "text", f"{new}: {source.data['id'].tolist()}"))
for model in (source, note, out):
    curdoc().add_root(model)
