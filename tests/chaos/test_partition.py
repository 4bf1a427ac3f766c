"""A replica that is cut off from all others goes on running, and can do no harm."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
import pytest_asyncio
from devchaos.arena import Arena
from devchaos.islands import no_namespaces
from devchaos.visitor import Visitor
from harness.tools import require
from operations.scrape import journaled

StartArena = Callable[..., Awaitable[Arena]]
Visit = Callable[[int], Visitor]

SILENCE = 1.5
"""Seconds until an owner that does not answer counts as gone, beyond what any other move takes."""


@pytest_asyncio.fixture(params=["proxies", "namespace"])
async def started(arena: StartArena, request: pytest.FixtureRequest) -> Arena:
    """Two replicas of which the second can be cut off, and nobody there yet."""
    if request.param == "namespace":
        require("ip")
        if reason := no_namespaces():
            pytest.skip(reason)
    return await arena(visitors=0, replicas=2, island=request.param)


def cut(arena: Arena) -> None:
    """The last replica is alone. The balancer's health check takes it out."""
    assert arena.island is not None
    arena.island.cut()
    arena.fleet.balance_over(arena.fleet.replicas[:1])


def heal(arena: Arena) -> None:
    assert arena.island is not None
    arena.island.heal()
    arena.fleet.balance_over(arena.fleet.replicas)


async def in_use(user: Visitor) -> None:
    await user.open()
    await user.slide()
    await user.click()


async def test_its_users_go_on_elsewhere_and_it_never_overwrites(started: Arena, visit: Visit) -> None:
    balancer, cut_off = started.fleet.nginx.port, started.fleet.replicas[-1]
    await asyncio.to_thread(started.fleet.balance_over, [cut_off])
    stays, leaves, again = visit(balancer), visit(balancer), visit(balancer)
    await in_use(stays)
    await in_use(leaves)
    await asyncio.to_thread(journaled, *started.fleet.replicas)

    await asyncio.to_thread(cut, started)
    leaves.cut()
    await leaves.dropped()
    gone_on = await leaves.come_back()
    sent = asyncio.create_task(stays.slide())  # arrives when the cable is whole again
    await again.join(stays)
    await again.click()
    await asyncio.to_thread(heal, started)
    await asyncio.gather(sent, return_exceptions=True)
    await stays.dropped()

    assert (gone_on.seen.slider, gone_on.seen.clicks) == (1, 1)
    assert gone_on.back - gone_on.dropped < 2 + SILENCE
    assert stays.tab.close_code == 1012
    back = await stays.come_back()
    assert (back.seen.slider, back.seen.clicks) == (1, 2)
    await stays.click()
    assert (await again.look()).clicks == 3
    assert cut_off.matching("another replica owns it now; dropping this copy")
    assert started.owners.problems() == []


@pytest.mark.parametrize("started", ["proxies"], indirect=True)
async def test_who_is_cut_off_along_with_it_comes_back_to_the_others(started: Arena, visit: Visit) -> None:
    """Works on until then; what was done in there is refused when another owner went on meanwhile."""
    inside, alone, outside = (visit(started.fleet.replicas[at].port) for at in (1, 1, 0))
    await in_use(inside)
    await in_use(alone)
    await asyncio.to_thread(journaled, *started.fleet.replicas)

    await asyncio.to_thread(cut, started)
    await inside.slide()
    await alone.slide()
    await outside.join(inside)
    await outside.click()
    await asyncio.to_thread(heal, started)
    await inside.dropped()

    assert inside.tab.close_code == 1012
    back = await inside.come_back()
    assert (back.seen.slider, back.seen.clicks) == (1, 2)
    assert started.owners.problems() == []
    started.fleet.replicas[-1].kill()
    await alone.dropped()
    alone.port = started.fleet.nginx.port
    assert (await alone.come_back()).seen.slider == 2, "nobody else wanted it: nothing is lost"
