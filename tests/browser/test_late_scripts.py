"""Bundles of BokehJS that no Document of an app has needed so far come when somebody needs them.

Nothing is lost by it: whatever brings the need, the page is in the end as one that had all bundles at first.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from bokeh.model import Model
from devfleet.fleet import Fleet
from devfleet.replica import Server
from harness.browser import Tab
from harness.pages import get_page
from operations.scrape import journaled
from playwright.async_api import Route, WebSocket

from service.documents.bundles import bundle_of

APP = """
from bokeh.io import curdoc
from bokeh.layouts import column
from bokeh.models import Button, ColumnDataSource, CustomJS, DataTable, Slider, TableColumn
from bokeh.plotting import figure

plot = figure(name="plot", height=200, toolbar_location=None)
plot.line([1, 2], [1, 2])
source = ColumnDataSource({"x": [0]}, name="source")
root = column(plot, name="root")
root.tags = [source]


def table():
    root.children.append(DataTable(name="table", source=source, columns=[TableColumn(field="x")], height=200))
    for number in range(1, 4):
        source.stream({"x": [number]})


def again():
    table = DataTable(name="again", source=source, columns=[TableColumn(field="x")], height=200)
    root.children = [plot, table]


def slider():
    root.children.append(Slider(name="slider", start=0, end=10, value=1))
    root.children[-1].value = 5
    source.stream({"x": [1]})


def webgl():
    drawn = figure(name="fast", height=200, output_backend="webgl")
    drawn.line([1, 2], [1, 2])
    root.children.append(drawn)
    source.stream({"x": [1]})


def button():
    code = "source.data = {x: [new Bokeh.Tables.DataTable().type]}; source.change.emit()"
    made = Button(name="button", label="table")
    made.js_on_click(CustomJS(args={"source": source}, code=code))
    root.children.append(made)


def do(attr, old, new):
    for each in new:
        globals()[each]()


plot.on_change("tags", do)
curdoc().add_root(root)
"""

UNKNOWN = """
from bokeh.core.properties import Int
from bokeh.io import curdoc
from bokeh.model import Model
from bokeh.plotting import figure


class Nowhere(Model):
    number = Int(default=0)


plot = figure(name="plot", height=200)
plot.line([1, 2], [1, 2])
plot.on_change("tags", lambda attr, old, new: curdoc().add_root(Nowhere()))
curdoc().add_root(plot)
"""

CUSTOM = """
from bokeh.io import curdoc
from bokeh.models import CustomJS
from bokeh.plotting import figure

plot = figure(name="plot", height=200, tags=[""])
plot.line([1, 2], [1, 2])
curdoc().add_root(plot)
curdoc().js_on_event("document_ready", CustomJS(args={"plot": plot}, code="plot.tags = [String(__CODE__)]"))
"""

EXAMPLES = (
    "sliders.py",
    "weather",
    "streaming.py",
    "explorer.py",
    "counter",
    "large_data",
    "text_button.py",
    "threads.py",
    "unlocked.py",
    "notebook.ipynb",
)

LATE = "**/bokeh-{gl,widgets,tables}.*"
THERE = "Bokeh.require('base').default_resolver._known_models.has"
ALL_THERE = f"{THERE}('Slider') && {THERE}('DataTable')"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("late")
    (made / "plain.py").write_text(APP)
    (made / "unknown.py").write_text(UNKNOWN)
    for name, code in CODES.items():
        (made / f"{name}.py").write_text(CUSTOM.replace("__CODE__", code))
    return made


CODES = {
    "tables": "new Bokeh.Tables.DataTable().type",
    "widgets": "new Bokeh.Widgets.Slider().type",
    "models": "new Bokeh.Models.Slider().type",
    "models_get": "new (Bokeh.Models.get('DataTable'))().type",
    "models_in": "'DataTable' in Bokeh.Models && 'Slider' in Bokeh.Models",
    "models_all": "Object.keys(Bokeh.Models).includes('DataTable')",
    "required": "new (Bokeh.require('models/widgets/tables').DataTable)().type",
    "loader": "new (Bokeh.loader['@bokehjs/models/widgets'].Slider)().type",
    "webgl": "'get_regl' in Bokeh.require('models/glyphs/webgl')",
    "none_such": "Bokeh.Models.get('Nothing')",
}
ANSWERS = {
    "tables": "DataTable",
    "widgets": "Slider",
    "models": "Slider",
    "models_get": "DataTable",
    "models_in": "true",
    "models_all": "true",
    "required": "DataTable",
    "loader": "Slider",
    "webgl": "true",
    "none_such": "null",
}


@pytest.fixture(scope="module")
def server(serving: Callable[..., Server | Fleet], folder: Path) -> Server | Fleet:
    return serving(sorted(folder.glob("*.py")))


@pytest.fixture(scope="module")
def example_server(serving: Callable[..., Server | Fleet], examples: Path) -> Server | Fleet:
    return serving([examples / name for name in EXAMPLES])


class Held:
    """Requests for late bundles, which get their answer when the test says so."""

    def __init__(self) -> None:
        self._released = asyncio.Event()
        self.asked = asyncio.Event()

    async def hold(self, route: Route) -> None:
        if route.request.resource_type == "script":
            self.asked.set()
            await self._released.wait()
        await route.continue_()

    def release(self) -> None:
        self._released.set()


class Frames:
    """What a tab's WebSockets have received, whatever its page has made of it so far."""

    def __init__(self, tab: Tab) -> None:
        self.sockets = 0
        self._seen: list[str] = []
        self._news = asyncio.Event()
        tab.raw.on("websocket", self._watch)

    def _watch(self, socket: WebSocket) -> None:
        self.sockets += 1
        socket.on("framereceived", self._take)

    def _take(self, frame: str | bytes) -> None:
        self._seen.append(str(frame))
        self._news.set()

    async def received(self, text: str, times: int = 1) -> None:
        async with asyncio.timeout(30):
            while sum(each.count(text) for each in self._seen) < times:
                self._news.clear()
                await self._news.wait()


async def known(server: Server | Fleet, name: str) -> str:
    """The app's address; each replica has run the app, and knows what its Documents need."""
    for each in server.replicas if isinstance(server, Fleet) else [server]:
        await get_page(each.app_url(name))
    return server.app_url(name)


async def do(tab: Tab, *what: str) -> None:
    await tab.set("plot", "tags", list(what))


def bundles_of(text: str) -> list[str]:
    return re.findall(r'<script[^>]* src="[^"]*/(bokeh[-\w]*)[.\w]*js', text)


one = pytest.mark.parametrize("serving", ["one server"], indirect=True)
one_or_theirs = pytest.mark.parametrize("serving", ["one server", "bokeh serve"], indirect=True)


@one
async def test_a_page_begins_with_what_it_needs_and_ends_with_all(server: Server, tab: Tab) -> None:
    await tab.open(await known(server, "plain"))
    assert bundles_of((await get_page(server.app_url("plain"))).text) == ["bokeh"]
    await tab.until(ALL_THERE)
    await tab.until("Bokeh.Tables.DataTable != null && Bokeh.Widgets.Slider != null")


@one
async def test_messages_behind_a_new_table_wait_for_its_bundle(server: Server, tab: Tab) -> None:
    held, frames = Held(), Frames(tab)
    url = await known(server, "plain")
    await tab.raw.route(LATE, held.hold)
    await tab.open(url)
    await do(tab, "table")
    await frames.received('"ColumnsStreamed"', 3)
    assert not await tab.evaluate("model('table')")
    assert await tab.value("source", "data.x") == [0]

    held.release()

    await tab.wait_value("source", "data.x", [0, 1, 2, 3])
    await tab.element("table", ".slick-row")


@one
@pytest.mark.parametrize(("what", "name"), [("slider", "slider"), ("webgl", "fast")])
async def test_widgets_and_webgl_may_come_later(server: Server, tab: Tab, what: str, name: str) -> None:
    held = Held()
    url = await known(server, "plain")
    await tab.raw.route(LATE, held.hold)
    await tab.open(url)
    await do(tab, what)
    await held.asked.wait()
    held.release()
    await tab.wait_value("source", "data.x", [0, 1])
    await tab.element(name)
    if what == "slider":
        assert await tab.value("slider", "value") == 5
        await tab.nudge_slider("slider", 1)
    elif await tab.evaluate("document.createElement('canvas').getContext('webgl') != null"):
        await tab.until("view('fast').canvas_view.webgl != null")


@one_or_theirs
@pytest.mark.parametrize("name", CODES)
async def test_javascript_gets_its_answer_at_once(server: Server, tab: Tab, name: str) -> None:
    """The page has been drawn for no time at all: what loads by itself has not come, and does not."""
    url = await known(server, name)
    held = Held()
    await tab.raw.route(LATE, held.hold)
    if "bokeh-tables" in bundles_of((await get_page(url)).text):
        held.release()
    await tab.raw.goto(url)
    await tab.wait_value("plot", "tags", [ANSWERS[name]])
    held.release()
    await tab.until(ALL_THERE)


@one_or_theirs
async def test_a_model_without_javascript_is_the_same_error(server: Server, tab: Tab) -> None:
    error = "could not resolve type '.*Nowhere', which could be due to a widget or a custom model not being"
    tab.expect_problem(error)
    await tab.open(await known(server, "unknown"))
    await do(tab, "it")
    while not any(re.search(error, each) for each in tab.problems):
        await tab.raw.wait_for_event("pageerror")


@one
async def test_a_bundle_that_cannot_be_fetched_is_said_and_tried_again(server: Server, tab: Tab) -> None:
    said = "console: bokeh-tables is not there, and what needs it will fail: it could not be fetched"
    for each in (said, "ERR_FAILED", "could not resolve type 'DataTable'"):
        tab.expect_problem(each)
    url = await known(server, "plain")
    await tab.raw.route("**/bokeh-tables.*", lambda route: route.abort())
    await tab.open(url)
    await do(tab, "table")
    await tab.wait_value("source", "data.x", [0, 1, 2, 3])  # what came behind it is not lost
    assert any(said in each for each in tab.problems)
    assert any("could not resolve type" in each for each in tab.problems)
    await tab.raw.unroute("**/bokeh-tables.*")
    await do(tab, "again")
    await tab.element("again", ".slick-row")


@one
async def test_a_bundle_that_never_comes_does_not_stop_the_page(server: Server, tab: Tab) -> None:
    for each in ("bokeh-tables is not there.*no answer within", "could not resolve type 'DataTable'"):
        tab.expect_problem(each)
    url = await known(server, "plain")
    asked = asyncio.Event()
    await tab.raw.route("**/bokeh-tables.*", lambda route: asked.set())
    await tab.raw.clock.install()
    await tab.open(url)
    await do(tab, "table")
    await asked.wait()
    await tab.until(f"{THERE}('Slider')")
    await tab.raw.clock.fast_forward(60_000)
    await tab.wait_value("source", "data.x", [0, 1, 2, 3])
    assert any("no answer within 30 s" in each for each in tab.problems)


@pytest.mark.parametrize("serving", ["three replicas"], indirect=True)
async def test_a_new_table_waits_over_a_kill_of_its_owner(server: Fleet, tab: Tab) -> None:
    tab.expect_lost_connection()
    held, frames = Held(), Frames(tab)
    url = await known(server, "plain")
    await tab.raw.route(LATE, held.hold)
    owner = server.replicas[0]
    await asyncio.to_thread(server.balance_over, [owner])
    await tab.open(url)
    await asyncio.to_thread(server.balance_over, server.replicas)
    await do(tab, "table")
    await frames.received('"ColumnsStreamed"', 3)
    await asyncio.to_thread(journaled, owner)

    owner.kill()
    await frames.received('"PULL-DOC-REPLY"', 2)
    held.release()

    await tab.wait_value("source", "data.x", [0, 1, 2, 3])
    await tab.element("table", ".slick-row")
    assert await tab.evaluate("model('root').children.length") == 2
    await do(tab, "slider")
    await tab.wait_value("slider", "value", 5)


@one
@pytest.mark.parametrize("module", ["client/connection", "models/canvas/canvas", "base"])
async def test_a_bokehjs_that_has_changed_gets_all_at_once(server: Server, tab: Tab, module: str) -> None:
    async def changed(route: Route) -> None:
        response = await route.fetch()
        text = (await response.text()).replace(f'"{module}":', '"another/name":')
        await route.fulfill(response=response, body=text)

    url = await known(server, "plain")
    await tab.raw.route("**/bokeh.min.js*", changed)
    await tab.open(url)
    await do(tab, "table")
    await tab.wait_value("source", "data.x", [0, 1, 2, 3])
    await tab.element("table", ".slick-row")


@one
async def test_the_app_runs_while_the_scripts_come(server: Server, tab: Tab) -> None:
    held, frames = Held(), Frames(tab)
    url = await known(server, "plain")
    await tab.raw.route("**/bokeh.min.js*", held.hold)
    await tab.raw.goto(url, wait_until="commit")
    await frames.received('"ACK"')
    held.release()
    await tab.drawn()
    assert frames.sockets == 1
    await do(tab, "slider")
    await tab.wait_value("slider", "value", 5)


@one
async def test_an_early_socket_that_was_lost_is_no_harm(server: Server, tab: Tab) -> None:
    held, frames = Held(), Frames(tab)
    url = await known(server, "plain")
    await tab.raw.route("**/bokeh.min.js*", held.hold)
    await tab.raw.goto(url, wait_until="commit")
    await frames.received('"ACK"')
    await tab.raw.evaluate("svc_early_socket.socket.close()")
    held.release()
    await tab.drawn()
    assert frames.sockets == 2
    await do(tab, "slider")
    await tab.wait_value("slider", "value", 5)


@one
async def test_the_early_socket_is_the_only_one(server: Server, tab: Tab) -> None:
    """Its address is the one that BokehJS would use, whatever the page's looks like."""
    frames = Frames(tab)
    await tab.open(f"{await known(server, 'plain')}/?a=1&b=%20#part")
    assert frames.sockets == 1


@one
@pytest.mark.parametrize("name", EXAMPLES)
async def test_the_first_scripts_draw_the_whole_example(example_server: Server, tab: Tab, name: str) -> None:
    url = await known(example_server, Path(name).stem)
    first = bundles_of((await get_page(url)).text)
    others = []

    async def is_asked_for(route: Route) -> None:
        if not any(f"/{each}." in route.request.url for each in first):
            others.append((await tab.evaluate("Bokeh.documents.map(each => each.is_idle)"), route.request))
        await route.continue_()

    await tab.raw.route("**/bokeh-{gl,widgets,tables}.*", is_asked_for)
    await tab.open(url)
    await tab.until(ALL_THERE)
    assert all(idle == [True] and each.resource_type == "script" for idle, each in others)


@one
async def test_each_model_is_in_the_bundle_that_we_say(server: Server, tab: Tab) -> None:
    held = Held()
    await tab.raw.route(LATE, held.hold)
    await tab.open(await known(server, "plain"))
    names = "Object.getOwnPropertyDescriptor(Object.getPrototypeOf(argument), 'names').get.call(argument)"
    names = names.replace("argument", "Bokeh.require('base').default_resolver")
    first = set(await tab.evaluate(names))
    await tab.evaluate("Bokeh.Widgets.Slider.name")
    widgets = set(await tab.evaluate(names)) - first
    await tab.evaluate("Bokeh.Tables.DataTable.name")
    tables = set(await tab.evaluate(names)) - widgets - first
    held.release()

    for name, cls in Model.model_class_reverse_map.items():
        if cls.__module__.startswith("bokeh.models.") and name in first | widgets | tables:
            there = {"bokeh": first, "bokeh-widgets": widgets, "bokeh-tables": tables}[bundle_of(cls)]
            assert name in there, name
    assert {"Slider", "Div", "DatePicker"} <= widgets
    assert {"DataTable", "TableColumn", "HTMLTemplateFormatter"} <= tables
