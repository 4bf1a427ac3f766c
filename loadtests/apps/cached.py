"""An app that measures itself: how long it takes to have a frame of 10 MB that the fleet has computed."""

import json
import time

import numpy as np
import pandas as pd
from bokeh.io import curdoc
from bokeh.models import Div, Slider

from service import fleet

ROWS = 131_072
FRAMES = 8
"""More than a replica has copies of."""


@fleet.cache(ttl=600)
def frame(number):
    numbers = np.random.default_rng(number)
    day = pd.date_range("2026-01-01", periods=ROWS, freq="s", tz="Europe/Berlin")
    kinds = pd.Categorical(numbers.choice(["low", "middle", "high"], ROWS))
    values = {f"value {at}": numbers.normal(size=ROWS) for at in range(7)}
    return pd.DataFrame({"at": day, "kind": kinds, "count": numbers.integers(0, 1000, ROWS), **values})


slider = Slider(name="slider", start=0, end=1_000_000, value=0, step=1)
took = Div(name="took", text="0")


def milliseconds(number):
    began = time.perf_counter()
    frame(number)
    return (time.perf_counter() - began) * 1000


def measure(attr, old, new):
    read = milliseconds(new % FRAMES)
    took.text = json.dumps([read, milliseconds(new % FRAMES)])


slider.on_change("value", measure)
curdoc().add_root(slider)
curdoc().add_root(took)
