"""Columns as the docs of Bokeh make them of pandas' (`dict(x=df.x)`, `pd.date_range`), with live data."""

import numpy as np
import pandas as pd
from bokeh.io import curdoc
from bokeh.models import ColumnDataSource, Div, TextInput

n = np.random.default_rng().integers(100_000, 200_000, 3)
frame = pd.DataFrame({"n": n, "t": pd.date_range(end=pd.Timestamp.now(), periods=3, freq="D")})
source = ColumnDataSource(
    {"n": frame.n, "t": frame.t, "zoned": frame.t.dt.tz_localize("Europe/Berlin")}, name="source"
)
note = TextInput(name="note")
out = Div(name="out")


def show(attr, old, new):
    n, t, zoned = (np.asarray(source.data[name]) for name in ("n", "t", "zoned"))
    out.text = (
        f"{new}: n.dtype={n.dtype} n*n={(n * n).tolist()} t.dtype={t.dtype} t[0]={t[0]} zoned[0]={zoned[0]!r}"
    )


note.on_change("value", show)
for model in (source, note, out):
    curdoc().add_root(model)
