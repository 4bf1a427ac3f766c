"""--dev in a browser: what the author of an app sees in the page that stays open."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from devfleet.replica import Replica
from harness.browser import Tab
from harness.client import Client
from playwright.async_api import Route

Start = Callable[..., Replica]

ARRAYS = """
import numpy as np
from bokeh.io import curdoc
from bokeh.models import Button, ColumnDataSource, Slider
from bokeh.plotting import figure

source = ColumnDataSource(dict(x=np.arange(2000.0), y=np.zeros(2000)), name="source")
plot = figure(name="plot", width=300, height=200)
plot.line("x", "y", source=source)
slider = Slider(name="slider", start=0, end=9, value=0)
button = Button(name="button", label="Fail")

def move(attr, old, new):
    source.data = dict(x=np.arange(2000.0), y=np.full(2000, new * FACTOR))

def fail():
    raise ValueError("<b>not bold</b>")

def later():
    curdoc().add_timeout_callback(add, 600)

def add():
    row = Slider(name="row", start=0, end=9, value=0)
    row.on_change("value", move)
    curdoc().add_root(row)

FACTOR = 1
slider.on_change("value", move)
button.on_click(fail)
more = Button(name="more", label="More")
more.on_click(later)
for each in (slider, button, more, plot):
    curdoc().add_root(each)
"""

TEMPLATE = """
import panel as pn

pn.extension()
slider = pn.widgets.IntSlider(name="number", value=1, end=9)
shown = pn.bind(lambda number: f"TEXT of {number}", slider)
failing = pn.widgets.Button(name="fail", on_click=lambda event: 1 / 0)
pn.template.FastListTemplate(title="a template", main=[slider, pn.pane.HTML(shown), failing]).servable()
"""


@pytest.fixture
def tab(tab: Tab) -> Tab:
    tab.expect_lost_connection()
    tab.expect_problem("Unhandled ERROR reply")
    tab.expect_problem("fonts.googleapis.com")  # which Panel's template asks for
    return tab


def tracebacks(server: Replica) -> int:
    return len(server.matching(r"Traceback \(most recent call last\)"))


async def test_an_app_with_arrays_breaks_and_is_mended(tmp_path: Path, replica: Start, tab: Tab) -> None:
    app = tmp_path / "arrays.py"
    app.write_text(ARRAYS)
    server = replica([app], args=["--dev"])
    await tab.open(server.app_url())
    await tab.nudge_slider("slider", 3)
    await tab.wait_value("source", "data.y.1999", 3)

    app.write_text(ARRAYS.replace("FACTOR = 1", "FACTOR = 10"))
    await tab.wait_value("source", "data.y.1999", 30, timeout=60)
    assert await tab.value("slider", "value") == 3

    app.write_text(f"{ARRAYS}\nraise RuntimeError('broken <i>now</i>')\n")
    await tab.raw.get_by_text("RuntimeError: broken <i>now</i>").wait_for(timeout=60_000)
    app.write_text(f"{ARRAYS}\nraise RuntimeError('still broken')\n")
    await tab.raw.get_by_text("RuntimeError: still broken").wait_for(timeout=60_000)
    assert tracebacks(server) == 2

    app.write_text(ARRAYS.replace("FACTOR = 1", "FACTOR = 100"))
    await tab.until("model('slider') != null", timeout=60)
    await tab.nudge_slider("slider", 1)
    await tab.wait_value("source", "data.y.1999", await tab.value("slider", "value") * 100)


async def test_a_callback_that_fails_is_shown_once_in_page_and_log(
    tmp_path: Path, replica: Start, tab: Tab
) -> None:
    app = tmp_path / "arrays.py"
    app.write_text(ARRAYS)
    server = replica([app], args=["--dev"])
    await tab.open(server.app_url())

    await tab.click("button")

    shown = tab.raw.get_by_role("alert")
    await shown.get_by_text("ValueError: <b>not bold</b>").wait_for()
    assert "arrays.py" in (await shown.text_content() or "")
    assert await shown.locator("b").count() == 0
    assert tracebacks(server) == 1
    said = len(server.lines)
    await tab.click("button")
    server.wait_line("ValueError", after=said)
    assert await shown.count() == 1
    await shown.get_by_role("button", name="Close").click()
    assert await shown.count() == 0
    await tab.nudge_slider("slider", 2)
    await tab.wait_value("source", "data.y.1999", 2)


async def test_a_callback_that_no_move_survives_is_named_once(
    tmp_path: Path, replica: Start, tab: Tab
) -> None:
    app = tmp_path / "arrays.py"
    app.write_text(ARRAYS)
    server = replica([app], args=["--dev"])
    await tab.open(server.app_url())

    await tab.click("more")
    await tab.until("model('row') != null")
    await tab.click("more")
    await tab.until("Bokeh.documents[0].roots().length === 6")

    lines = ARRAYS.splitlines()
    callback, place = (lines.index(text) + 1 for text in ("def move(attr, old, new):", ADDS))
    (line,) = server.matching("will not survive a move")
    assert f"{app}:{callback} move: " in line
    assert f"a timer adds it to Slider 'row', no input, in {app}:{place} add" in line


ADDS = '    row.on_change("value", move)'


async def test_without_dev_pages_keep_tracebacks_to_the_log(tmp_path: Path, replica: Start, tab: Tab) -> None:
    app = tmp_path / "arrays.py"
    app.write_text(ARRAYS)
    server = replica([app])
    await tab.open(server.app_url())

    await tab.click("button")

    server.wait_line("ValueError")
    await tab.nudge_slider("slider", 2)
    await tab.wait_value("source", "data.y.1999", 2)
    assert await tab.raw.get_by_role("alert").count() == 0
    assert tracebacks(server) == 1


async def test_a_template_of_panel(tmp_path: Path, replica: Start, tab: Tab) -> None:
    app = tmp_path / "template.py"
    app.write_text(TEMPLATE.replace("TEXT", "one"))
    server = replica([app], args=["--dev"])
    await tab.open(server.app_url())
    await tab.raw.get_by_text("one of 1", exact=True).wait_for()
    slider = await tab.evaluate(
        "[...Bokeh.documents[0]._all_models.values()].find(each => each.type == 'Slider').id"
    )
    await tab.nudge_slider(slider, 2)
    await tab.raw.get_by_text("one of 3", exact=True).wait_for()

    app.write_text(TEMPLATE.replace("TEXT", "another"))
    await tab.raw.get_by_text("another of 3", exact=True).wait_for(timeout=60_000)
    await tab.raw.get_by_role("button", name="fail").click()
    await tab.raw.get_by_role("alert").get_by_text("ZeroDivisionError").wait_for()
    await tab.raw.get_by_role("button", name="Close").click()
    assert tracebacks(server) == 1

    app.write_text(TEMPLATE + "1 / 0\n")
    await tab.raw.get_by_text("ZeroDivisionError").wait_for(timeout=60_000)
    app.write_text(TEMPLATE.replace("TEXT", "third"))
    await tab.raw.get_by_text("third of 3", exact=True).wait_for(timeout=60_000)


OWN_PAGE = """
from bokeh.io import curdoc
from bokeh.models import Div
curdoc().template_variables["heading"] = "a page that the app draws"
curdoc().add_root(Div(text="one"))
"""
MORE = 'curdoc().add_root(Div(text="a root more"))\n'


async def test_a_page_whose_socket_comes_after_the_app_has_changed(
    tmp_path: Path, replica: Start, tab: Tab
) -> None:
    app = tmp_path / "app.py"
    app.write_text(OWN_PAGE)
    server = replica([app], args=["--dev"])
    server.wait_line("watching")
    asked, changed = asyncio.Event(), asyncio.Event()

    async def hold_back(route: Route) -> None:
        asked.set()
        await changed.wait()
        await route.continue_()

    await tab.raw.route("**/bokeh.min.js*", hold_back)
    opening = asyncio.create_task(tab.raw.goto(server.app_url()))
    await asked.wait()

    app.write_text("from bokeh.models import Div\nDiv()\n" + OWN_PAGE.replace("one", "another") + MORE)
    server.wait_line("reloading")
    async with await Client.open(server.app_url()) as other:
        while "another" not in str(other.document_json):
            assert await other.wait_closed(60) == 1012
            await other.reconnect()
    changed.set()
    await opening

    await tab.raw.get_by_text("another", exact=True).wait_for(timeout=60_000)
    await tab.raw.get_by_text("a root more", exact=True).wait_for()
