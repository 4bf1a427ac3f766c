import panel as pn

pn.extension()
notes = pn.pane.Str("notes:")
entry = pn.widgets.TextInput(name="note")


def typed(event):
    notes.object = f"{notes.object} {event.new}"


entry.param.watch(typed, "value")
pn.Column(entry, notes).servable()
