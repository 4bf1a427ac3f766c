"""What apps print, log and raise is in the server's log: at once, and once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import panel.models.widgets  # noqa: F401 - the client makes models of its classes
import pytest
from bokeh.models import TextInput
from devfleet.replica import Replica
from harness.client import Client, ServerError
from harness.pages import get_page

Start = Callable[..., Replica]

MAIN = """
import logging
from bokeh.io import curdoc
from bokeh.models import Button, Slider

print("printed by the app")
log = logging.getLogger("sales")
log.setLevel("INFO")
log.info("logged by the app")

def fail(attr, old, new):
    raise ValueError("from a callback")

def fail_later():
    raise ValueError("from a timer")

slider = Slider(name="slider", start=0, end=9, value=0)
slider.on_change("value", fail)
button = Button(name="button")
button.on_click(lambda: curdoc().add_timeout_callback(fail_later, 1) and None)
curdoc().add_root(slider)
curdoc().add_root(button)
if b"fail" in curdoc().session_context.request.arguments.get("please", []):
    raise ValueError("from the build")
"""

HOOKS = """
def on_session_created(session_context):
    raise ValueError("from a hook")
"""


@pytest.fixture
def app(tmp_path: Path) -> Path:
    made = tmp_path / "app"
    made.mkdir()
    (made / "main.py").write_text(MAIN)
    (made / "app_hooks.py").write_text(HOOKS)
    return made


def times(server: Replica, text: str) -> int:
    return len(server.matching(rf"ValueError: {text}$"))


@pytest.mark.parametrize("args", [[], ["--dev"]], ids=["", "dev"])
async def test_what_fails_is_logged_once(app: Path, replica: Start, args: list[str]) -> None:
    server = replica([app], args=args)
    async with await Client.open(server.app_url()) as client:
        assert times(server, "from a hook") == 1
        with pytest.raises(ServerError):
            await client.patch("slider", value=3)
        await client.click("button")
        server.wait_line("ValueError: from a timer$")
        await client.pull()
    async with await Client.open(server.app_url(), arguments={"please": "fail"}) as client:
        assert "failed while it was starting" in str(client.document_json)

    wheres = ("from a callback", "from a timer", "from the build")
    assert [times(server, where) for where in wheres] == [1, 1, 1]
    traced = len(server.matching(r"Traceback \(most recent call last\)"))
    assert traced == 3 + times(server, "from a hook")


PANEL_MAIN = """
import panel as pn

pn.extension()

def fail(event):
    raise ValueError("from a widget")

word = pn.widgets.TextInput(name="word")
word.param.watch(fail, "value")
button = pn.widgets.Button(name="press", on_click=lambda event: 1 / 0)
pn.Column(word, button).servable()
if pn.state.session_args.get("please"):
    raise ValueError("from the build")
"""


@pytest.mark.parametrize("args", [[], ["--dev"]], ids=["", "dev"])
async def test_what_fails_in_a_panel_app_is_logged_once(
    tmp_path: Path, replica: Start, args: list[str]
) -> None:
    """Bokeh and Panel log what they hand on to the server."""
    (tmp_path / "panels.py").write_text(PANEL_MAIN)
    server = replica([tmp_path / "panels.py"], args=args)
    async with await Client.open(server.app_url(), timeout=60) as client:
        await client.patch(TextInput, value="x")
        server.wait_line("ValueError: from a widget$")
        await client.click({"label": "press"})
        server.wait_line("ZeroDivisionError: ")
    assert (await get_page(server.app_url(), arguments={"please": "fail"})).status == 500
    server.wait_line("ValueError: from the build$")

    wheres = (
        "ValueError: from a widget",
        "ValueError: from the build",
        "ZeroDivisionError: division by zero",
    )
    assert [len(server.matching(rf"{where}$")) for where in wheres] == [1, 1, 1]
    assert len(server.matching(r"Traceback \(most recent call last\)")) == 3


async def test_what_it_prints_and_logs_is_there_at_once(app: Path, replica: Start) -> None:
    server = replica([app])
    async with await Client.open(server.app_url()):
        server.wait_line("^printed by the app$")
        line = server.wait_line("logged by the app.*").string
        assert "app=/app session=" in line


async def test_as_json(app: Path, replica: Start) -> None:
    server = replica([app], args=["--log-format", "json"])
    async with await Client.open(server.app_url()):
        line = server.wait_line("logged by the app.*").string
    found: dict[str, Any] = json.loads(line)
    assert found["logger"] == "sales"
    assert found["level"] == "info"
    assert found["app"] == "/app"
