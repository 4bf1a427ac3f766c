"""The ipywidgets of a Panel app go on with the page that shows them when their replica goes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import panel.io.ipywidget  # noqa: F401 - the client makes models of its class
import pytest
from bokeh.events import ButtonClick, DocumentReady
from bokeh.model import Model
from bokeh.models import TextInput
from devfleet.fleet import Fleet
from devfleet.replica import Replica
from harness.client import Client
from harness.jupyter import JupyterPage
from panel.models.markup import HTML
from panel.models.widgets import Button

APP = Path(__file__).parent.parent / "apps" / "panel_apps" / "jupyter.py"
Departure = Callable[[Replica], Awaitable[None]]
WRITTEN = 0.5
"""Seconds in which what was changed is surely in the store: the journal's interval, and a write."""


@pytest.fixture(scope="module")
def fleet(start_fleet: Callable[..., Fleet]) -> Fleet:
    return start_fleet([APP], n=2)


class Visit:
    """One page of the app."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.page = JupyterPage(client)
        self.page.look()

    async def shows(self, text: str) -> None:
        said = lambda: " ".join(model.text for model in self.client.document.select({"type": HTML}))  # noqa: E731
        await self.client.expect(lambda _: text in said(), what=f"{text!r} in {said()!r}")

    async def ask(self, word: str) -> None:
        await self.client.patch(TextInput, value=word)

    async def finds(self, label: str) -> Model:
        await self.client.expect(lambda document: self._button(label) is not None, what=label)
        found = self._button(label)
        assert found is not None
        return found

    def _button(self, label: str) -> Model | None:
        buttons = self.client.document.select({"type": Button})
        return next((button for button in buttons if button.label == label), None)

    async def press(self, label: str) -> None:
        await self.client.emit(ButtonClick(await self.finds(label)))

    async def expect(self, description: str, name: str, value: object) -> None:
        shown = lambda: self.page.shows(description)[name]  # noqa: E731
        await self.client.expect(lambda _: shown() == value, what=f"{shown()} is {value}")


async def kill(victim: Replica) -> None:
    victim.kill()


async def terminate(victim: Replica) -> None:
    victim.terminate()
    assert await asyncio.to_thread(victim.wait) == 0


@pytest.fixture(params=[kill, terminate])
def how(request: pytest.FixtureRequest) -> Departure:
    found: Departure = request.param
    return found


@pytest.fixture
async def visit(fleet: Fleet) -> AsyncIterator[Visit]:
    async with await Client.open(fleet.replicas[0].app_url("jupyter"), timeout=60) as client:
        await client.emit(DocumentReady())  # until then Panel (1.9) puts off changes of layouts
        yield Visit(client)


@asynccontextmanager
async def moved(fleet: Fleet, visit: Visit, how: Departure) -> AsyncIterator[None]:
    """The owner goes after half a second of quiet, and the page comes back to the other replica."""
    await asyncio.sleep(WRITTEN)
    first, second = fleet.replicas
    await how(first)
    visit.client.wire.drop()
    visit.client.url = second.app_url("jupyter")
    await visit.client.reconnect()
    visit.page.look()
    yield
    assert not second.matching("Traceback|restoring failed")
    await first.start_async()


async def test_a_slider_is_dragged_on(fleet: Fleet, visit: Visit, how: Departure) -> None:
    comm = visit.page.find("slider")
    await visit.page.set("slider", value=42)
    await visit.shows("heard 42")

    async with moved(fleet, visit, how):
        assert visit.page.find("slider") == comm
        assert visit.page.shows("slider")["value"] == 42
        await visit.shows("heard 42")
        await visit.ask("now")
        await visit.shows("now: 42 red")

        await visit.page.set("slider", value=43)
        await visit.shows("heard 42 43")
        await visit.ask("then")
        await visit.shows("then: 43 red")


async def test_what_python_set_is_shown(fleet: Fleet, visit: Visit, how: Departure) -> None:
    await visit.page.set("colour", index=2)
    await visit.shows("bound to blue")
    await visit.page.set("slider", value=42)
    await visit.ask("set7")
    await visit.expect("slider", "value", 7)
    await visit.shows("heard 42 7")

    async with moved(fleet, visit, how):
        assert visit.page.shows("slider")["value"] == 7
        assert visit.page.shows("colour")["index"] == 2
        await visit.shows("heard 42 7")
        await visit.shows("bound to blue")
        await visit.ask("now")
        await visit.shows("now: 7 blue")
        await visit.page.set("colour", index=1)
        await visit.shows("bound to green")


async def test_a_widget_that_was_added_is_still_there(fleet: Fleet, visit: Visit, how: Departure) -> None:
    await visit.page.click("press")
    states = lambda: visit.page.states.values()  # noqa: E731
    await visit.client.expect(lambda _: any(each.get("value") == "new" for each in states()))
    await visit.page.set("text 3", value="typed")

    async with moved(fleet, visit, how):
        assert visit.page.shows("text 3")["value"] == "typed"
        await visit.page.set("slider", value=5)
        await visit.shows("heard 5")


async def test_controls_that_clicks_and_values_of_widgets_made_go_on(
    fleet: Fleet, visit: Visit, how: Departure
) -> None:
    """What made them is repeated, as clicks of Panel's buttons are."""
    for number in range(2):
        await visit.page.click("grow")
        await visit.finds(f"control {number}")
    for value in (4, 5):
        await visit.page.set("leader", value=value)
        await visit.finds(f"at {value}")

    async with moved(fleet, visit, how):
        for label in ("control 0", "control 1", "at 5"):
            await visit.press(label)
            await visit.shows(f"pressed {label.removeprefix('control ')}")
        assert visit.page.shows("leader")["value"] == 5
        await visit.page.click("grow")
        await visit.finds("control 2")
        assert not fleet.replicas[1].matching("callbacks were lost")


async def test_another_page_of_the_session_has_what_is_there_now(fleet: Fleet, visit: Visit) -> None:
    await visit.page.set("slider", value=42)
    await visit.shows("heard 42")
    assert visit.client.page is not None

    url = fleet.replicas[1].app_url("jupyter")
    async with await Client.open(url, session_id=visit.client.page.session_id, timeout=60) as client:
        other = Visit(client)
        assert other.page.shows("slider")["value"] == 42
        await other.page.set("slider", value=43)
        await visit.expect("slider", "value", 43)


async def test_sessions_do_not_see_each_others_widgets(fleet: Fleet, visit: Visit) -> None:
    replica = fleet.replicas[0]
    async with await Client.open(replica.app_url("jupyter"), timeout=60) as client:
        other = Visit(client)
        assert visit.page.states.keys().isdisjoint(other.page.states.keys())
        await other.page.set("slider", value=9)
        await other.shows("heard 9")
        await visit.ask("mine")
        await visit.shows("mine: 3 red")


async def test_widgets_go_with_their_session(replica: Callable[..., Replica]) -> None:
    """The package itself keeps all that were ever made."""
    soon = ["--unused-session-lifetime", "300", "--check-unused-sessions", "100"]
    server = replica([APP], args=soon)
    for number in range(1, 11):
        async with await Client.open(server.app_url("jupyter"), timeout=60) as client:
            assert Visit(client).page.shows("slider")["value"] == 3
        await asyncio.to_thread(server.wait_line, f"session {number} has ended")
        counts = [line.split()[-1] for line in server.matching("widgets in this process")]
        if number > 1 and counts[-1] == counts[0]:
            return
    raise AssertionError(f"more and more widgets: {counts}")
