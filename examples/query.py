"""An expensive query that the fleet makes once: all who look at one year get what the first of them waited for."""

import asyncio
import os
import random
import time

import pandas as pd
from bokeh.io import curdoc
from bokeh.layouts import column, row
from bokeh.models import Button, ColumnDataSource, Div, Select
from bokeh.plotting import figure

from svc import fleet

SECONDS = float(os.environ.get("QUERY_SECONDS", "3"))


@fleet.cache(ttl=600, max_bytes=64 * 2**20)
async def sales(year):
    await asyncio.sleep(SECONDS)  # a database that takes its time, in earnest
    numbers = random.Random(year)
    days = pd.date_range(f"{year}-01-01", f"{year}-12-31", freq="D", name="day")
    return pd.DataFrame({"sold": [numbers.gauss(100, 20) for _ in days], "process": os.getpid()}, index=days)


source = ColumnDataSource({"day": [], "sold": []}, name="source")
year = Select(name="year", title="Year", value="2025", options=["2023", "2024", "2025"])
again = Button(name="again", label="Ask again")
status = Div(name="status", text="")
plot = figure(x_axis_type="datetime", height=300, width=700, title="Sales")
plot.line("day", "sold", source=source)


async def show():
    began, chosen = time.perf_counter(), year.value
    status.text = "asking ..."
    found = await sales(int(chosen))
    if chosen != year.value:  # somebody was quicker
        return
    source.data = {"day": found.index, "sold": found["sold"]}
    seconds = time.perf_counter() - began
    status.text = f"{chosen}: computed by process {found['process'].iloc[0]}, here after {seconds:.1f} s"


async def ask_again():
    await sales.ainvalidate(int(year.value))  # on all replicas
    await show()


year.on_change("value", lambda attr, old, new: curdoc().add_next_tick_callback(show))
again.on_click(lambda: curdoc().add_next_tick_callback(ask_again))
curdoc().add_root(column(row(year, again), status, plot))
curdoc().add_next_tick_callback(show)
