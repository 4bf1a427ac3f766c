"""What a load test does: how many tabs, how fast they come, and what happens to the fleet meanwhile."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from devfleet.fleet import Fleet

Action = Callable[[Fleet], None]


@dataclass(frozen=True)
class Scenario:
    """`actions` are (share of the duration, what is done to the fleet then)."""

    name: str
    text: str
    users: int = 50
    rate: float = 10.0
    """Tabs opened per second."""
    seconds: float = 60.0
    think: float = 1.5
    app: str = "sliders"
    replicas: int = 3
    args: Sequence[str] = ()
    actions: Sequence[tuple[float, Action]] = field(default=())


def kill_one(fleet: Fleet) -> None:
    """A machine is gone: no goodbye, and the balancer finds out by itself."""
    fleet.replicas[0].kill()


def stop_one(fleet: Fleet) -> None:
    """A clean stop: its tabs come back to the others all at once."""
    fleet.balance_over(fleet.replicas[1:])
    fleet.replicas[0].stop(timeout=60)


def roll(fleet: Fleet) -> None:
    """Replace every replica, one after the other, each only when its successor is ready."""
    old = list(fleet.replicas)
    for replica in old:
        fleet.add_replica()
        fleet.replicas.remove(replica)
        fleet.balance_over(fleet.replicas)
        replica.stop(timeout=60)


SCENARIOS = {
    scenario.name: scenario
    for scenario in itertools.chain(
        [
            Scenario("steady", "So many tabs, each moving a slider now and then."),
            Scenario("ramp", "One more tab every second until the end.", users=120, rate=1, seconds=120),
            Scenario("flash", "Everybody at once.", users=150, rate=150, seconds=45),
            Scenario("herd", "A replica stops: all its tabs reconnect at the same moment.",
                     actions=[(0.4, stop_one)]),
            Scenario("crash", "A replica is killed: what was acknowledged long enough ago must survive.",
                     actions=[(0.4, kill_one)]),
            Scenario("deploy", "Every replica is replaced while people work.", seconds=120,
                     actions=[(0.2, roll)]),
            Scenario("streaming", "Dashboards that update twenty times a second and are rarely touched.",
                     users=30, think=8, app="streaming"),
        ]
    )
}  # fmt: skip
