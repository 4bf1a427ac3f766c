"""A thread of the app's own works in the background and hands each result to the document."""

import threading
from functools import partial

from bokeh.io import curdoc
from bokeh.models import ColumnDataSource
from bokeh.plotting import figure

source = ColumnDataSource({"x": [0], "y": [0]}, name="steps")
plot = figure(x_range=(0, 100), y_range=(0, 10), height=300)
plot.line("x", "y", source=source)

# The thread must not look at curdoc(): only this code, and callbacks, have a current document.
document = curdoc()
finished = threading.Event()


def update(x, y):
    source.stream({"x": [x], "y": [y]}, rollover=200)


def work():
    x = 0
    while not finished.wait(0.05):
        x += 1
        document.add_next_tick_callback(partial(update, x, x % 10))


document.on_session_destroyed(lambda session_context: finished.set())
document.add_root(plot)
threading.Thread(target=work, daemon=True).start()
