"""The capacity model is arithmetic: checked by hand, and by what must grow with what."""

from __future__ import annotations

from dataclasses import replace

from loadtests.capacity import DOCUMENT, GIB, MIB, Costs, Plan, documented, need, per_replica, said, table

COSTS = Costs(
    replica_base=100 * MIB, replica_session=MIB / 4, cpu_open=0.03, cpu_move=0.002,
    redis_session=20_000, redis_ops_open=12, redis_ops_move=2, bytes_open=8_000, bytes_move=4_000,
)  # fmt: skip
PLAN = Plan(moves_per_second=0.1, minutes=10)


def test_memory_bounds_a_replica() -> None:
    assert per_replica(COSTS, replace(PLAN, memory_per_replica=200 * MIB, memory_share=1)) == 400


def test_cpu_bounds_a_replica() -> None:
    costs = replace(COSTS, cpu_move=0.0625, cpu_open=0)

    assert per_replica(costs, replace(PLAN, cpu_share=0.5)) == 80, "0.5 / (0.0625 * 0.1)"


def test_a_million() -> None:
    found = need(1_000_000, COSTS, PLAN)

    assert found.replicas * found.per_replica >= 1_000_000
    assert found.redis_gib == 1_000_000 * 2 * 20_000 / GIB
    assert found.shards >= found.redis_ops / (PLAN.redis_ops_per_shard * PLAN.redis_share)


def test_more_of_anything_never_takes_less() -> None:
    small, big = need(50_000, COSTS, PLAN), need(100_000, COSTS, PLAN)

    assert (small.replicas, small.shards, small.redis_ops) <= (big.replicas, big.shards, big.redis_ops)


def test_the_table_has_a_row_per_size() -> None:
    assert [line.split()[0] for line in table(COSTS, PLAN).splitlines()[1:]] == [
        "1,000", "10,000", "100,000", "1,000,000",
    ]  # fmt: skip


def test_the_documented_table_follows_from_the_documented_costs() -> None:
    assert said(documented(), Plan()) in DOCUMENT.read_text()
