"""Each move of the slider puts a new column of 10 MB into the browser."""

import numpy as np
from bokeh.io import curdoc
from bokeh.models import ColumnDataSource, Slider

source = ColumnDataSource(data={"x": np.zeros(1)}, name="source")
slider = Slider(name="slider", start=0, end=1_000_000, value=0)


def push(attr: str, old: int, new: int) -> None:
    source.data = {"x": np.full(10_000_000 // 8, float(new))}


slider.on_change("value", push)
curdoc().add_root(slider)
curdoc().add_root(source)
