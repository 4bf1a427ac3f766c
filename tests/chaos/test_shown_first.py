"""A session that sleeps is shown before its app has run; what its users do meanwhile waits for that."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from devfleet.fleet import Fleet
from devfleet.replica import Replica
from harness.client import Client
from harness.gated import Gated
from operations.scrape import journaled, scrape, until

MOVING = Path(__file__).with_name("moving_app.py")
SLEEPS = ["--hibernate-after", "0.3", "--check-unused-sessions", "100"]


@pytest.fixture
def gated(tmp_path: Path) -> Gated:
    return Gated(tmp_path)


@pytest.fixture
def start(start_fleet: Callable[..., Fleet], gated: Gated) -> Iterator[Callable[..., Fleet]]:
    """Starts fleets of the gated app, which end with the test."""
    started: list[Fleet] = []

    def start(apps: Sequence[Path] = (), **options: object) -> Fleet:
        started.append(start_fleet([*apps] or [gated.app], args=[*SLEEPS, "--log-level", "debug"], **options))
        return started[-1]

    yield start
    for each in started:
        each.stop()


def seen(client: Client) -> dict[str, object]:
    return {
        "noise": list(client.value("noise", "data")["y"]),
        "slider": client.value("slider", "value"),
        "shown": client.value("shown", "text"),
        "rows": [row.name for row in client.value("rows", "children")],
    }


async def used(client: Client) -> dict[str, object]:
    """Do what a user does; what is seen then."""
    await client.patch("slider", value=7)
    await client.click("add")
    await client.expect(lambda _: seen(client)["rows"] == ["row 1"])
    return seen(client)


async def asleep(owner: Replica) -> None:
    """Return when its one session sleeps; nobody must do anything meanwhile."""
    await asyncio.to_thread(until, lambda: scrape(owner.url)("svc_hibernated_sessions") == 1)


async def moves_asleep(client: Client, first: Replica, other: Replica, gated: Gated) -> None:
    """The owner dies once all is written, and the app cannot run when its page comes back."""
    await asyncio.to_thread(journaled, first)
    gated.close()
    first.kill()
    await client.wait_closed()
    client.url = other.app_url()
    await client.reconnect()


async def goes_on(client: Client) -> None:
    """The app's code answers: that of its run, and what it made later."""
    await client.patch("slider", value=5)
    await client.expect_value("shown", "text", "5")
    await client.patch("row 1", value=9)
    await client.expect_value("shown", "text", "9")
    # The client fails where a model is described to it that it was shown already.
    await client.click("add")
    await client.expect(lambda _: seen(client)["rows"] == ["row 1", "row 2"])


async def test_a_hibernated_session_is_shown_before_it_wakes(
    start: Callable[..., Fleet], gated: Gated
) -> None:
    (owner,) = start(n=1).replicas
    async with await Client.open(owner.app_url()) as client:
        before = await used(client)
        await asleep(owner)
        gated.close()

        await client.pull()
        await client.server_info()

        assert seen(client) == before
        moving = asyncio.create_task(client.patch("slider", value=8))
        await client.expect(lambda _: "One moment" in str(client.received[-1].message.content))
        assert not moving.done()
        gated.open()
        await moving
        await client.expect_value("shown", "text", "8")
        await goes_on(client)
        assert client.connected
    assert scrape(owner.url)("svc_composed_pulls_total", result="shown") == 1


async def test_what_a_page_did_that_has_gone_meanwhile_takes_no_effect_later(
    start: Callable[..., Fleet], gated: Gated
) -> None:
    """It was never answered. What the same page has done since, through its next socket, would be undone."""
    (owner,) = start(n=1).replicas
    async with await Client.open(owner.app_url()) as client:
        await used(client)
        await asleep(owner)
        gated.close()
        moving = asyncio.create_task(client.patch("slider", value=8))
        await client.expect(lambda _: "One moment" in str(client.received[-1].message.content))

        client.wire.drop()
        await asyncio.gather(moving, return_exceptions=True)
        await client.reconnect()
        gated.open()

        await asyncio.to_thread(owner.wait_line, "came from a page that had gone")
        await client.pull()
        assert seen(client)["slider"] == 7


async def test_it_wakes_by_itself_once_it_is_shown(start: Callable[..., Fleet]) -> None:
    (owner,) = start(n=1).replicas
    async with await Client.open(owner.app_url()) as client:
        await used(client)
        await asleep(owner)
        await client.pull()
        await asyncio.to_thread(
            until, lambda: scrape(owner.url)("svc_claims_total", outcome="restore_exact") == 1
        )


@pytest.mark.parametrize("way", ["kill", "terminate"])
async def test_a_session_that_moves_is_shown_before_its_app_has_run(
    start: Callable[..., Fleet], gated: Gated, way: str
) -> None:
    first, other = start(n=2).replicas
    async with await Client.open(first.app_url()) as client:
        before = await used(client)
        await asyncio.to_thread(journaled, first)
        gated.close()
        getattr(first, way)()
        await client.wait_closed()

        client.url = other.app_url()
        await client.reconnect()

        assert seen(client) == before
        assert scrape(other.url)("svc_claims_total", outcome="restore_exact") == 0
        moving = asyncio.create_task(client.patch("slider", value=8))
        await client.expect(lambda _: "One moment" in str(client.received[-1].message.content))
        gated.open()
        await moving
        await goes_on(client)
        assert client.connected


async def test_two_tabs_see_each_other_also_while_their_session_sleeps(
    start: Callable[..., Fleet], gated: Gated
) -> None:
    first, other = start(n=2).replicas
    visitor = await Client.open(other.app_url())  # who has run the app knows that its pages need no Document
    await visitor.close()
    async with await Client.open(first.app_url()) as client:
        before = await used(client)
        await moves_asleep(client, first, other, gated)
        assert client.page is not None

        second = await Client.open(other.app_url(), session_id=client.page.session_id)

        assert seen(second) == before
        moving = asyncio.create_task(second.patch("slider", value=8))
        gated.open()
        await moving
        await client.expect_value("shown", "text", "8")
        await second.close()


async def test_what_comes_back_as_something_else_is_pulled_again(
    start: Callable[..., Fleet], gated: Gated
) -> None:
    """The app has made other models this time: no page goes on with what it was shown before."""
    first, other = start(n=2).replicas
    async with await Client.open(first.app_url()) as client:
        await used(client)
        await moves_asleep(client, first, other, gated)
        assert seen(client)["slider"] == 7
        moving = asyncio.create_task(client.patch("slider", value=8))

        gated.makes_more()
        gated.open()

        assert await client.wait_closed() == 1012
        moving.cancel()
        await client.reconnect()
        assert client.value("more", "text") == "more"
        assert client.value("slider", "value") != 8, "it was set in what is not there any more"
        await client.patch("slider", value=5)
        await client.expect_value("shown", "text", "5")


async def test_what_cannot_be_brought_back_says_so(start: Callable[..., Fleet], gated: Gated) -> None:
    first, other = start(n=2).replicas
    async with await Client.open(first.app_url()) as client:
        before = await used(client)
        await moves_asleep(client, first, other, gated)
        assert seen(client) == before

        gated.fails()
        gated.open()
        assert await client.wait_closed() == 1012
        await client.reconnect()
        assert "The app failed while it was starting." in str(client.document_json)

        gated.works()
        await client.reconnect()
        assert seen(client) == before
        await goes_on(client)


async def test_who_has_periodic_callbacks_goes_on_by_itself(
    start: Callable[..., Fleet], gated: Gated
) -> None:
    first, other = start(n=2, apps=[MOVING]).replicas
    async with await Client.open(first.app_url()) as client:
        await client.expect(lambda _: len(client.value("ticks", "data")["n"]) > 1)
        await asyncio.to_thread(journaled, first)
        first.kill()
        await client.wait_closed()
        client.url = other.app_url()
        await client.reconnect()
        last = client.value("ticks", "data")["n"][-1]
        await client.expect(lambda _: client.value("ticks", "data")["n"][-1] > last)
        assert scrape(other.url)("svc_composed_pulls_total", result="shown") == 1


async def test_what_another_replica_took_meanwhile_is_not_woken(
    start: Callable[..., Fleet], gated: Gated
) -> None:
    first, second, third = start(n=3).replicas
    async with await Client.open(first.app_url()) as client:
        before = await used(client)
        await asyncio.to_thread(journaled, first)
        gated.close()
        first.terminate()
        await client.wait_closed()
        client.url = second.app_url()
        await client.reconnect()
        second.pause()
        client.url = third.app_url()
        await client.reconnect()
        gated.open()
        await goes_on(client)
        assert seen(client)["noise"] == before["noise"]
        second.resume()


async def test_what_pages_say_by_themselves_wakes_nobody_and_is_done_later(
    start: Callable[..., Fleet], gated: Gated
) -> None:
    """BokehJS sends all of this whenever it has connected again."""
    first, other = start(n=2).replicas
    async with await Client.open(first.app_url()) as client:
        await used(client)
        await moves_asleep(client, first, other, gated)
        (root,) = client.document_json["roots"]

        await client.patch_json({"kind": "RootAdded", "model": root})
        await client.patch_json(said("client_reconnected"))
        plot = {"id": client.model("plot").id}
        await client.patch_json({"kind": "ModelChanged", "model": plot, "attr": "inner_width", "new": 123})

        assert scrape(other.url)("svc_claims_total", outcome="restore_exact") == 0
        gated.open()
        await client.expect_value("came", "text", "again 123")


def asked(client: Client) -> int:
    """How often it was asked to tell when nobody can see it."""
    patches = [json.dumps(message.content) for message in client.messages("PATCH-DOC")]
    return sum("visibilitychange" in each for each in patches)


async def test_a_page_is_asked_whether_it_is_hidden_once_its_session_is_live(
    start: Callable[..., Fleet], tmp_path: Path
) -> None:
    """What pauses then is code of the app, which does not run before."""
    gated = Gated(tmp_path, hooks="pause_when_hidden = True\n")
    first, other = start([gated.app], n=2).replicas
    async with await Client.open(first.app_url()) as client:
        await used(client)
        assert asked(client) == 1
        await moves_asleep(client, first, other, gated)
        await client.server_info()
        assert asked(client) == 1

        gated.open()
        await client.expect(lambda _: asked(client) == 2)
        await goes_on(client)


def said(name: str) -> dict[str, object]:
    event = {"type": "event", "name": name, "values": {"type": "map"}}
    return {"kind": "MessageSent", "msg_type": "bokeh_event", "msg_data": event}
