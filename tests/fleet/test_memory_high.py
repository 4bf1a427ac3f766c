"""Many sessions on a replica with little memory: those that are idle sleep, and nobody loses anything."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from devfleet.fleet import Fleet
from harness.apps import CountedApp
from harness.client import Client
from operations.scrape import scrape, until

MIB = 1024 * 1024
HIGH = 200 * MIB
SESSIONS = 80

HEAVY = """
from bokeh.io import curdoc
from bokeh.models import Slider, TextInput

loaded = b"x" * (3 << 20)
slider = Slider(name="slider", start=0, end=1000, value=0)
doubled = TextInput(name="doubled", value="")
slider.on_change("value", lambda attr, old, new: doubled.update(value=f"{2 * new}"))
curdoc().add_root(slider)
curdoc().add_root(doubled)
"""


def memory(fleet: Fleet) -> float:
    return scrape(fleet.replicas[0].url)("process_resident_memory_bytes")


async def test_it_stays_below_and_nobody_loses_a_value(
    start_fleet: Callable[..., Fleet], tmp_path: Path
) -> None:
    app = CountedApp(tmp_path, "heavy", body=HEAVY)
    fleet = start_fleet([app.path], n=1, args=["--memory-high", str(HIGH)])
    (replica,) = fleet.replicas
    before = memory(fleet)
    assert before + 3 * SESSIONS * MIB - 60 * MIB > HIGH, "else nothing is tried here"

    clients = [await Client.open(replica.app_url("heavy")) for _ in range(SESSIONS)]
    for number, client in enumerate(clients, 1):
        await client.patch("slider", value=number)
    until(lambda: memory(fleet) < HIGH, within=60)
    found = scrape(replica.url)
    asleep = found("svc_hibernated_sessions")
    assert 0 < asleep <= SESSIONS
    assert found("svc_sessions") + asleep == SESSIONS
    assert found("svc_memory_high_bytes") == HIGH
    assert found("svc_hibernations_total", reason="memory") >= asleep
    until(lambda: scrape(replica.url)("svc_memory_short") == 0)

    for number, client in enumerate(clients, 1):
        await client.patch("slider", value=number + 100)
        await client.expect_value("doubled", "value", f"{2 * (number + 100)}")
    until(lambda: memory(fleet) < HIGH, within=60)
    for number, client in enumerate(clients, 1):
        async with await Client.open(replica.app_url("heavy"), session_id=client.page.session_id) as beside:
            assert beside.value("slider", "value") == number + 100
            assert beside.value("doubled", "value") == f"{2 * (number + 100)}"

    begun = replica.matching("more than --memory-high")
    ended = replica.matching("memory is below --memory-high again")
    assert len(begun) - len(ended) in (0, 1), "an episode is told of once"
    assert replica.running
    for client in clients:
        await client.close()
