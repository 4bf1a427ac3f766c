"""A slider whose callback does nothing: what is left is the server's own work."""

from bokeh.io import curdoc
from bokeh.models import Slider

slider = Slider(name="slider", start=0, end=1000, value=0)
slider.on_change("value", lambda attr, old, new: None)
curdoc().add_root(slider)
