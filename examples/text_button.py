"""A button that scatters random numbers over a plot, and recolours them."""

from random import random

from bokeh.io import curdoc
from bokeh.layouts import column
from bokeh.models import Button, ColumnDataSource
from bokeh.palettes import RdYlBu3
from bokeh.plotting import figure

plot = figure(x_range=(0, 100), y_range=(0, 100), toolbar_location=None, name="plot")
plot.border_fill_color = plot.background_fill_color = "black"
plot.grid.grid_line_color = None

words = ColumnDataSource({"x": [], "y": [], "text": [], "text_color": []}, name="words")
plot.text(x="x", y="y", text="text", text_color="text_color", source=words, text_font_size="26px",
          text_baseline="middle", text_align="center")


def add_word():
    count = len(words.data["x"])
    words.stream({
        "x": [random() * 70 + 15],
        "y": [random() * 70 + 15],
        "text": [str(count)],
        "text_color": [RdYlBu3[count % 3]],
    })


button = Button(label="Press Me", name="button")
button.on_click(add_word)

curdoc().add_root(column(button, plot))
curdoc().title = "Text and a button"
