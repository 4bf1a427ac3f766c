"""A Panel app as people write them: widgets bound to functions, a table, a periodic callback."""

import pandas as pd
import panel as pn

pn.extension("tabulator")

slider = pn.widgets.IntSlider(name="slider", start=0, end=1_000_000, value=0)
table = pn.widgets.Tabulator(pd.DataFrame({"n": range(20), "square": [n * n for n in range(20)]}), height=200)
clock = pn.pane.Markdown("0 seconds")
seconds = 0


def tick() -> None:
    global seconds
    seconds += 1
    clock.object = f"{seconds} seconds"


def shown(value: int) -> pn.Column:
    return pn.Column(f"value: {value}", pn.indicators.Number(name="half", value=value / 2))


def moved(event: object) -> None:
    table.patch({"square": [(slider.value % 20, slider.value)]})


slider.param.watch(moved, "value")
pn.state.onload(lambda: clock.param.update(object="loaded"))
pn.state.add_periodic_callback(tick, 1000)
pn.Column(slider, pn.bind(shown, slider), clock, table).servable()
