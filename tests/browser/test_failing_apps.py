"""An app that raises while it builds its Document: the page says so, the log says why, and it heals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from devfleet.replica import Replica
from harness.apps import CountedApp
from harness.browser import Tab
from harness.pages import get_page

SECRET = "the reason is between us"
FAILED = "The app failed while it was starting."


class Fault:
    """What makes the app fail: a file, while it exists."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def begin(self) -> None:
        self.path.touch()

    def end(self) -> None:
        self.path.unlink()


@pytest.fixture
def fault(tmp_path: Path) -> Fault:
    """Has begun."""
    made = Fault(tmp_path / "fault")
    made.begin()
    return made


@pytest.fixture
def app(counted_app: Callable[..., CountedApp], fault: Fault) -> CountedApp:
    body = f"""
        from pathlib import Path
        from bokeh.io import curdoc
        from bokeh.models import Slider

        curdoc().add_root(Slider(name="slider", start=0, end=10, value=1, title="a slider"))
        if Path({str(fault.path)!r}).exists():
            raise RuntimeError({SECRET!r})
    """
    return counted_app("failing", body=body)


@pytest.fixture
def server(replica: Callable[..., Replica], app: CountedApp) -> Replica:
    return replica([app.path])


async def shows_failure(tab: Tab, url: str) -> str:
    await tab.raw.goto(url)
    await tab.raw.get_by_text(FAILED).wait_for()
    shown = "(globalThis.Bokeh?.documents[0]?.roots() ?? []).map(each => each.text)"
    return str(await tab.raw.evaluate(f"[document.body.innerText, ...{shown}]"))


async def test_a_page_that_runs_the_app_is_an_error_page(server: Replica, fault: Fault, tab: Tab) -> None:
    tab.expect_problem("500")

    text = await shows_failure(tab, server.app_url())

    assert SECRET not in text
    assert "Traceback" not in text
    assert len(server.matching(f"RuntimeError: {SECRET}")) == 1
    assert (await get_page(server.app_url())).status == 500

    fault.end()
    await tab.open(server.app_url())
    assert await tab.value("slider", "value") == 1


async def test_a_page_that_was_there_before_shows_it_in_place_of_the_app(
    server: Replica, fault: Fault, tab: Tab
) -> None:
    fault.end()
    await tab.open(server.app_url())
    fault.begin()

    text = await shows_failure(tab, server.app_url())

    assert SECRET not in text
    assert len(server.matching(f"RuntimeError: {SECRET}")) == 1
    fault.end()
    await tab.raw.reload()
    await tab.until("value('slider', 'value') === 1")


async def test_nothing_is_left_of_a_session_that_failed(server: Replica, app: CountedApp, tab: Tab) -> None:
    """A second look at the same session runs the app again."""
    tab.expect_problem("500")
    url = f"{server.app_url()}?bokeh-session-id=one"
    for runs in (1, 2):
        await shows_failure(tab, url)
        assert len(app.runs) == runs


@pytest.mark.parametrize("before", ["a shell", "no page"])
async def test_only_dev_shows_the_traceback(
    replica: Callable[..., Replica], app: CountedApp, fault: Fault, tab: Tab, before: str
) -> None:
    server = replica([app.path], args=["--dev"])
    if before == "a shell":
        fault.end()
        await tab.open(server.app_url())
        fault.begin()
    else:
        tab.expect_problem("500")

    text = await shows_failure(tab, server.app_url())

    assert "Traceback" in text
    assert f"RuntimeError: {SECRET}" in text
