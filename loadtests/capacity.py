"""`make capacity`: measures what one session costs here, and works out what many would take.

First it opens tabs on one replica with a real Redis and reads off memory, CPU, Redis commands and bytes.
Then a table: replicas, Redis shards and network for a number of sessions, by the formulas of
docs/operate/capacity.md. `--cost NAME=VALUE` puts a figure of your own in the place of a measured one.
"""

from __future__ import annotations

import argparse
import math
import random
import re
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from pathlib import Path

import redis
from devfleet.redis_server import RedisServer
from devfleet.replica import Replica

from loadtests.tab import Tab
from loadtests.watch import read_metrics

ROOT = Path(__file__).parent.parent
MIB = 1024 * 1024
GIB = 1024 * MIB
DOCUMENT = ROOT / "docs" / "operate" / "capacity.md"
PUBLISHED = re.compile(r"(<!-- measured -->\n+```\n)(.*?)(```\n+<!-- end -->)", re.DOTALL)


@dataclass(frozen=True)
class Costs:
    """Of one session of one app on one machine; seconds, bytes."""

    replica_base: float
    """Memory of a replica without sessions."""
    replica_session: float
    """Memory per live session."""
    cpu_open: float
    """CPU to open a session: page, socket, pull, app code."""
    cpu_move: float
    """CPU to answer one move of a slider."""
    redis_session: float
    """Redis memory per session, journal included."""
    redis_ops_open: float
    redis_ops_move: float
    bytes_open: float
    """Sent to the browser when a session opens, BokehJS itself not counted."""
    bytes_move: float
    """Both directions, per move."""


@dataclass(frozen=True)
class Plan:
    """How people use it, and how full things may be."""

    moves_per_second: float = 0.05
    """Per open session: one move in twenty seconds, averaged over those who only look."""
    minutes: float = 15.0
    """How long a session lasts."""
    cpu_share: float = 0.6
    memory_per_replica: float = GIB
    memory_share: float = 0.8
    redis_ops_per_shard: float = 60_000
    """What one Redis core does comfortably with scripts and pipelines."""
    redis_memory_per_shard: float = 8 * GIB
    redis_share: float = 0.6
    retained: float = 2.0
    """Records in Redis per live session: the live ones and those that are kept for a return."""


@dataclass(frozen=True)
class Need:
    sessions: int
    per_replica: int
    replicas: int
    shards: int
    redis_gib: float
    redis_ops: float
    gbit: float


def per_replica(costs: Costs, plan: Plan) -> int:
    """Sessions one replica (one core) holds, by whatever runs out first."""
    busy = costs.cpu_move * plan.moves_per_second + costs.cpu_open / (60 * plan.minutes)
    by_cpu = plan.cpu_share / busy
    by_memory = (plan.memory_per_replica * plan.memory_share - costs.replica_base) / costs.replica_session
    return max(1, int(min(by_cpu, by_memory)))


def need(sessions: int, costs: Costs, plan: Plan) -> Need:
    opens = sessions / (60 * plan.minutes)
    moves = sessions * plan.moves_per_second
    each = per_replica(costs, plan)
    replicas = math.ceil(sessions / each)
    ops = opens * costs.redis_ops_open + moves * costs.redis_ops_move + replicas * HEARTBEAT_OPS
    memory = sessions * plan.retained * costs.redis_session
    shards = max(
        1,
        math.ceil(ops / (plan.redis_ops_per_shard * plan.redis_share)),
        math.ceil(memory / (plan.redis_memory_per_shard * plan.redis_share)),
    )
    gbit = 8 * (opens * costs.bytes_open + moves * costs.bytes_move) / 1e9
    return Need(sessions, each, replicas, shards, memory / GIB, ops, gbit)


HEARTBEAT_OPS = 15.0
"""Commands per second of one replica that does nothing: about three beats of five commands."""


def table(costs: Costs, plan: Plan, sizes: Sequence[int] = (1_000, 10_000, 100_000, 1_000_000)) -> str:
    lines = [
        f"{'sessions':>10}{'replicas':>10}{'shards':>8}{'redis GiB':>11}{'redis ops/s':>13}{'Gbit/s':>9}"
    ]
    for size in sizes:
        n = need(size, costs, plan)
        lines.append(
            f"{n.sessions:>10,}{n.replicas:>10,}{n.shards:>8}{n.redis_gib:>11.1f}{n.redis_ops:>13,.0f}{n.gbit:>9.2f}"
        )
    return "\n".join(lines)


# -- measuring -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reading:
    memory: float
    cpu: float
    redis_memory: float
    redis_ops: float
    redis_idle_ops: float
    sent: float
    at: float


def measure(sessions: int = 100, moves: int = 10) -> Costs:
    """Open `sessions` tabs on the sliders example and move `moves` sliders in each."""
    with RedisServer() as store, redis.Redis.from_url(store.url) as client:
        app = ROOT / "examples/sliders.py"
        with Replica([app], redis_url=store.url, args=["--unused-session-lifetime", "600000"]) as server:
            open_tabs(server, 3)[0].close()  # what is loaded once is no session's cost
            time.sleep(2)
            idle = idle_ops(client)
            before = read(server, client, idle)
            tabs = open_tabs(server, sessions)
            time.sleep(2)
            opened = read(server, client, idle)
            with ThreadPoolExecutor(8) as pool:
                list(pool.map(lambda tab: fiddle(tab, moves), tabs))
            time.sleep(2)
            moved = read(server, client, idle)
            for tab in tabs:
                tab.close()
    return costs_of(before, opened, moved, sessions, moves)


def open_tabs(server: Replica, count: int) -> list[Tab]:
    tabs = [Tab(server.app_url(), lambda kind, seconds, error: None) for _ in range(count)]
    for tab in tabs:
        tab.open()
    return tabs


def fiddle(tab: Tab, moves: int) -> None:
    for _ in range(moves):
        tab.move("offset", round(random.uniform(-5, 5), 1))


def idle_ops(client: redis.Redis) -> float:
    """Commands per second while nobody does anything."""
    first = client.info()["total_commands_processed"]
    time.sleep(3)
    return float(client.info()["total_commands_processed"] - first) / 3


def read(server: Replica, client: redis.Redis, idle: float) -> Reading:
    found, info = read_metrics(server, 10), client.info()
    assert found is not None
    return Reading(
        memory=found["process_resident_memory_bytes"],
        cpu=found["process_cpu_seconds_total"],
        redis_memory=info["used_memory"],
        redis_ops=info["total_commands_processed"],
        redis_idle_ops=idle,
        sent=found["svc_message_bytes_total"],
        at=time.monotonic(),
    )


def costs_of(before: Reading, opened: Reading, moved: Reading, sessions: int, moves: int) -> Costs:
    total = sessions * moves
    return Costs(
        replica_base=before.memory,
        replica_session=(opened.memory - before.memory) / sessions,
        cpu_open=(opened.cpu - before.cpu) / sessions,
        cpu_move=(moved.cpu - opened.cpu) / total,
        redis_session=(moved.redis_memory - before.redis_memory) / sessions,
        redis_ops_open=max(0.0, ops_between(before, opened)) / sessions,
        redis_ops_move=max(0.0, ops_between(opened, moved)) / total,
        bytes_open=(opened.sent - before.sent) / sessions,
        bytes_move=(moved.sent - opened.sent) / total,
    )


def ops_between(one: Reading, other: Reading) -> float:
    return other.redis_ops - one.redis_ops - one.redis_idle_ops * (other.at - one.at)


def said(costs: Costs, plan: Plan) -> str:
    """The costs, and what they come to."""
    lines = [f"  {field.name:16} {getattr(costs, field.name):>14,.5g}" for field in fields(Costs)]
    return "\n".join(
        [
            "one session of examples/sliders.py costs",
            *lines,
            f"\none replica holds {per_replica(costs, plan)} of them (see Plan in loadtests/capacity.py)\n",
            table(costs, plan),
        ]
    )


def publish(text: str) -> None:
    """Put `text` in the place of what the documentation says now."""
    found = PUBLISHED.sub(lambda found: f"{found[1]}{text}\n{found[3]}", DOCUMENT.read_text())
    DOCUMENT.write_text(found)


def documented() -> Costs:
    """What the documentation says that a session costs (rounded as there)."""
    found = PUBLISHED.search(DOCUMENT.read_text())
    assert found is not None
    rows = (line.split() for line in found[2].splitlines())
    named = {row[0]: float(row[1].replace(",", "")) for row in rows if len(row) == 2}
    return Costs(**{field.name: named[field.name] for field in fields(Costs)})


def main() -> int:
    parser = argparse.ArgumentParser(prog="make capacity ARGS='...'", description=__doc__)
    parser.add_argument("--sessions", type=int, default=100, help="tabs to measure with")
    parser.add_argument("--documented", action="store_true", help="do not measure: the costs of the document")
    parser.add_argument("--publish", action="store_true", help=f"write it into {DOCUMENT.relative_to(ROOT)}")
    parser.add_argument("--cost", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--plan", action="append", default=[], metavar="NAME=VALUE")
    given = parser.parse_args()
    measured = documented() if given.documented else rounded(measure(given.sessions))
    text = said(replace(measured, **parsed(given.cost)), replace(Plan(), **parsed(given.plan)))
    print(text)
    if given.publish:
        publish(text)
    return 0


def rounded(costs: Costs) -> Costs:
    """As they are shown, so that the table follows from what is shown."""
    return Costs(**{field.name: float(f"{getattr(costs, field.name):.5g}") for field in fields(Costs)})


def parsed(pairs: Sequence[str]) -> Mapping[str, float]:
    return {name: float(value) for name, _, value in (pair.partition("=") for pair in pairs)}


if __name__ == "__main__":
    sys.exit(main())
