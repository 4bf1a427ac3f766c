"""Live data: three noisy sensors, measured twenty times a second and streamed into a plot.

A periodic callback appends to a ColumnDataSource with a rollover, so a tab can stay open for days. The
sensors' state lives in the session: each visitor watches their own.
"""

import time

import numpy as np
from bokeh.io import curdoc
from bokeh.layouts import column, row
from bokeh.models import Button, ColumnDataSource, DatetimeTickFormatter, Div, Select, Slider
from bokeh.palettes import Category10_3
from bokeh.plotting import figure

SENSORS = ("north", "east", "south")
ROLLOVER = 400
PERIODS = {"20 per second": 50, "10 per second": 100, "2 per second": 500}

rng = np.random.default_rng()
level = np.array([12.0, 15.0, 18.0])

source = ColumnDataSource(data={"time": [], **{name: [] for name in SENSORS}}, name="readings")

plot = figure(
    name="plot",
    height=380,
    sizing_mode="stretch_width",
    x_axis_type="datetime",
    y_axis_label="°C",
    title="Sensor readings",
    tools="pan,xwheel_zoom,reset,save",
    active_scroll="xwheel_zoom",
)
plot.x_range.follow = "end"
plot.x_range.follow_interval = 15_000
plot.x_range.range_padding = 0
plot.xaxis.formatter = DatetimeTickFormatter(seconds="%H:%M:%S", milliseconds="%H:%M:%S")
for name, colour in zip(SENSORS, Category10_3):
    plot.line("time", name, source=source, color=colour, line_width=2, legend_label=name)
plot.legend.location = "top_left"
plot.legend.click_policy = "hide"
plot.legend.orientation = "horizontal"

noise = Slider(name="noise", title="noise", value=0.3, start=0.0, end=2.0, step=0.05)
rate = Select(name="rate", title="measure", value="20 per second", options=list(PERIODS))
pause = Button(name="pause", label="Pause", button_type="primary")
count = Div(name="count", text="0 readings", styles={"padding-top": "0.5em", "color": "#555"})

readings = 0


def measure() -> None:
    """One reading of each sensor: a slow random walk that is pulled back to where it began."""
    global level, readings
    level += 0.02 * (np.array([12.0, 15.0, 18.0]) - level) + rng.normal(0, noise.value, 3)
    readings += 1
    now = time.time() * 1000
    source.stream({"time": [now], **{name: [value] for name, value in zip(SENSORS, level)}}, rollover=ROLLOVER)
    count.text = f"{readings} readings"


def start() -> None:
    global callback
    callback = curdoc().add_periodic_callback(measure, PERIODS[rate.value])
    pause.label = "Pause"


def stop() -> None:
    global callback
    if callback is not None:
        curdoc().remove_periodic_callback(callback)
    callback = None
    pause.label = "Go on"


def toggle() -> None:
    stop() if callback is not None else start()


def change_rate(attr: str, old: str, new: str) -> None:
    if callback is not None:
        stop()
        start()


callback = None
pause.on_click(toggle)
rate.on_change("value", change_rate)
start()

controls = row(rate, noise, column(Div(text="&nbsp;", height=12), pause), spacing=16)
curdoc().add_root(column(controls, plot, count, sizing_mode="stretch_width", name="main"))
curdoc().title = "Streaming"
