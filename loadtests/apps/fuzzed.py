"""Much that can be changed from outside, and callbacks that take whatever Bokeh lets through."""

import numpy as np
from bokeh.io import curdoc
from bokeh.layouts import column
from bokeh.models import (
    Button,
    ColumnDataSource,
    DataTable,
    Div,
    MultiSelect,
    RangeSlider,
    Slider,
    TableColumn,
    TextInput,
)
from bokeh.plotting import figure

source = ColumnDataSource({"x": np.arange(10.0), "y": np.arange(10), "z": list("abcdefghij")}, name="source")
slider = Slider(start=0, end=100, value=0, name="slider")
span = RangeSlider(start=0, end=100, value=(1, 2), name="span")
text = TextInput(value="", name="text")
choice = MultiSelect(options=["a", "b"], value=["a"], name="choice")
button = Button(label="button", name="button")
table = DataTable(source=source, columns=[TableColumn(field="x", title="x")], name="table")
said = Div(text="", name="said")
plot = figure(height=200, name="plot")
plot.scatter("x", "y", source=source)


def changed(attr, old, new):
    said.text = f"{attr}: {str(new)[:50]!r}"


for model, attr in ((slider, "value"), (span, "value"), (text, "value"), (choice, "value")):
    model.on_change(attr, changed)
source.selected.on_change("indices", changed)
source.on_change("data", changed)
button.on_click(lambda: changed("click", None, None))
curdoc().add_root(column(slider, span, text, choice, button, table, said, plot))
