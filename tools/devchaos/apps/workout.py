"""An app whose whole state tells on itself: what a user did can be read from it, and a wrong part is seen.

Random data, a curve that a callback makes from a slider, models that clicks add, a count in the app's state.
Each run is noted, with its session, in the file that the first argument names. A second one says how many
seconds callbacks may take, in the middle of what they change.
"""

import os
import random
import sys
import threading

import numpy as np
from bokeh.io import curdoc
from bokeh.layouts import column
from bokeh.models import Button, ColumnDataSource, Div, Slider
from bokeh.plotting import figure

from service import session_state

if sys.argv[1:]:
    with open(sys.argv[1], "a") as runs:
        runs.write(f"{curdoc().session_context.id} {os.getpid()}\n")

SLOW = float(sys.argv[2]) if sys.argv[2:] else 0.0
X = np.arange(20.0)
state = session_state(curdoc())
state.setdefault("clicks", 0)
noise = ColumnDataSource({"y": [random.random() for _ in range(20)]}, name="noise")
curve = ColumnDataSource({"x": X, "y": X * 0}, name="curve")
plot = figure(height=200, name="plot")
plot.line("x", "y", source=curve)
slider = Slider(start=0, end=1_000_000, value=0, step=1, name="slider")
button = Button(label="add", name="add")
count = Div(text="0", name="count")
layout = column(slider, button, count, plot, name="layout")


def take_time():
    if SLOW:
        threading.Event().wait(random.uniform(0, SLOW))  # time.sleep fails under libfaketime (0.9.10)


def update(attr, old, new):
    take_time()
    curve.data = {"x": X, "y": X * new}


def add():
    state["clicks"] += 1
    take_time()
    count.text = str(state["clicks"])
    layout.children = [*layout.children, Div(text=f"added {state['clicks']}", name=f"added{state['clicks']}")]


slider.on_change("value", update)
button.on_click(add)
for root in (layout, noise):
    curdoc().add_root(root)
