"""Never two owners: zombies, tabs that come back to different replicas, clients that give up half-way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest_asyncio
from devchaos.arena import Arena
from devchaos.visitor import Visitor
from operations.scrape import journaled

StartArena = Callable[..., Awaitable[Arena]]


@pytest_asyncio.fixture
async def started(arena: StartArena) -> Arena:
    """Three replicas, and nobody there yet."""
    return await arena(visitors=0)


async def test_a_zombie_is_put_out(started: Arena, visit: Callable[[int], Visitor]) -> None:
    zombie, other, _ = started.fleet.replicas
    user, again = visit(zombie.port), visit(other.port)
    await user.open()
    await user.slide()
    await user.click()
    await asyncio.to_thread(journaled, zombie)

    with zombie.paused():
        sent = asyncio.create_task(user.slide())  # into the frozen socket
        await again.join(user)
        assert again.log.first is not None
        assert (again.log.first.slider, again.log.first.clicks) == (1, 1)
        await again.click()
    await asyncio.gather(sent, return_exceptions=True)
    await user.dropped()

    assert user.tab.close_code == 1012
    move = await user.come_back()  # to the former zombie, which relays now
    assert move.seen.clicks == 2
    assert move.seen.contradiction is None
    await user.click()
    assert (await again.look()).clicks == 3
    assert started.owners.problems() == []


async def test_a_zombie_whose_clients_say_nothing_is_put_out_as_well(
    started: Arena, visit: Callable[[int], Visitor]
) -> None:
    zombie, other, _ = started.fleet.replicas
    user, again = visit(zombie.port), visit(other.port)
    await user.open()
    await user.click()
    await asyncio.to_thread(journaled, zombie)

    with zombie.paused():
        await again.join(user)
        await again.click()
    await user.dropped()

    assert user.tab.close_code == 1012
    assert (await user.come_back()).seen.clicks == 2


async def test_two_tabs_come_back_to_different_replicas(
    started: Arena, visit: Callable[[int], Visitor]
) -> None:
    owner, one, two = started.fleet.replicas
    tabs = visit(owner.port), visit(owner.port)
    await tabs[0].open()
    await tabs[1].join(tabs[0])
    await tabs[0].click()
    await asyncio.to_thread(journaled, owner)
    owner.kill()
    tabs[0].port, tabs[1].port = one.port, two.port

    await asyncio.gather(*(tab.dropped() for tab in tabs))
    moves = await asyncio.gather(*(tab.come_back() for tab in tabs))

    assert [move.seen.clicks for move in moves] == [1, 1]
    await tabs[0].click()
    assert (await tabs[1].look()).clicks == 2
    assert started.owners.problems() == []
    assert started.owners.epochs()[tabs[0].log.session_id] == 2


async def test_clients_that_give_up_while_a_session_moves(
    started: Arena, visit: Callable[[int], Visitor]
) -> None:
    owner, one, two = started.fleet.replicas
    user = visit(owner.port)
    await user.open()
    await user.click()
    await asyncio.to_thread(journaled, owner)
    owner.kill()
    await user.dropped()

    for port in (one.port, two.port) * 5:
        user.port = user.tab.port = port
        attempt = asyncio.create_task(user.come_back())
        await asyncio.sleep(0.01)  # not enough for anything but a beginning
        attempt.cancel()
        await asyncio.gather(attempt, return_exceptions=True)
        user.close()
    move = await user.come_back()

    assert move.seen.clicks == 1
    assert move.seen.contradiction is None
    await user.click()
    assert started.owners.problems() == []
