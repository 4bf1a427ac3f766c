"""A text that grows with each input, on threads that take their time."""

import time

import panel as pn

pn.extension(nthreads=4)
notes = pn.pane.Str("notes:", name="notes")
entry = pn.widgets.TextInput(name="note")


def typed(event):
    time.sleep(0.7)
    notes.object = f"{notes.object} {event.new}"


entry.param.watch(typed, "value")
pn.Column(entry, notes).servable()
