"""Panel and HoloViews apps, unmodified, through three replicas: with a protocol client and in Chromium."""

from __future__ import annotations

import asyncio
import base64
import html
import subprocess
import sys
from collections.abc import Callable
from inspect import signature
from pathlib import Path
from typing import Any

import panel.models.tabulator  # the client makes models of these classes
import panel.models.widgets
import pytest
from bokeh.embed import server_document
from bokeh.events import DocumentReady
from bokeh.models import ColumnDataSource, Slider
from bokeh.models.widgets import FileInput, Spinner
from devfleet.fleet import Fleet
from devfleet.ports import free_port
from harness.browser import Tab
from harness.client import Client
from harness.site import show
from panel.models.location import Location
from panel.models.markup import HTML
from panel.models.tabulator import TableEditEvent

FOLDER = Path(__file__).parent / "panel_apps"
APPS = [*sorted(FOLDER.glob("*.py")), FOLDER / "tasks"]
BUTTON = {"type": panel.models.widgets.Button}


@pytest.fixture(scope="module")
def fleet(start_fleet: Callable[..., Fleet]) -> Fleet:
    """Replicas that serve all apps, also to pages of another site."""
    soon = ["--unused-session-lifetime", "1000", "--check-unused-sessions", "200"]
    return start_fleet(APPS, args=[*soon, "--allow-websocket-origin", "127.0.0.1:*"])


async def opened(fleet: Fleet, app: str, **request: Any) -> Client:
    """A page view as a browser has it, up to the event that tells apps that it is drawn."""
    client = await Client.open(fleet.app_url(app), timeout=60, **request)
    await client.emit(DocumentReady())
    return client


def texts(client: Client) -> str:
    models = client.document.select({"type": HTML})
    return " ".join(html.unescape(html.unescape(model.text)) for model in models)


async def shows(client: Client, text: str) -> None:
    await client.expect(lambda c: text in texts(c), what=f"{text!r} in {texts(client)!r}")


async def test_a_bound_function_follows_its_widget(fleet: Fleet) -> None:
    async with await opened(fleet, "bound") as client:
        await shows(client, "square 1")
        await client.patch(Slider, value=7)
        await shows(client, "square 49")


async def test_a_template_serves_its_roots(fleet: Fleet) -> None:
    async with await opened(fleet, "template") as client:
        await client.patch(Slider, value=4)
        await shows(client, "twice 8")


async def test_location_arguments_and_cookies(fleet: Fleet) -> None:
    async with await opened(
        fleet, "location", arguments={"who": "ada", "amount": "12"}, cookies={"flavour": "oat"}
    ) as client:
        await shows(client, "args [b'ada'] cookie oat")
        await client.patch(Location, search="?amount=30")
        await client.expect_value(Slider, "value", 30)
        await client.patch(Slider, value=5)
        await client.expect_value(Location, "search", "?amount=5")


async def test_the_location_is_known_while_the_app_is_built(fleet: Fleet) -> None:
    async with await opened(fleet, "report", arguments={"id": "7", "lang": "de"}) as client:
        await shows(client, "report 7")
        await shows(client, "at /report ?id=7&lang=de&tab=a")


async def test_onload_and_periodic_callbacks(fleet: Fleet) -> None:
    async with await opened(fleet, "onload") as client:
        await shows(client, "loaded")
        await client.expect(lambda c: c.value(Spinner, "value") >= 2)


async def test_an_asynchronous_callback_is_shown_while_it_goes_on(fleet: Fleet) -> None:
    async with await opened(fleet, "asynchronous") as client:
        await client.click(BUTTON)
        await shows(client, "working")
        await shows(client, "done 1")


async def test_a_file_is_uploaded(fleet: Fleet) -> None:
    async with await opened(fleet, "files") as client:
        content = base64.b64encode(b"x" * 1000).decode()
        values = {"filename": "x.txt", "mime_type": "text/plain", "value": content}
        model = client.model(FileInput).ref
        changes = ({"kind": "ModelChanged", "model": model, "attr": a, "new": v} for a, v in values.items())
        await client.patch_json(*changes)
        await shows(client, "1000 bytes")


async def test_a_table_grows(fleet: Fleet) -> None:
    async with await opened(fleet, "table") as client:
        await client.click(BUTTON)
        await shows(client, "total 10")
        source = client.model(panel.models.tabulator.DataTabulator).source
        await client.expect(lambda _: len(source.data["name"]) == 4)


async def test_a_cell_of_a_table_is_edited(fleet: Fleet) -> None:
    async with await opened(fleet, "table") as client:
        await edit(client, "amount", 1, 20)
        await shows(client, "total 24")


async def edit(client: Client, column: str, row: int, value: Any) -> None:
    """As Panel's JavaScript does it: an event before the change of the data, and (1.9) one after."""
    table = client.model(panel.models.tabulator.DataTabulator)
    twice = "pre" in signature(TableEditEvent).parameters
    about = {"model": table.ref, "column": column, "row": row}

    await client.patch_json(edited(**about, **({"pre": True} if twice else {"value": value, "old": 0})))
    await client.change(lambda _: table.source.patch({column: [(row, value)]}))
    if twice:
        await client.patch_json(edited(**about, pre=False))


def edited(**values: Any) -> dict[str, Any]:
    entries = [[name, value] for name, value in values.items()]
    event = {"type": "event", "name": "table-edit", "values": {"type": "map", "entries": entries}}
    return {"kind": "MessageSent", "msg_type": "bokeh_event", "msg_data": event}


async def test_a_scheduled_task_goes_on_when_its_session_has_ended(fleet: Fleet) -> None:
    replica = fleet.replicas[0]
    async with await Client.open(replica.app_url("tasks"), timeout=60) as first:
        await first.expect(lambda c: c.value(Spinner, "value") >= 2)
        seen = first.value(Spinner, "value")
    await asyncio.to_thread(replica.wait_line, "a session with a task ended")

    async with await Client.open(replica.app_url("tasks"), timeout=60) as second:
        await second.expect(lambda c: c.value(Spinner, "value") > seen + 10)
    assert not replica.matching("Traceback")


async def test_a_page_of_another_site_embeds_an_app(fleet: Fleet, tab: Tab) -> None:
    tab.expect_problem(r"fonts\.(googleapis|gstatic)\.com")

    await show(tab, server_document(fleet.app_url("bound")), free_port())

    await tab.raw.get_by_text("square 1").first.wait_for(timeout=30_000)
    models = "[...Bokeh.documents[0]._all_models.values()]"
    await tab.nudge_slider(await tab.evaluate(f"{models}.find(each => each.type == 'Slider').id"), 2)
    await tab.raw.get_by_text("square 9").first.wait_for(timeout=30_000)


async def test_holoviews_streams(fleet: Fleet) -> None:
    async with await opened(fleet, "streams") as client:
        await client.patch(Slider, value=4)
        await client.expect(lambda c: highest(c) > 3.9)
        for _ in range(3):
            await client.click(BUTTON)
        await client.expect(lambda c: any(len(each.data["x"]) == 3 for each in curves(c)))


def curves(client: Client) -> list[Any]:
    return [each for each in client.document.select({"type": ColumnDataSource}) if "x" in each.data]


def highest(client: Client) -> float:
    return max(float(max(each.data["y"], default=0)) for each in curves(client))


async def test_executed_coroutines_and_caches(fleet: Fleet) -> None:
    async with await opened(fleet, "scheduled") as client:
        await shows(client, "scheduled 42 once")


async def test_a_thread_writes(fleet: Fleet) -> None:
    async with await opened(fleet, "threaded") as client:
        await shows(client, "from a thread")


async def test_two_clients_of_one_session_on_different_replicas(fleet: Fleet) -> None:
    async with await opened(fleet, "bound") as one:
        assert one.page is not None
        for value, replica in enumerate(fleet.replicas, start=5):
            url = replica.app_url("bound")
            async with await Client.open(url, session_id=one.page.session_id, timeout=60) as other:
                await one.patch(Slider, value=value)
                await other.expect_value(Slider, "value", value)


EXPECTED_IN_PAGE = {
    "bound": "square 1", "template": "twice 2", "location": "cookie", "onload": "loaded", "files": "nothing",
    "asynchronous": "idle", "table": "total 6", "scheduled": "scheduled 42 once", "threaded": "from a thread",
    "streams": "", "one_line": "loaded|deferred content", "elsewhere": "loaded|deferred content",
}  # fmt: skip


@pytest.mark.parametrize("app", sorted(EXPECTED_IN_PAGE))
async def test_in_a_browser_without_an_error(fleet: Fleet, app: str, tab: Tab) -> None:
    # What Panel itself loads from elsewhere cannot come here.
    tab.expect_problem(r"fonts\.(googleapis|gstatic)\.com")
    await tab.open(fleet.app_url(app))
    for text in filter(None, EXPECTED_IN_PAGE[app].split("|")):
        await tab.raw.get_by_text(text).first.wait_for(timeout=30_000)


def test_panel_may_be_imported_before_our_server(tmp_path: Path) -> None:
    """Its import rewrites parts of bokeh.server and bokeh.command, none of which we use."""
    script = tmp_path / "embed.py"
    script.write_text(
        "import asyncio, panel as pn, sys\n"
        f"sys.path[:0] = {[str(Path(__file__).parents[1]), str(Path(__file__).parents[2] / 'tools')]!r}\n"
        "from service import Server\n"
        "from harness.client import Client\n"
        "from bokeh.events import DocumentReady\n"
        "def app(doc):\n"
        "    text = pn.pane.Str('waiting')\n"
        "    pn.state.onload(lambda: setattr(text, 'object', 'loaded'))\n"
        "    text.server_doc(doc)\n"
        "async def main():\n"
        "    server = Server({'/app': app}, port=0, address='127.0.0.1')\n"
        "    await server.started()\n"
        "    async with await Client.open(f'http://127.0.0.1:{server.port}/app') as client:\n"
        "        await client.emit(DocumentReady())\n"
        "        await client.expect(lambda c: any('loaded' in str(getattr(m, 'text', ''))\n"
        "                                          for m in c.document.models))\n"
        "    await server.stopped()\n"
        "    print('it works')\n"
        "asyncio.run(main())\n"
    )

    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=100, check=False
    )

    assert "it works" in done.stdout, done.stderr
