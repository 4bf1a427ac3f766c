import panel as pn

pn.extension()
text = pn.pane.Str("waiting")
ticks = pn.widgets.IntInput(name="ticks", value=0)


def load():
    text.object = "loaded"


def tick():
    ticks.value += 1


pn.state.onload(load)
pn.state.add_periodic_callback(tick, period=50)
pn.Column(text, ticks).servable()
