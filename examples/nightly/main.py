"""Figures that are loaded once for the whole fleet, and shown to everybody as soon as they are there."""

from datetime import datetime

from bokeh.io import curdoc
from bokeh.models import ColumnDataSource, Div
from bokeh.plotting import figure

from svc import fleet

figures = fleet.shared("figures")

source = ColumnDataSource({"x": [], "y": []}, name="figures")
loaded = Div(text="nothing was loaded yet", name="loaded")
plot = figure(width=600, height=300, title="Last night's figures")
plot.line("x", "y", source=source, line_width=2)


def show(key, value):
    if value is not None:
        source.data = {"x": value["x"], "y": value["y"]}
        when = datetime.fromtimestamp(value["at"]).strftime("%H:%M:%S")
        loaded.text = f"loaded at {when} by replica process {value['process']}, run {value['run']}"


figures.on_change(show)
show("latest", figures.get("latest"))

curdoc().add_root(loaded)
curdoc().add_root(plot)
curdoc().title = "Nightly"
