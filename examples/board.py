"""A board that all visitors share: a tap puts a dot on it, and everybody sees where the others point.

On one server and on ten replicas alike. Dots stay until somebody clears the board; a pointer that does not move goes
after ten seconds.
"""

import time

from bokeh.events import MouseMove, Tap
from bokeh.io import curdoc
from bokeh.layouts import column
from bokeh.models import Button, ColumnDataSource
from bokeh.plotting import figure

from svc import fleet

MAX_DOTS = 500
SECONDS_BETWEEN_MOVES = 0.1

board = fleet.shared("board")
pointers = fleet.shared("pointers")
me = curdoc().session_context.id[-8:]
last_move = 0.0

dots = ColumnDataSource({"x": [], "y": []}, name="dots")
others = ColumnDataSource({"x": [], "y": []}, name="others")


def show_dots(key, value):
    places = value or []
    dots.data = {"x": [x for x, _ in places], "y": [y for _, y in places]}


def show_pointers(key, value):
    places = [place for name, place in pointers.items() if name != me]
    others.data = {"x": [x for x, _ in places], "y": [y for _, y in places]}


def put_dot(event):
    # Not board["dots"] = [*board["dots"], ...]: of two who tap at once one would be lost.
    board.update("dots", lambda places: [*places, [event.x, event.y]][-MAX_DOTS:], default=[])


def move_pointer(event):
    global last_move
    if time.monotonic() - last_move > SECONDS_BETWEEN_MOVES:
        last_move = time.monotonic()
        pointers.put(me, [event.x, event.y], ttl=10)


def clear():
    board.delete("dots")


plot = figure(x_range=(0, 10), y_range=(0, 10), width=600, height=500, tools="", title="Tap!", name="board")
plot.scatter("x", "y", source=dots, size=12)
plot.scatter("x", "y", source=others, size=16, marker="x", color="firebrick")
plot.on_event(Tap, put_dot)
plot.on_event(MouseMove, move_pointer)
button = Button(label="Clear", name="clear")
button.on_click(clear)

board.on_change(show_dots)
pointers.on_change(show_pointers)
show_dots("dots", board.get("dots"))
show_pointers("", None)

curdoc().add_root(column(plot, button))
curdoc().title = "Board"
