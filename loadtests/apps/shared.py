"""An app that measures itself: how long it takes to read a value that the fleet shares."""

import time

from bokeh.io import curdoc
from bokeh.models import Div, Slider

from service import fleet

READS = 2000

board = fleet.shared("board")
slider = Slider(name="slider", start=0, end=1_000_000, value=0, step=1)
took = Div(name="took", text="0")


def measure(attr, old, new):
    board.put("place", {"x": 1.5, "y": 2.5, "who": "somebody"})
    began = time.perf_counter()
    for _ in range(READS):
        board["place"]
    took.text = f"{(time.perf_counter() - began) / READS * 1e6:.3f}"


slider.on_change("value", measure)
curdoc().add_root(slider)
curdoc().add_root(took)
