"""MathJax is loaded when a page needs it, else when it is drawn; formulas look as under `bokeh serve`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from devfleet.fleet import Fleet
from devfleet.replica import Server
from harness.browser import Tab
from playwright.async_api import Route

APP = r"""
from bokeh.io import curdoc
from bokeh.layouts import column
from bokeh.models import Button, Div, Slider
from bokeh.plotting import figure

FORMULAS = {formulas}
div = Div(name="div", text="no formula")
slider = Slider(name="slider", start=0, end=1, value=0, title="plain")
plot = figure(name="plot", height=200, toolbar_location=None)
plot.line([1, 2], [1, 2])


def show():
    div.text = r"a formula: $$\sin x$$"
    slider.title = r"\(\alpha\)"
    plot.title.text = r"$$\int x$$"


button = Button(name="button", label="show formulas")
button.on_click(show)
if FORMULAS:
    show()
curdoc().add_root(column(button, div, slider, plot))
"""

DIV = "view('div').shadow_el.querySelector('svg') != null"
SLIDER = "view('slider').shadow_el.querySelector('.bk-slider-title svg') != null"
MATHJAX = "[...document.scripts].some(each => each.src.includes('/bokeh-mathjax.'))"


@pytest.fixture(scope="module")
def server(
    serving: Callable[..., Server | Fleet], tmp_path_factory: pytest.TempPathFactory
) -> Server | Fleet:
    folder = tmp_path_factory.mktemp("formulas")
    apps = [_app(folder / "with_formulas.py", True), _app(folder / "without.py", False)]
    return serving(apps)


def _app(path: Path, formulas: bool) -> Path:
    path.write_text(APP.replace("{formulas}", str(formulas)))
    return path


async def formulas_are_shown(tab: Tab) -> None:
    for shown in (DIV, SLIDER):
        await tab.until(shown)


@pytest.mark.parametrize("serving", ["one server", "three replicas", "bokeh serve"], indirect=True)
async def test_formulas_are_there_from_the_start(server: Server | Fleet, tab: Tab) -> None:
    for _ in range(2):  # the first page of an app is none without its Document
        await tab.open(server.app_url("with_formulas"))
        await formulas_are_shown(tab)


@pytest.mark.parametrize("serving", ["one server", "bokeh serve"], indirect=True)
async def test_formulas_come_when_python_sends_them(server: Server | Fleet, tab: Tab) -> None:
    for _ in range(2):
        await tab.open(server.app_url("without"))
        await tab.until(MATHJAX)
        await tab.until("Bokeh.require('models/text/providers').default_provider.MathJax != null")
        assert not await tab.evaluate(DIV)
        await tab.click("button")
        await formulas_are_shown(tab)


@pytest.mark.parametrize("serving", ["one server"], indirect=True)
async def test_a_page_without_formulas_is_drawn_before_mathjax_comes(server: Server, tab: Tab) -> None:
    await tab.open(server.app_url("without"))
    await tab.raw.route("**/bokeh-mathjax.*", lambda route: None)  # it never comes
    await tab.open(server.app_url("without"))
    await tab.until(MATHJAX)
    await tab.wait_value("div", "text", "no formula")


@pytest.mark.parametrize("serving", ["one server"], indirect=True)
async def test_a_page_that_could_not_load_mathjax_tries_again(server: Server, tab: Tab) -> None:
    tab.expect_problem("mathjax")
    await tab.open(server.app_url("without"))
    await tab.raw.route("**/bokeh-mathjax.*", lambda route: route.abort())
    async with tab.raw.expect_event("requestfailed"):
        await tab.open(server.app_url("without"))
    await tab.raw.unroute("**/bokeh-mathjax.*")
    await tab.click("button")
    await tab.evaluate("Bokeh.require('models/text/providers').default_provider.fetch().then(() => true)")
    await tab.until(DIV)


@pytest.mark.parametrize("serving", ["one server"], indirect=True)
async def test_a_bokehjs_that_has_changed_gets_mathjax_at_once(server: Server, tab: Tab) -> None:
    async def changed(route: Route) -> None:
        response = await route.fetch()
        text = (await response.text()).replace('"models/text/providers":', '"models/text/others":')
        await route.fulfill(response=response, body=text)

    await tab.open(server.app_url("with_formulas"))
    await tab.raw.route("**/bokeh.min.js*", changed)
    await tab.open(server.app_url("with_formulas"))
    assert await tab.evaluate("Bokeh.require('models/text/others').default_provider != null")
    await formulas_are_shown(tab)
