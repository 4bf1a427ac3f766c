"""A HoloViews plot whose taps Python hears, and a slider whose function looks at where the last one was."""

import holoviews as hv
import panel as pn

pn.extension()
hv.extension("bokeh")
level = pn.widgets.IntSlider(name="level", start=0, end=9, value=0)
points = hv.Points([(1, 1), (2, 2), (3, 3)]).opts(xlim=(0, 4), ylim=(0, 4))
tap = hv.streams.Tap(source=points)
tapped = pn.pane.Str(pn.bind(lambda x: f"tapped {x}", tap.param.x))
seen = pn.pane.Str(pn.bind(lambda value: f"level {value} tapped {tap.x}", level))
line = hv.DynamicMap(lambda x, y: hv.VLine(x or 0), streams=[tap])
pn.Column(level, pn.pane.HoloViews(points * line), tapped, seen).servable()
