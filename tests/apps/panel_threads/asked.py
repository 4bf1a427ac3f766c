import threading

import panel as pn
from bokeh.models import Div

pn.extension()
notes = pn.Column()
press = pn.widgets.Button(name="press")


def say(event):
    pool = type(pn.state._thread_pool).__name__
    text = f"{threading.current_thread().name}, {pn.config.nthreads}, {pool}"
    notes.append(pn.pane.Bokeh(Div(text=text)))


press.on_click(say)
pn.Column(press, notes).servable()
