"""Callbacks that take three seconds, one asleep (as in a database query) and one computing."""

import time

from bokeh.io import curdoc
from bokeh.models import Slider

SECONDS = 3.0


def sleep(attr: str, old: int, new: int) -> None:
    time.sleep(SECONDS)


def compute(attr: str, old: int, new: int) -> None:
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        sum(range(1000))


def quick_at_first(attr: str, old: int, new: int) -> None:
    if new > 50:
        time.sleep(SECONDS)


def nothing(attr: str, old: int, new: int) -> None:
    pass


for callback in (sleep, compute, quick_at_first, nothing):
    slider = Slider(name=callback.__name__, start=0, end=100, value=0)
    slider.on_change("value", callback)
    curdoc().add_root(slider)
