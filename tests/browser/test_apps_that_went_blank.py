"""Panel apps whose imports say little of Panel are drawn each time their page is opened, by our files.

A template or an import that Panel was not recognised by gave an empty page, each time or now and then.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from devfleet.replica import Replica
from harness.browser import Tab

VIEWS = 4
APPS = {
    "one_line": """
import os, panel as pn
pn.extension()
pn.Column(pn.pane.Str("drawn in " + os.path.basename(__file__)), pn.widgets.IntSlider(name="s")).servable()
""",
    "through": """
from its_library import show
show()
""",
    "fast": """
import pandas as pd, holoviews as hv, panel as pn
state = pn.state
first_line = f"{state.location.pathname} {state.cookies['flavour']} {state.session_args['n'][0].decode()}"
hv.extension("bokeh")
pn.extension("tabulator")
frame = pd.DataFrame({"x": [1, 2, 3], "y": [4, 6, 5]})
plot = hv.Curve(frame, "x", "y").opts(responsive=True, height=200)
pn.template.FastListTemplate(
    title="fast", main=[pn.pane.Str(f"first line: {first_line}"), plot, pn.widgets.Tabulator(frame)]
).servable()
""",
}
LIBRARY = """
import json, panel as pn

def show():
    pn.extension()
    pn.Row(pn.pane.Str("drawn through a library")).servable()
"""
SHOWN = {
    "one_line": "drawn in one_line.py",
    "through": "drawn through a library",
    "fast": "first line: /fast mint 1",
}
"""What its page has."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    folder = tmp_path_factory.mktemp("apps")
    (folder / "its_library.py").write_text(LIBRARY)
    for name, text in APPS.items():
        (folder / f"{name}.py").write_text(text)
    with Replica([folder / f"{name}.py" for name in APPS], name="went blank") as server:
        yield server


@pytest.mark.parametrize("name", APPS)
async def test_it_is_drawn_each_time_by_files_of_this_server(server: Replica, tab: Tab, name: str) -> None:
    await tab.raw.context.add_cookies([{"name": "flavour", "value": "mint", "url": server.url}])
    for _ in range(VIEWS):
        await tab.raw.goto(f"{server.app_url(name)}?n=1", timeout=60_000)
        await tab.raw.get_by_text(SHOWN[name]).first.wait_for(timeout=30_000)
        if name == "fast":
            await tab.raw.locator(".tabulator-row").nth(2).wait_for(timeout=30_000)
            await tab.raw.locator(".bk-Figure").first.wait_for(timeout=30_000)
    assert tab.requested_elsewhere == []
