"""What clicks add is made in a callback for the next tick."""

from bokeh.io import curdoc
from bokeh.layouts import column
from bokeh.models import Button, Div, TextInput

document = curdoc()
rows = column()
press = Button(label="press")
entry = TextInput(name="entry")
count = Div(name="count", text="0")


def add():
    count.text = str(int(count.text) + 1)
    row = TextInput(title=f"row {count.text}")
    row.on_change("value", lambda attr, old, new: None)
    rows.children = [*rows.children, row]


press.on_click(lambda: document.add_next_tick_callback(add))
document.add_root(column(press, entry, rows, count))
