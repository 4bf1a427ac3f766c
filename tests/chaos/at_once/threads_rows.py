"""Panel's threads (``nthreads``) add a row of models for each click."""

import threading

import panel as pn
from bokeh.models import Div

pn.extension(nthreads=4)
lock = threading.Lock()
rows = pn.Column()
press = pn.widgets.Button(name="press")
entry = pn.widgets.TextInput(name="entry")
count = pn.widgets.TextInput(name="count", value="0")
echo = pn.pane.Str("echo", name="echo")


def add(event):
    with lock:
        rows.append(pn.pane.Bokeh(Div(text=f"row {event.new}")))
        count.value = str(int(count.value) + 1)


press.on_click(add)
entry.param.watch(lambda event: setattr(echo, "object", f"echo {event.new}"), "value")
pn.Column(press, entry, rows, echo, count).servable()
