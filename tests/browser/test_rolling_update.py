"""A new image beside the old one, and then in its place: pages are drawn, go on, or say what they do."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bokeh.embed import server_document
from devfleet.fleet import Fleet
from harness.browser import Tab
from harness.lines import bokeh_of, both_pythons
from harness.site import Site

PANEL_APPS = Path(__file__).parent.parent / "apps" / "panel_apps"

TABLE = """
from bokeh.io import curdoc
from bokeh.layouts import column
from bokeh.models import ColumnDataSource, DataTable, Div, Slider, TableColumn, TextInput

source = ColumnDataSource({"x": [1, 2, 3], "y": [4, 5, 6]}, name="source")
table = DataTable(source=source, columns=[TableColumn(field="x"), TableColumn(field="y")], name="table")
slider = Slider(start=0, end=10, value=1, name="slider")
text, twice = TextInput(name="text"), Div(name="twice")
slider.on_change("value", lambda attr, old, new: twice.update(text=f"twice {2 * new}"))
curdoc().add_root(column(slider, text, twice, table))
"""

LOADS = 3
"""Of each app: with a random replica for each of a page's files, one is seldom enough to see a mix-up."""

LOADED = "Bokeh.documents?.length"
ALL = "[...Bokeh.documents[0].all_models]"


@pytest.fixture(scope="module")
def table_app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rolled-out") / "tables.py"
    path.write_text(TABLE)
    return path


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.close()


@pytest.fixture(params=["update", "way back"])
def images(request: pytest.FixtureRequest) -> tuple[Path, Path]:
    """The interpreters of the old image and of the new one."""
    older, newer = both_pythons()
    return (older, newer) if request.param == "update" else (newer, older)


@pytest.fixture
def start(start_fleet: Callable[..., Fleet]) -> Iterator[Callable[..., Fleet]]:
    started: list[Fleet] = []

    def one(*args: Any, **options: Any) -> Fleet:
        started.append(start_fleet(*args, method="random;", **options))
        return started[-1]

    yield one
    for fleet in started:
        fleet.stop()


async def test_pages_are_drawn_while_both_images_serve_and_no_cache_is_poisoned(
    start: Callable[..., Fleet], open_tab: Callable[..., Any], examples: Path, table_app: Path
) -> None:
    apps = [examples / "sliders.py", table_app, PANEL_APPS / "bound.py"]
    fleet = start(apps, n=2, pythons=both_pythons())
    tabs: list[Tab] = []
    for app in apps:
        for _ in range(LOADS):
            tabs.append(await open_tab())
            await tabs[-1].open(fleet.app_url(app))

    for left in fleet.replicas:
        fleet.balance_over([left])
        for tab in tabs[::LOADS]:  # with what its cache holds
            await tab.open(tab.raw.url)


async def test_open_pages_go_on_or_load_again_with_their_values(
    start: Callable[..., Fleet], open_tab: Callable[..., Any], table_app: Path, images: tuple[Path, Path]
) -> None:
    old, new = images
    fleet = start([table_app, PANEL_APPS / "bound.py", PANEL_APPS / "table.py"], n=1, pythons=[old])
    plain, bound, table = [await open_tab() for _ in range(3)]
    for tab, app in zip((plain, bound, table), fleet.apps, strict=True):
        await tab.open(fleet.app_url(app))
    await plain.set("slider", "value", 7)
    await plain.type("text", "typed")
    await plain.wait_value("twice", "text", "twice 14")
    await bound.evaluate(f"({ALL}.find(each => each.type === 'Slider').value = 7, null)")
    await shows(bound, "square 49")
    await table.evaluate(f"({ALL}.find(each => each.data != null).patch({{amount: [[0, 41]]}}), null)")

    replacement = fleet.add_replica(new)
    fleet.balance_over([replacement])
    fleet.replicas[0].send_signal(signal.SIGTERM)

    await bound.until("Bokeh.version === argument", bokeh_of(new), timeout=40)
    await shows(bound, "square 49")
    await bound.evaluate(f"({ALL}.find(each => each.type === 'Slider').value = 8, null)")
    await shows(bound, "square 64")
    assert bound.raw.url == fleet.app_url("bound")

    await table.until("Bokeh.version === argument", bokeh_of(new), timeout=40)
    amounts = f"{ALL}.map(each => each.data?.get?.('amount') ?? each.data?.amount)"
    await table.until(f"{LOADED} && {amounts}.some(each => each?.[0] === 41)")

    await plain.set("slider", "value", 8)
    await plain.wait_value("twice", "text", "twice 16", timeout=30)
    assert await plain.value("text", "value") == "typed"
    assert await plain.raw.evaluate("Bokeh.version") == bokeh_of(old)


async def test_a_part_of_somebody_elses_page_says_that_it_was_updated(
    start: Callable[..., Fleet], site: Site, tab: Tab, table_app: Path, images: tuple[Path, Path]
) -> None:
    """And leaves it to the page's reader: what else is in there is not ours to throw away."""
    old, new = images
    origins = ["--allow-websocket-origin", "127.0.0.1:*"]
    fleet = start([PANEL_APPS / "bound.py", table_app], n=1, pythons=[old], args=origins)
    embedded = [server_document(fleet.app_url(app)) for app in fleet.apps]
    url = site.write("<input id=own>" + "<hr>".join(embedded))
    await tab.raw.goto(url)
    await tab.drawn(documents=2)
    await tab.raw.fill("#own", "half a sentence")
    await shows(tab, "square 1")

    replacement = fleet.add_replica(new)
    fleet.balance_over([replacement])
    fleet.replicas[0].send_signal(signal.SIGTERM)

    await shows(tab, "The app was updated.")
    assert await tab.raw.input_value("#own") == "half a sentence"
    assert await tab.raw.title() == "A site"
    await tab.set("slider", "value", 8)  # the other part goes on
    await tab.wait_value("twice", "text", "twice 16", timeout=30)
    assert await tab.raw.evaluate("Bokeh.version") == bokeh_of(old)

    await tab.raw.get_by_text("Load the page anew").click()
    await tab.until("Bokeh.version === argument", bokeh_of(new), timeout=40)
    await tab.drawn(documents=2)
    await shows(tab, "square 1")
    assert tab.raw.url == url


async def shows(tab: Tab, text: str) -> None:
    every = "Bokeh.documents.flatMap(each => [...each.all_models])"
    found = f"{LOADED} && {every}.some(each => String(each.text).includes(argument))"
    await tab.until(found, text, timeout=40)
