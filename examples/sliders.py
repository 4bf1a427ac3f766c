"""A sine wave shaped by four sliders, with a title one can type.

The smallest interesting app: one module, no template, every change goes through Python and back.
Run it with `svc serve examples/sliders.py` (or `bokeh serve examples/sliders.py`).
"""

import numpy as np
from bokeh.io import curdoc
from bokeh.layouts import column, row
from bokeh.models import ColumnDataSource, Slider, TextInput
from bokeh.plotting import figure

N = 200
X = np.linspace(0, 4 * np.pi, N)


def wave(offset: float, amplitude: float, phase: float, freq: float) -> dict[str, np.ndarray]:
    return {"x": X, "y": amplitude * np.sin(freq * X + phase) + offset}


source = ColumnDataSource(data=wave(0.0, 1.0, 0.0, 1.0), name="wave")

plot = figure(
    name="plot",
    height=400,
    width=600,
    title="my sine wave",
    tools="crosshair,pan,reset,save,wheel_zoom",
    x_range=(0, 4 * np.pi),
    y_range=(-2.5, 2.5),
)
plot.line("x", "y", source=source, line_width=3, line_alpha=0.6)

text = TextInput(name="title", title="title", value="my sine wave")
offset = Slider(name="offset", title="offset", value=0.0, start=-5.0, end=5.0, step=0.1)
amplitude = Slider(name="amplitude", title="amplitude", value=1.0, start=-5.0, end=5.0, step=0.1)
phase = Slider(name="phase", title="phase", value=0.0, start=0.0, end=round(2 * np.pi, 2), step=0.01)
freq = Slider(name="freq", title="frequency", value=1.0, start=0.1, end=5.1, step=0.1)


def update_title(attr: str, old: str, new: str) -> None:
    plot.title.text = new


def update_wave(attr: str, old: float, new: float) -> None:
    source.data = wave(offset.value, amplitude.value, phase.value, freq.value)


text.on_change("value", update_title)
for slider in (offset, amplitude, phase, freq):
    slider.on_change("value", update_wave)

curdoc().add_root(row(column(text, offset, amplitude, phase, freq), plot, width=900, name="main"))
curdoc().title = "Sliders"
