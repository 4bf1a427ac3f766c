"""Pages load all from their own server, and nothing that only other apps of it need."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from bokeh.embed import server_document
from devfleet.ports import free_port
from devfleet.replica import Replica
from harness.browser import Tab
from harness.pages import get_page
from harness.site import show
from playwright.async_api import Route

PANEL_APPS = Path(__file__).parents[1] / "apps" / "panel_apps"
PLAIN = """
from bokeh.io import curdoc
from bokeh.models import Div
curdoc().add_root(Div(text="plain"))
"""


@pytest.fixture(scope="module")
def apps(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    plain = tmp_path_factory.mktemp("apps") / "plain.py"
    plain.write_text(PLAIN)
    return [plain, *(PANEL_APPS / f"{name}.py" for name in ("fast_table", "jupyter", "bound"))]


@pytest.fixture
def server(replica: Callable[..., Replica], apps: list[Path]) -> Replica:
    return replica(apps, args=["--allow-websocket-origin", "127.0.0.1:*"])


async def shows(tab: Tab, text: str) -> None:
    await tab.raw.get_by_text(text, exact=True).first.wait_for(timeout=30_000)


async def test_a_plain_page_has_nothing_of_other_apps(server: Replica, tab: Tab) -> None:
    for app in ("fast_table", "jupyter"):  # loads what the others shall not have
        assert (await get_page(server.app_url(app), timeout=60)).status == 200

    url = server.app_url("plain")
    for _ in range(2):  # before the app has run here, and after
        text = (await get_page(url)).text
        for word in ("panel", "holoviz", "tabulator", "ipywidgets", "https://"):
            assert word not in text

    await tab.open(url)
    await shows(tab, "plain")
    assert not tab.requested_elsewhere
    assert all("/static/js/" in each for each in tab.requested if "/static/" in each)


TEMPLATES = """
import panel as pn
name = pn.state.session_args["template"][0].decode()
pn.extension("tabulator", "plotly", "vega", "katex", "ace", design="material", notifications=True)
page = getattr(pn.template, name)(title=name)
if isinstance(page.main, pn.layout.GridSpec):
    page.main[0:2, 0:6] = pn.pane.Str("hello")
else:
    page.main.append(pn.pane.Str("hello"))
page.servable()
"""
MATERIAL = """
import panel as pn
pn.extension(design="material")
more = pn.widgets.Button(name="more")
rows = pn.Column(more)
more.on_click(lambda event: rows.append(pn.widgets.StaticText(value="made later")))
rows.servable()
"""
ELSEWHERE = re.compile(r"""["'(](?:https?:)?//(?!127\.0\.0\.1|www\.w3\.org)[a-z0-9.-]+/""")


async def test_pages_of_all_templates_name_no_other_host(
    replica: Callable[..., Replica], tmp_path: Path
) -> None:
    (tmp_path / "templates.py").write_text(TEMPLATES)
    url = replica([tmp_path / "templates.py"]).app_url()
    for name in (
        "BootstrapTemplate", "EditableTemplate", "FastGridTemplate", "FastListTemplate", "GoldenTemplate",
        "MaterialTemplate", "ReactTemplate", "SlidesTemplate", "VanillaTemplate",
    ):  # fmt: skip
        page = await get_page(url, arguments={"template": name}, timeout=60)
        assert page.status == 200, page.text
        assert ELSEWHERE.findall(page.text) == [], name


async def test_a_page_in_the_material_design_needs_no_other_host(
    replica: Callable[..., Replica], tmp_path: Path, tab: Tab
) -> None:
    """Each of its models has style sheets, also those that are made while it is used."""
    (tmp_path / "material.py").write_text(MATERIAL)
    await tab.open(replica([tmp_path / "material.py"]).app_url())
    await tab.raw.get_by_role("button", name="more").click()
    await shows(tab, "made later")
    assert any("/static/extensions/panel/bundled/material-components-web" in each for each in tab.requested)
    assert tab.requested_elsewhere == []


async def test_a_plain_part_of_somebody_elses_page_loads_what_other_parts_may_need(
    server: Replica, tab: Tab
) -> None:
    """Of several scripts in one page the first alone loads files."""
    assert (await get_page(server.app_url("fast_table"), timeout=60)).status == 200
    parts = [server_document(server.app_url(app)) for app in ("plain", "fast_table")]
    await show(tab, "".join(parts), free_port())
    await shows(tab, "plain")
    await shows(tab, "grace")
    assert tab.requested_elsewhere == []


@pytest.mark.parametrize(
    ("first", "text", "second", "other"),
    [("plain", "plain", "fast_table", "grace"), ("fast_table", "grace", "plain", "plain")],
)
async def test_a_part_that_comes_later_loads_only_what_is_not_there_yet(
    server: Replica, tab: Tab, first: str, text: str, second: str, other: str
) -> None:
    """What is loaded into a page twice works no longer."""
    parts = [server_document(server.app_url(app)) for app in (first, second)]
    first_is_shown = asyncio.Event()

    async def hold(route: Route) -> None:
        await first_is_shown.wait()
        await route.continue_()

    await tab.raw.route(f"**/{second}/autoload.js*", hold)
    await show(tab, "".join(parts), free_port())
    await shows(tab, text)
    first_is_shown.set()
    await shows(tab, other)
    scripts = [each for each in tab.requested if ".js" in each and "/static/" in each]
    assert sorted(scripts) == sorted(set(scripts))


@pytest.mark.parametrize(("app", "text"), [("fast_table", "grace"), ("jupyter", "heard")])
async def test_a_page_of_panel_needs_no_other_host(server: Replica, tab: Tab, app: str, text: str) -> None:
    await tab.open(server.app_url(app))
    await shows(tab, text)
    assert tab.requested_elsewhere == []


@pytest.mark.parametrize(("app", "text"), [("fast_table", "grace"), ("jupyter", "heard")])
async def test_an_embedded_app_of_panel_needs_no_other_host(
    server: Replica, tab: Tab, app: str, text: str
) -> None:
    await show(tab, server_document(server.app_url(app)), free_port())
    await shows(tab, text)
    assert tab.requested_elsewhere == []
