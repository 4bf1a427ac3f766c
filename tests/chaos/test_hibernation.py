"""Idle sessions with an open page leave the memory, and nobody notices."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from devfleet.fleet import Fleet
from harness.client import Client

HERE = Path(__file__).parent
FAST = ["--hibernate-after", "0.3", "--check-unused-sessions", "100", "--log-level", "debug"]


@pytest.fixture
def fleet(start_fleet: Callable[..., Fleet], examples: Path) -> Iterator[Fleet]:
    started = start_fleet([examples / "sliders.py", HERE / "moving_app.py"], n=2, args=FAST)
    yield started
    started.stop()


async def test_the_next_message_finds_the_session_as_it_was(fleet: Fleet) -> None:
    owner = fleet.replicas[0]
    async with await Client.open(owner.app_url(fleet.apps[0])) as first:
        await first.patch("amplitude", value=3.5)
        expected = pytest.approx(first.value("wave", "data")["y"][10] + 1)
        owner.wait_line("hibernates")

        await first.patch("offset", value=1.0)

        assert first.value("amplitude", "value") == 3.5
        await first.expect(lambda client: client.value("wave", "data")["y"][10] == expected)
        assert first.connected


async def test_a_second_tab_wakes_it_through_another_replica(fleet: Fleet) -> None:
    owner, other = fleet.replicas
    async with await Client.open(owner.app_url(fleet.apps[0])) as first:
        await first.patch("amplitude", value=2.5)
        owner.wait_line("hibernates")
        async with await Client.open(
            other.app_url(fleet.apps[0]), session_id=first.page.session_id
        ) as second:
            assert second.value("amplitude", "value") == 2.5
            await second.patch("amplitude", value=4.0)
            await first.expect_value("amplitude", "value", 4.0)


async def test_who_has_callbacks_pending_stays_awake(fleet: Fleet) -> None:
    owner = fleet.replicas[0]
    async with (
        await Client.open(owner.app_url(fleet.apps[1])) as ticking,
        await Client.open(owner.app_url(fleet.apps[0])),
    ):
        owner.wait_line("hibernates")
        last = ticking.value("ticks", "data")["n"][-1]
        await ticking.expect(lambda client: client.value("ticks", "data")["n"][-1] > last)
        assert len(owner.matching("hibernates")) == 1


@pytest.mark.parametrize("way", ["kill", "terminate"])
async def test_a_hibernated_session_survives_its_replica(fleet: Fleet, way: str) -> None:
    owner, other = fleet.replicas
    client = await Client.open(owner.app_url(fleet.apps[0]))
    await client.patch("amplitude", value=3.5)
    owner.wait_line("hibernates")
    getattr(owner, way)()
    await client.wait_closed()
    client.url = other.app_url(fleet.apps[0])
    await client.reconnect()
    assert client.value("amplitude", "value") == 3.5
    await client.close()


async def test_a_hibernated_session_that_is_left_can_be_picked_up(fleet: Fleet) -> None:
    owner, other = fleet.replicas
    client = await Client.open(owner.app_url(fleet.apps[0]))
    await client.patch("amplitude", value=3.5)
    owner.wait_line("hibernates")
    await client.close()
    client.url = other.app_url(fleet.apps[0])
    await client.reconnect()
    assert client.value("amplitude", "value") == 3.5
    await client.close()
