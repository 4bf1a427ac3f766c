"""A thread of the app's own for each click, which makes models and shows them by a next-tick callback."""

import threading

from bokeh.io import curdoc
from bokeh.layouts import column
from bokeh.models import Button, Div, TextInput

document = curdoc()
rows = column()
press = Button(label="press")
entry = TextInput(name="entry")
count = Div(name="count", text="0")


def work():
    made = Div(text="made by a thread")

    def show():
        rows.children = [*rows.children, made]
        count.text = str(int(count.text) + 1)

    document.add_next_tick_callback(show)


press.on_click(lambda: threading.Thread(target=work).start())
document.add_root(column(press, entry, rows, count))
