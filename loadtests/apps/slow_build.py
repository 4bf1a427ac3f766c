"""An app that takes a second before there is anything to see."""

import time

from bokeh.io import curdoc
from bokeh.models import Slider

time.sleep(1.0)
curdoc().add_root(Slider(name="slider", start=0, end=100, value=0))
