"""The app `workout` of Panel's widgets, with a table besides, whose cells users edit.

What is noted of runs, and what tells on the state, is the same. Its clicks are counted by their button.
"""

import json
import os
import random
import sys

import pandas as pd
import panel as pn

pn.extension("tabulator")

if sys.argv[1:]:
    with open(sys.argv[1], "a") as runs:
        runs.write(f"{pn.state.curdoc.session_context.id} {os.getpid()}\n")

slider = pn.widgets.IntSlider(name="slider", start=0, end=1_000_000, value=0)
button = pn.widgets.Button(name="add")
count = pn.widgets.TextInput(name="count", value="0")
curve = pn.widgets.TextInput(name="curve", value=json.dumps([0] * 20))
noise = pn.widgets.TextInput(name="noise", value=json.dumps([random.random() for _ in range(20)]))
table = pn.widgets.Tabulator(pd.DataFrame({"row": [0, 1, 2], "n": [0, 0, 0]}))
rows = pn.Column()


def update(event):
    curve.value = json.dumps([x * event.new for x in range(20)])


def add(event):
    count.value = str(event.new)
    rows.append(row(event.new))


def row(number):
    return pn.widgets.TextInput(name=f"added {number}")


slider.param.watch(update, "value")
button.on_click(add)
controls, shown = [slider, button, count], [curve, noise, table, rows]
if "panel_template" not in globals():
    pn.Column(*controls, *shown).servable()
