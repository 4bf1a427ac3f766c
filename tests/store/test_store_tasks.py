"""Tasks that one replica at a time runs: what :class:`store.contract.Store` promises of them."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from store.contract import LeaseState, TaskLease, TaskName
from store.redis_store import RedisStore

NAME = TaskName("/app", "nächtlich")

calls = itertools.count()


async def begin(store: RedisStore, replica: str, due: float, **options: Any) -> TaskLease:
    options = {
        "call": f"call {next(calls)}", "schedule": "10s", "next_due": due + 10,
        "known": 0.0, "since": 0.0, "lease": 30.0, **options,
    }  # fmt: skip
    return await store.begin_task(NAME, replica, due=due, **options)


async def test_the_time_can_be_asked_for(store: RedisStore, raw: Any) -> None:
    turn = await begin(store, "a", 0)

    assert turn.turn is LeaseState.DONE
    assert turn.now > 1.7e9
    assert await raw("KEYS", "*") == []


async def test_one_replica_runs_what_is_due(store: RedisStore) -> None:
    first = await begin(store, "a", 10)
    second = await begin(store, "b", 10)

    assert (first.turn, first.due) == (LeaseState.RUN, 10)
    assert (second.turn, second.due) == (LeaseState.HELD, 10)
    assert 29 < second.left <= 30
    assert await store.end_task(NAME, fence=first.fence)
    assert (await begin(store, "b", 10)).turn is LeaseState.DONE
    assert (await begin(store, "a", 10)).turn is LeaseState.DONE


async def test_a_repeated_call_begins_one_run(store: RedisStore) -> None:
    first = await begin(store, "a", 10, call="same")
    again = await begin(store, "a", 10, call="same")

    assert (again.turn, again.fence) == (LeaseState.RUN, first.fence)


async def test_the_next_run_has_a_higher_fencing_number(store: RedisStore) -> None:
    first = await begin(store, "a", 10)
    await store.end_task(NAME, fence=first.fence)
    second = await begin(store, "b", 20)

    assert second.turn is LeaseState.RUN
    assert second.fence > first.fence


async def test_a_run_that_died_is_run_again_with_a_higher_fencing_number(
    store: RedisStore, until: Callable[..., Awaitable[Any]]
) -> None:
    first = await begin(store, "a", 10, lease=0.2)

    async def takes() -> Any:
        turn = await begin(store, "b", 10, known=10)
        return turn if turn.turn is LeaseState.RUN else None

    second = await until(takes)

    assert second.fence > first.fence
    assert not await store.renew_task(NAME, "a", fence=first.fence, due=10, lease=30)
    assert not await store.end_task(NAME, fence=first.fence)
    assert await store.renew_task(NAME, "b", fence=second.fence, due=10, lease=30)


async def test_a_lease_that_is_renewed_stays(store: RedisStore, until: Callable[..., Awaitable[Any]]) -> None:
    first = await begin(store, "a", 10, lease=0.2)
    assert await store.renew_task(NAME, "a", fence=first.fence, due=10, lease=30)

    turn = await begin(store, "b", 20)

    assert turn.turn is LeaseState.HELD
    assert turn.left > 20


async def test_what_was_missed_is_run_once(store: RedisStore) -> None:
    first = await begin(store, "a", 10)
    await store.end_task(NAME, fence=first.fence)
    late = await begin(store, "b", 50, since=60)
    await store.end_task(NAME, fence=late.fence)

    assert late.turn is LeaseState.RUN
    assert (await begin(store, "a", 40)).turn is LeaseState.DONE
    assert (await begin(store, "a", 50)).turn is LeaseState.DONE


async def test_a_new_task_makes_up_for_nothing(store: RedisStore) -> None:
    assert (await begin(store, "a", 10, since=15)).turn is LeaseState.DONE
    assert (await begin(store, "b", 20, since=17)).turn is LeaseState.RUN


async def test_a_store_that_lost_its_data_runs_nothing_twice(store: RedisStore, raw: Any) -> None:
    first = await begin(store, "a", 10)
    await raw("FLUSHALL")

    assert (await begin(store, "b", 10, known=10)).turn is LeaseState.DONE
    assert await store.renew_task(NAME, "a", fence=first.fence, due=10, lease=30)
    assert (await begin(store, "b", 10, known=10)).turn is LeaseState.HELD
    assert await store.end_task(NAME, fence=first.fence)
    later = await begin(store, "b", 20, known=10)
    assert (later.turn, later.fence > first.fence) == (LeaseState.RUN, True)


async def test_tasks_are_listed(store: RedisStore) -> None:
    assert await store.tasks() == []
    turn = await begin(store, "a", 10)
    (running,) = await store.tasks()
    await store.end_task(NAME, fence=turn.fence, error="ValueError: no")
    (ended,) = await store.tasks()

    assert (running.name, running.schedule, running.owner, running.running) == (NAME, "10s", "a", True)
    assert (running.fence, running.next, running.ended, running.error) == (turn.fence, 20, 0, "")
    assert running.began == pytest.approx(turn.now, abs=1)
    assert (ended.running, ended.error) == (False, "ValueError: no")
    assert ended.ended >= ended.began
