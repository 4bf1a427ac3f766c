"""A session that ends its replica, as by a segfault or the OOM killer, once its slider is at 3 or more."""

import os
import signal

from bokeh.io import curdoc
from bokeh.models import Slider

slider = Slider(start=0, end=10, value=0, step=1, name="slider")


def moved(attr, old, new):
    if new >= 3:
        os.kill(os.getpid(), signal.SIGKILL)


slider.on_change("value", moved)
curdoc().add_root(slider)
