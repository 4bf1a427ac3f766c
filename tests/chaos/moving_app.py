"""An app with everything that has to survive a move: see the tests beside it."""

import random

import numpy as np
from bokeh.io import curdoc
from bokeh.layouts import column
from bokeh.models import Button, ColumnDataSource, Div, Select, Slider
from bokeh.plotting import figure

from service import session_state

state = session_state(curdoc())
state.setdefault("clicks", 0)

drawn = [random.random() for _ in range(20)]
noise = ColumnDataSource({"x": list(range(20)), "y": drawn}, name="noise")
times = np.arange("2026-01-01", "2026-01-21", dtype="datetime64[D]")
curve = ColumnDataSource({"x": np.linspace(0, 1, 20), "y": np.zeros(20), "t": times}, name="curve")
plot = figure(height=200, name="plot")
plot.line("x", "y", source=curve)
plot.scatter("x", "y", source=noise)
slider = Slider(start=0, end=100, value=1, step=1, name="slider")
kind = Select(options=["sin", "cos"], value="sin", name="kind")
count = Div(text="0", name="count")
button = Button(label="add", name="add")
ticks = ColumnDataSource({"n": [0]}, name="ticks")
hidden = Slider(start=0, end=10, value=0, name="hidden")
layout = column(slider, kind, button, count, plot, name="layout")


class Model:
    """Python state outside of the Document that callbacks keep in step."""

    value = 1


def update(attr, old, new):
    Model.value = slider.value
    function = np.sin if kind.value == "sin" else np.cos
    curve.data = {"x": curve.data["x"], "y": function(curve.data["x"] * Model.value), "t": times}


def add():
    state["clicks"] += 1
    count.text = str(state["clicks"])
    layout.children = [*layout.children, Div(text=f"added {state['clicks']}", name=f"added{state['clicks']}")]
    if hidden not in layout.children:
        hidden.value = 7
        layout.children = [*layout.children, hidden]
    curdoc().title = f"{state['clicks']} clicks"


def tick():
    ticks.stream({"n": [ticks.data["n"][-1] + 1]}, rollover=10)


slider.on_change("value", update)
kind.on_change("value", update)
button.on_click(add)
curdoc().add_root(layout)
curdoc().add_root(column(Div(text="ticks", name="ticks_title"), name="other"))
plot.scatter("n", "n", source=ticks)
curdoc().add_periodic_callback(tick, 200)
