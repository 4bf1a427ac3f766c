"""A plot of ten million points that sends only what its view shows; zoom in for more."""

from bokeh.events import RangesUpdate
from bokeh.io import curdoc
from bokeh.models import ColumnDataSource, Range1d
from bokeh.plotting import figure
from points import COUNT, visible

source = ColumnDataSource(visible(0, COUNT), name="shown")
plot = figure(height=400, x_range=Range1d(0, COUNT), tools="xpan,xwheel_zoom,xbox_zoom,reset", name="plot",
              title=f"{COUNT:,} points", output_backend="webgl")
plot.line("x", "y", source=source)


def show(event):
    source.data = visible(event.x0, event.x1)


plot.on_event(RangesUpdate, show)
curdoc().add_root(plot)
