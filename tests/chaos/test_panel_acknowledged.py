"""With ``--durability sync``: what was acknowledged to a Panel user is on the next replica, with its effect.

Panel handles inputs 50 ms after they came, so an acknowledgment has to wait for that.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from devchaos.arena import Arena
from devchaos.visitor import Visitor

PANEL_APP = "panel_workout"


async def test_what_was_acknowledged_has_its_effect_on_the_next_replica(
    arena: Callable[..., Awaitable[Arena]],
) -> None:
    started = await arena(visitors=0, replicas=2, durability="sync", users_of=[PANEL_APP])
    victim, survivor = started.fleet.replicas
    visitor = Visitor(victim.port, app=PANEL_APP)
    await visitor.open()
    await visitor.click()
    await visitor.slide()

    victim.kill()
    visitor.port = survivor.port
    move = await visitor.come_back()
    visitor.close()

    assert move.seen.contradiction is None
    assert (move.seen.clicks, move.seen.slider) == (1, 1)


async def test_inputs_that_follow_each_other_are_all_acknowledged(
    arena: Callable[..., Awaitable[Arena]],
) -> None:
    started = await arena(visitors=0, replicas=1, durability="sync", users_of=[PANEL_APP])
    visitor = Visitor(started.fleet.replicas[0].port, app=PANEL_APP)
    await visitor.open()
    slider = visitor._ids["slider"]
    for value in range(1, 11):
        visitor.tab.set(slider, "value", value)
    for _ in range(10):
        await visitor.tab.reply()
    seen = await visitor.look()
    visitor.close()

    assert (seen.slider, seen.contradiction) == (10, None)
