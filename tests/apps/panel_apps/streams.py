import holoviews as hv
import numpy as np
import panel as pn

hv.extension("bokeh")
pn.extension()
x = np.linspace(0, 10, 50)
amplitude = pn.widgets.FloatSlider(name="amplitude", start=1, end=5, value=1)


def curve(amplitude):
    return hv.Curve((x, amplitude * np.sin(x))).opts(ylim=(-6, 6), framewise=True)


tapped = hv.streams.Pipe(data=[])
points = hv.DynamicMap(hv.Points, streams=[tapped])
add = pn.widgets.Button(name="add")
add.on_click(lambda event: tapped.send([(each, 0) for each in range(event.new)]))
pn.Column(amplitude, add, pn.pane.HoloViews(hv.DynamicMap(pn.bind(curve, amplitude)) * points)).servable()
