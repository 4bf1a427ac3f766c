"""An explorer that builds itself as one goes: plots, curves and widgets are added while it runs.

Everything below the top row is made at run time, with callbacks of its own. What was added lives in the
Document only, so this is the app to watch when a session moves to another server.
"""

from collections.abc import Callable
from functools import partial
from itertools import count

import numpy as np
from bokeh.io import curdoc
from bokeh.layouts import column, row
from bokeh.models import Button, Column, ColumnDataSource, Div, GlyphRenderer, Select, Slider
from bokeh.palettes import Category10_10
from bokeh.plotting import figure

X = np.linspace(-1, 1, 400)

CURVES: dict[str, Callable[[float], np.ndarray]] = {
    "sine": lambda k: np.sin(k * np.pi * X),
    "Chebyshev": lambda k: np.cos(k * np.arccos(X)),
    "wavelet": lambda k: np.cos(4 * k * X) * np.exp(-6 * X**2),
    "chirp": lambda k: np.sin(k * np.pi * X * np.abs(X)),
}

summary = Div(name="summary", text="Nothing here yet: add a plot.")
panels: Column = column(summary, name="panels", sizing_mode="stretch_width")
kind = Select(name="kind", title="curve", value="sine", options=list(CURVES))
add_plot = Button(name="add_plot", label="Add plot", button_type="primary", width=120)
clear = Button(name="clear", label="Clear", width=120)
plot_numbers = count(1)
curve_numbers = count(1)


def summarise() -> None:
    curves = len(list(panels.select({"type": GlyphRenderer})))
    summary.text = f"{len(panels.children) - 1} plots, {curves} curves"


def add_curve(plot: figure, sliders: Column) -> None:
    """A new curve in `plot`, and the slider that shapes it."""
    name, shape = kind.value, CURVES[kind.value]
    number = next(curve_numbers)
    colour, first = Category10_10[number % 10], 1.0 + number % 10
    source = ColumnDataSource(data={"x": X, "y": shape(first)}, name=f"data {number}")
    plot.line("x", "y", source=source, color=colour, line_width=2, name=f"curve {number}")
    slider = Slider(name=f"k {number}", title=f"{name} k", value=first, start=0.5, end=12, step=0.5, width=270)
    slider.bar_color = colour

    def reshape(attr: str, old: float, new: float) -> None:
        source.data = {"x": X, "y": shape(new)}

    slider.on_change("value", reshape)
    sliders.children = [*sliders.children, slider]
    summarise()


def add_panel() -> None:
    """A new plot with a button for more curves, and one that takes it away again."""
    number = next(plot_numbers)
    plot = figure(
        name=f"plot {number}",
        title=f"Plot {number}",
        height=260,
        sizing_mode="stretch_width",
        x_range=(-1, 1),
        y_range=(-1.2, 1.2),
        tools="pan,wheel_zoom,reset",
    )
    more = Button(name=f"more {number}", label="Add curve", width=130)
    remove = Button(name=f"remove {number}", label="Remove", width=130)
    sliders = column(row(more, remove), width=300)
    panel = row(sliders, plot, sizing_mode="stretch_width", name=f"panel {number}")
    more.on_click(partial(add_curve, plot, sliders))
    remove.on_click(partial(remove_panel, panel))
    panels.children = [*panels.children, panel]
    add_curve(plot, sliders)


def remove_panel(panel: Column) -> None:
    panels.children = [each for each in panels.children if each is not panel]
    summarise()


def remove_all() -> None:
    panels.children = [summary]
    summarise()


add_plot.on_click(add_panel)
clear.on_click(remove_all)

controls = row(kind, column(Div(text="&nbsp;", height=12), row(add_plot, clear)))
curdoc().add_root(column(controls, panels, sizing_mode="stretch_width", name="main"))
curdoc().title = "Explorer"
