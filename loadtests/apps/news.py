"""An app that shows what is published, and publishes each move of its slider."""

from bokeh.io import curdoc
from bokeh.models import Div, Slider

from service import fleet

slider = Slider(name="slider", start=0, end=1_000_000, value=0, step=1)
shown = Div(name="shown", text="0")


def publish(attr, old, new):
    fleet.publish("news", new)


def show(value):
    shown.text = f"news {value}"


slider.on_change("value", publish)
fleet.subscribe("news", show)
curdoc().add_root(slider)
curdoc().add_root(shown)
