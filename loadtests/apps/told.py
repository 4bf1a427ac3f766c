"""All sessions are told of each move of a slider: by the fleet, or under `bokeh serve` by next ticks."""

from functools import partial

from bokeh.io import curdoc
from bokeh.models import Div, Slider

from service import fleet

slider = Slider(name="slider", start=0, end=1_000_000, value=0, step=1)
shown = Div(name="shown", text="0")


def show(value):
    shown.text = f"news {value}"


def publish(attr, old, new):
    fleet.publish("news", new)


def tell_all(attr, old, new):
    """As apps of Bokeh do it: each Document knows who to call."""
    for session in curdoc().session_context.server_context.sessions:
        session.document.add_next_tick_callback(partial(session.document.show, new))


try:
    fleet.subscribe("news", show)
except RuntimeError:  # bokeh serve
    curdoc().show = show
    slider.on_change("value", tell_all)
else:
    slider.on_change("value", publish)
curdoc().add_root(slider)
curdoc().add_root(shown)
