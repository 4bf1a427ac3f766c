"""Threads that app code starts make models with ids of its session."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from bokeh.models import Div

from service.apps import threads
from service.apps.execution import Execution
from service.apps.imports import ImportSpace
from service.documents import ids
from service.documents.ids import IdSpace


@pytest.fixture(autouse=True)
def _installed() -> None:
    ids.install()
    threads.install()


def an_id() -> str:
    return str(Div().id)


def within(space: IdSpace, code: Callable[[], list[str]]) -> list[str]:
    return Execution(ImportSpace(None), space).call(code)


def on_threads() -> list[str]:
    """Ids made on a thread, on a thread of that thread, on a subclass of Thread, and on a pool."""
    found: list[str] = []

    class Worker(threading.Thread):
        def run(self) -> None:
            found.append(an_id())

    def work() -> None:
        found.append(an_id())
        join(threading.Thread(target=lambda: found.append(an_id())))

    join(threading.Thread(target=work))
    join(Worker())
    with ThreadPoolExecutor(2) as pool:
        found.extend(pool.map(lambda _: an_id(), range(4)))
    return [*found, an_id()]


def join(thread: threading.Thread) -> None:
    thread.start()
    thread.join()


def test_they_are_the_same_on_any_replica_and_change_nothing_for_the_rest() -> None:
    space = IdSpace("session")
    made = within(space, on_threads)

    assert made == within(IdSpace("session"), on_threads)
    assert len(set(made)) == len(made)
    assert all(each.startswith(space.prefix) for each in made)
    assert made[-1] == f"{space.prefix}1"
    assert [space.number(each) for each in made[:-1]] == [0] * 7


def test_once_the_app_is_built_no_other_run_makes_the_same_ones() -> None:
    made = []
    for _ in range(2):
        space = IdSpace("session")
        space.built()
        made.append(set(within(space, on_threads)[:-1]))
    assert made[0].isdisjoint(made[1])


def test_a_pool_that_sessions_share_makes_ids_of_each() -> None:
    one, other = IdSpace("one"), IdSpace("other")
    with ThreadPoolExecutor(1) as pool:
        made = [within(space, lambda: [pool.submit(an_id).result()])[0] for space in (one, other, one)]
        outside = pool.submit(an_id).result()

    assert [each.partition("-")[0] + "-" for each in made] == [one.prefix, other.prefix, one.prefix]
    assert not outside.startswith((one.prefix, other.prefix))


async def test_a_thread_that_is_awaited_counts_on() -> None:
    space = IdSpace("session")

    async def code() -> list[str]:
        return [an_id(), await asyncio.to_thread(an_id), an_id()]

    made = await Execution(ImportSpace(None), space).run(code)

    assert made == [f"{space.prefix}{n}" for n in (1, 2, 3)]


def test_a_thread_keeps_nothing_of_it() -> None:
    def code() -> list[str]:
        thread = threading.Thread(target=an_id)
        join(thread)
        assert "run" not in vars(thread)
        return []

    within(IdSpace("session"), code)


def test_threads_at_once_never_share_an_id() -> None:
    space = IdSpace("session")
    many = 200

    async def code() -> list[str]:
        work = [asyncio.to_thread(lambda: [an_id() for _ in range(many)]) for _ in range(4)]
        found = await asyncio.gather(*work)
        return [each for part in found for each in part]

    made = asyncio.run(Execution(ImportSpace(None), space).run(code))
    assert len(set(made)) == 4 * many


def test_threads_that_a_pool_starts_take_no_number() -> None:
    """How many it starts depends on how fast they are: the ids of the next thread must not."""

    def code(workers: int) -> list[str]:
        with ThreadPoolExecutor(workers) as pool:
            met = threading.Barrier(workers)
            made = list(pool.map(lambda _: (met.wait(30), an_id())[1], range(workers)))
        return sorted(made)

    assert within(IdSpace("session"), lambda: code(3)) == [
        f"{IdSpace('session').prefix}{n}t1" for n in (1, 2, 3)
    ]
