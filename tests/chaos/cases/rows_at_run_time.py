"""Rows that a click adds, each with a callback of its own; and one that only a timer adds."""

from functools import partial

from bokeh.io import curdoc
from bokeh.layouts import column
from bokeh.models import Button, Column, Div, Slider

out = Div(name="out", text="")
rows = Column(name="rows")
add, later = Button(name="add", label="Add"), Button(name="later", label="Later")


def say(name, attr, old, new):
    out.text = f"{name} is {new}"


def make(name):
    row = Slider(name=name, title=name, start=0, end=10, value=0)
    row.on_change("value", partial(say, name))
    rows.children = [*rows.children, row]


def by_timer():
    make("timed")


add.on_click(lambda: make(f"row {len(rows.children) + 1}"))
later.on_click(lambda: curdoc().add_timeout_callback(by_timer, 600))
curdoc().add_root(column(add, later, out, rows))
