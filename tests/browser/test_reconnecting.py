"""The WebSocket is cut while a tab is open: BokehJS comes back to its session, wherever it lands."""

from __future__ import annotations

from devfleet.fleet import Fleet
from harness.browser import Tab
from harness.client import Client


async def test_a_tab_that_lost_its_socket_goes_on_with_its_session(fleet: Fleet, tab: Tab) -> None:
    """Its second pull has the arrays inline, or BokehJS fails with "buffer for id=... not found"."""
    tab.expect_lost_connection()
    replica = fleet.replicas[0]
    async with await Client.open(replica.app_url("sliders")) as beside:
        assert beside.page is not None
        await tab.open(f"{fleet.app_url('sliders')}?bokeh-session-id={beside.page.session_id}")
        await tab.nudge_slider("freq", 3)
        await beside.expect_value("freq", "value", 1.3)

        fleet.nginx.stop()
        await beside.patch("offset", value=1.5)
        fleet.nginx.start()

        await tab.wait_value("offset", "value", 1.5, timeout=30)
        await tab.wait_value("wave", "data.y.0", 1.5)
        assert await tab.value("freq", "value") == 1.3
        value = await tab.drag_slider("offset", 0.3)
        await tab.wait_value("wave", "data.y.0", value)
        await beside.expect_value("offset", "value", value)
        assert len(beside.document.roots) == 1
    assert not [problem for problem in tab.problems if "buffer" in problem]
    # BokehJS sends all roots back after its second pull. They are known, and that is no news.
    assert not [line for each in fleet.replicas for line in each.matching("already known")]
