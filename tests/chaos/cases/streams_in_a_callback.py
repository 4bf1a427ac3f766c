"""A slider whose callback streams a row into a table's source."""

import numpy as np
from bokeh.io import curdoc
from bokeh.layouts import column
from bokeh.models import ColumnDataSource, DataTable, Div, IntEditor, Slider, TableColumn

source = ColumnDataSource(
    {"a": list(range(5)), "b": [f"x{i}" for i in range(5)], "c": np.linspace(0, 1, 5)}, name="src"
)
columns = [TableColumn(field="a", title="A", editor=IntEditor()), TableColumn(field="b", title="B")]
table = DataTable(source=source, columns=columns, editable=True, name="table")
slider = Slider(start=0, end=10, value=1, name="s")
out = Div(text="start", name="d")


def update(attr, old, new):
    out.text = f"value {new}"
    source.stream({"a": [new], "b": ["n"], "c": [new / 10.0]})


slider.on_change("value", update)
curdoc().add_root(column(slider, out, table))
