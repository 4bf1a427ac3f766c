"""The usual Panel page: a template, five widgets, a plot and a table that follow them."""

import numpy as np
import pandas as pd
import panel as pn
from bokeh.models import ColumnDataSource
from bokeh.plotting import figure

pn.extension("tabulator")

X = np.linspace(0, 10, 200)
FRAME = pd.DataFrame(
    {
        "city": [f"city {n}" for n in range(50)],
        "people": np.arange(50) * 1000,
        "share": np.linspace(0, 1, 50),
        "since": pd.date_range("2020-01-01", periods=50),
    }
)

slider = pn.widgets.FloatSlider(name="offset", start=0, end=1_000_000, value=0)
choice = pn.widgets.Select(name="function", options=["sin", "cos"])
text = pn.widgets.TextInput(name="title", value="a wave")
checkbox = pn.widgets.Checkbox(name="grid", value=True)
button = pn.widgets.Button(name="reset", button_type="primary")

source = ColumnDataSource({"x": X, "y": np.sin(X)})
plot = figure(height=300, title="a wave")
plot.line("x", "y", source=source)
table = pn.widgets.Tabulator(FRAME, page_size=20, pagination="local")


def update(*_: object) -> None:
    source.data = {"x": X, "y": getattr(np, choice.value)(X) + slider.value}


def reset(event: object) -> None:
    slider.value = 0


slider.param.watch(update, "value")
choice.param.watch(update, "value")
text.param.watch(lambda event: plot.title.update(text=event.new), "value")
checkbox.param.watch(lambda event: plot.grid.update(visible=event.new), "value")
button.on_click(reset)

pn.template.FastListTemplate(
    title="A usual page",
    sidebar=[slider, choice, text, checkbox, button],
    main=[
        pn.pane.Bokeh(plot),
        table,
        pn.bind(lambda value: f"The offset is **{value}**.", slider),
    ],
).servable()
