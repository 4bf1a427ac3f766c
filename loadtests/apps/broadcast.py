"""Each move of the slider streams one row, which every tab of the session gets."""

from bokeh.io import curdoc
from bokeh.models import ColumnDataSource, Slider

source = ColumnDataSource(data={"x": [0], "y": [0], "label": ["start"]}, name="source")
slider = Slider(name="slider", start=0, end=1_000_000, value=0)


def stream(attr: str, old: int, new: int) -> None:
    source.stream({"x": [new], "y": [new * 0.5], "label": [f"row {new}"]}, rollover=100)


slider.on_change("value", stream)
curdoc().add_root(slider)
curdoc().add_root(source)
