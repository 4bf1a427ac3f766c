"""``@fleet.cache``: the real parts of two replicas over the embedded store, and no server at all."""

from __future__ import annotations

import asyncio
import enum
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from bokeh.document import Document
from harness.runs import app_of

from service import fleet
from service.apps.app import App
from service.apps.app_code import AppCode
from service.apps.contexts import current_app
from service.fleet import results as results_module
from service.fleet.caching import AppResults
from service.fleet.results import ReplicaResults
from service.fleet.store_thread import StoreThread
from service.metrics import FleetMeter
from store.connect import open_store
from store.errors import StoreFull, StoreUnavailable
from store.redis_store import RedisStore


def nothing(doc: Document) -> None:
    return


class Replica:
    def __init__(self, store: RedisStore, app: App | None = None) -> None:
        self.thread = StoreThread(store.twin)
        self.meter = FleetMeter()
        self.results = ReplicaResults(self.thread, self.meter)
        self.app = app or app_of(nothing)
        self.app.server_context.shares(None, None, AppResults.of(self.results, self.app))
        self._closed = False

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            await asyncio.to_thread(self.thread.close)

    def call(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """As code of its app would, on this thread."""
        token = current_app.set(self.app.server_context)
        try:
            return func(*args, **kwargs)
        finally:
            current_app.reset(token)

    async def on_thread(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return await asyncio.to_thread(self.call, func, *args, **kwargs)

    async def acall(self, func: Callable[..., Any], *args: Any) -> Any:
        current_app.set(self.app.server_context)  # of this task only
        return await func(*args)

    def count(self, function: str, result: str) -> float:
        labels = {"app": "/app", "function": function, "result": result}
        return self.meter.registry.get_sample_value("svc_cache_lookups_total", labels) or 0.0


@pytest.fixture
async def store() -> AsyncIterator[RedisStore]:
    store = open_store(None)
    await store.ping()  # which imports what is slow to import
    yield store
    await store.close()


@pytest.fixture
async def replicas(store: RedisStore) -> AsyncIterator[tuple[Replica, Replica]]:
    both = Replica(store), Replica(store)
    yield both
    for each in both:
        await each.close()


class Query:
    """A function that notes its calls, and waits for ``go_on`` if it is told to."""

    def __init__(self, *, held: bool = False) -> None:
        self.calls: list[Any] = []
        self.begun = threading.Event()
        self.go_on = threading.Event()
        if not held:
            self.go_on.set()

    def cached(self, **options: Any) -> Any:
        @fleet.cache(name="query", version="1", **options)
        def query(number: int = 0) -> Any:
            self.calls.append(number)
            self.begun.set()
            assert self.go_on.wait(60)
            return {"number": number, "values": np.arange(3)}

        return query

    async def has_begun(self) -> None:
        assert await asyncio.to_thread(self.begun.wait, 60)


async def test_computed_once_for_all(replicas: tuple[Replica, Replica]) -> None:
    query = Query(held=True)
    cached = query.cached()
    asking = [asyncio.create_task(each.on_thread(cached, 7)) for each in (*replicas, *replicas)]
    await query.has_begun()
    query.go_on.set()
    answers = await asyncio.gather(*asking)

    assert query.calls == [7]
    assert [each["number"] for each in answers] == [7] * 4
    assert len({id(each["values"]) for each in answers}) == 4
    assert sum(each.count("query", "miss") for each in replicas) == 1
    assert sum(each.count("query", "hit") for each in replicas) == 3


async def test_each_caller_may_change_what_he_got(replicas: tuple[Replica, Replica]) -> None:
    cached = Query().cached()
    for each in (*replicas, *replicas):
        found = await each.on_thread(cached)
        assert found["values"].tolist() == [0, 1, 2]
        found["values"][:] = -1


async def test_coroutine_functions(replicas: tuple[Replica, Replica]) -> None:
    calls = []
    go_on = asyncio.Event()

    @fleet.cache(version="1")
    async def query(number: int) -> int:
        calls.append(number)
        await go_on.wait()
        return number * 2

    asking = [asyncio.create_task(each.acall(query, 4)) for each in (*replicas, *replicas)]
    async with asyncio.timeout(60):
        while not calls:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    go_on.set()

    assert await asyncio.gather(*asking) == [8] * 4
    assert calls == [4]


async def test_who_is_called_off_while_he_computes_leaves_it_to_the_next(
    replicas: tuple[Replica, Replica],
) -> None:
    begun: asyncio.Queue[int] = asyncio.Queue()
    go_on = asyncio.Event()

    @fleet.cache(version="1")
    async def query() -> int:
        begun.put_nowait(1)
        await go_on.wait()
        return 1

    async with asyncio.timeout(60):
        first = asyncio.create_task(replicas[0].acall(query))
        await begun.get()
        others = [asyncio.create_task(each.acall(query)) for each in replicas]
        first.cancel()
        await begun.get()
        go_on.set()
        assert await asyncio.gather(*others) == [1, 1]
    assert begun.empty()


async def test_on_an_event_loop_nobody_waits_for_others(replicas: tuple[Replica, Replica]) -> None:
    here, there = replicas
    query = Query(held=True)
    cached = query.cached()
    elsewhere = [asyncio.create_task(each.on_thread(cached, 1)) for each in (here, there)]
    await query.has_begun()
    query.go_on.set()
    assert here.call(cached, 1)["number"] == 1  # it is the loop of this test
    await asyncio.gather(*elsewhere)
    before = len(query.calls)

    assert here.call(cached, 1)["number"] == 1
    assert len(query.calls) == before <= 2


async def test_on_an_event_loop_it_is_computed_and_kept(replicas: tuple[Replica, Replica]) -> None:
    query = Query()
    cached = query.cached()
    here, there = replicas

    assert here.call(cached, 3)["number"] == 3
    assert (await there.on_thread(cached, 3))["number"] == 3  # it may not be in the store yet
    assert there.call(cached, 3)["number"] == 3
    assert query.calls == [3]


async def test_what_fails_fails_for_all_who_wait_here_and_is_tried_again(
    replicas: tuple[Replica, Replica],
) -> None:
    here, there = replicas
    query = Query(held=True)
    failing = True

    @fleet.cache(name="failing", version="1")
    def fails() -> int:
        query.calls.append(1)
        query.begun.set()
        assert query.go_on.wait(60)
        if failing:
            raise ValueError("no data")
        return 1

    asking = [asyncio.create_task(each.on_thread(fails)) for each in (here, here, here, there)]
    await query.has_begun()
    query.go_on.set()
    answers = await asyncio.gather(*asking, return_exceptions=True)

    assert [str(each) for each in answers] == ["no data"] * 4
    assert {type(each) for each in answers} == {ValueError}
    assert len(query.calls) <= 4
    failing = False
    assert await here.on_thread(fails) == 1
    assert await there.on_thread(fails) == 1
    assert here.count("failing", "failed") >= 1


async def test_the_lease_of_one_that_is_gone_passes_on(
    replicas: tuple[Replica, Replica], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results_module, "RESULT_LEASE_SECONDS", 0.3)
    monkeypatch.setattr(results_module, "RESULT_RENEW_SECONDS", 0.05)
    gone, there = replicas
    query = Query(held=True)
    cached = query.cached()
    lost = asyncio.create_task(gone.on_thread(cached))
    await query.has_begun()
    await gone.close()  # renews no more, as one that was killed
    query.begun.clear()
    asking = asyncio.create_task(there.on_thread(cached))
    await query.has_begun()
    query.go_on.set()

    assert (await asking)["number"] == (await lost)["number"] == 0
    assert len(query.calls) == 2


async def test_a_long_computation_keeps_its_lease(
    replicas: tuple[Replica, Replica], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results_module, "RESULT_LEASE_SECONDS", 0.5)
    monkeypatch.setattr(results_module, "RESULT_RENEW_SECONDS", 0.02)
    query = Query(held=True)
    cached = query.cached()
    asking = [asyncio.create_task(each.on_thread(cached)) for each in replicas]
    await query.has_begun()
    await asyncio.sleep(1)
    query.go_on.set()
    await asyncio.gather(*asking)

    assert len(query.calls) == 1


async def test_forgetting(replicas: tuple[Replica, Replica]) -> None:
    here, there = replicas
    query = Query()
    cached = query.cached()
    for number in (1, 2):
        await here.on_thread(cached, number)
    await there.on_thread(cached.invalidate, 1)
    for number in (1, 2):
        await here.on_thread(cached, number=number)
    assert query.calls == [1, 2, 1]
    await here.acall(cached.ainvalidate)
    for number in (1, 2):
        await there.on_thread(cached, number)

    assert query.calls == [1, 2, 1, 1, 2]
    with pytest.raises(RuntimeError, match=r"await ainvalidate"):
        here.call(cached.invalidate)


async def test_what_is_forgotten_while_it_is_computed_is_not_kept(replicas: tuple[Replica, Replica]) -> None:
    here, there = replicas
    query = Query(held=True)
    cached = query.cached()
    old = asyncio.create_task(here.on_thread(cached))
    await query.has_begun()
    await here.on_thread(cached.invalidate)
    query.begun.clear()
    new = asyncio.create_task(here.on_thread(cached))
    await query.has_begun()
    query.go_on.set()
    await asyncio.gather(old, new)

    assert len(query.calls) == 2
    assert (await there.on_thread(cached))["number"] == 0
    assert len(query.calls) == 2


async def test_results_have_a_time_to_live(replicas: tuple[Replica, Replica]) -> None:
    query = Query()
    cached = query.cached(ttl=timedelta(milliseconds=50))
    await replicas[0].on_thread(cached)
    deadline = time.monotonic() + 60
    while len(query.calls) < 2:
        assert time.monotonic() < deadline
        await replicas[0].on_thread(cached)


async def test_a_result_that_is_too_large_is_not_kept(
    replicas: tuple[Replica, Replica], caplog: pytest.LogCaptureFixture
) -> None:
    calls = []

    @fleet.cache(max_bytes=1000)
    def large() -> bytes:
        calls.append(1)
        return b"x" * 2000

    for each in replicas:
        assert len(await each.on_thread(large)) == 2000
    assert len(calls) == 2
    assert any("has 20" in each.message and "more than the 1000" in each.message for each in caplog.records)


async def test_the_code_is_part_of_the_key(replicas: tuple[Replica, Replica]) -> None:
    here, _ = replicas

    def made(body: str, **options: Any) -> Any:
        names: dict[str, Any] = {}
        exec(f"def query(x): return {body}", names)
        return fleet.cache(name="query", **options)(names["query"])

    assert await here.on_thread(made("x + 1"), 1) == 2
    assert await here.on_thread(made("x + 2"), 1) == 3
    assert await here.on_thread(made("x + 3", version="a"), 1) == 4
    assert await here.on_thread(made("x + 4", version="a"), 1) == 4
    here.app.replace(here.app.application)
    assert await here.on_thread(made("x + 4", version="a"), 1) == 4


async def test_a_helper_of_the_app_is_part_of_its_code(store: RedisStore, tmp_path: Path) -> None:
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "main.py").write_text("")
    query = Query()
    cached = fleet.cache(name="query", ignore="query")(asked_of)
    replicas = []
    for text in ("x = 1", "x = 1", "x = 2"):
        (folder / "helper.py").write_text(text)
        replicas.append(Replica(store, app_of(str(folder))))
        await replicas[-1].on_thread(cached, query)

    assert len(query.calls) == 2
    for each in replicas:
        await each.close()


async def test_files_of_the_app_that_cannot_be_read_do_no_harm(store: RedisStore, tmp_path: Path) -> None:
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "main.py").write_text("")
    replica = Replica(store, app_of(str(folder)))
    before = AppCode(replica.app)()
    (folder / ".#main.py").symlink_to("somebody@somewhere.1234")  # as Emacs has it while main.py is changed
    assert AppCode(replica.app)() == before
    (folder / "gone.py").symlink_to("nowhere.py")
    query = Query()

    assert (await replica.on_thread(query.cached(), 1))["number"] == 1
    assert await replica.on_thread(fleet.cache(name="asked", ignore="query")(asked_of), query) == 1
    await replica.close()


def asked_of(query: Query) -> int:
    query.calls.append(1)
    return 1


async def test_what_a_function_has_of_the_one_around_it_is_part_of_the_key(
    replicas: tuple[Replica, Replica],
) -> None:
    def times(factor: int) -> Any:
        @fleet.cache(name="times")
        def product(x: int) -> int:
            return x * factor

        return product

    assert [await replicas[0].on_thread(times(factor), 2) for factor in (3, 4)] == [6, 8]
    thing = object()
    with pytest.raises(TypeError, match="it uses 'thing' of the function around it"):

        @fleet.cache
        def uses() -> str:
            return str(thing)


async def test_arguments_that_say_nothing(replicas: tuple[Replica, Replica]) -> None:
    @fleet.cache(name="load")
    def load(table: str, connection: Any) -> str:
        return table

    with pytest.raises(TypeError, match=r"the argument 'connection' .*ignore='connection'"):
        await replicas[0].on_thread(load, "a", object())
    ignoring = fleet.cache(ignore="connection")(load.__wrapped__)
    assert await replicas[0].on_thread(ignoring, "a", object()) == "a"
    with pytest.raises(ValueError, match="has no argument nothing"):
        fleet.cache(ignore=["nothing"])(load.__wrapped__)


async def test_results_that_cannot_be_stored_are_refused(replicas: tuple[Replica, Replica]) -> None:
    @fleet.cache
    def made() -> Any:
        return threading.Lock()

    with pytest.raises(TypeError, match=r"the result of .*made cannot be shared: _thread.lock"):
        await replicas[0].on_thread(made)


async def test_frames_are_arguments_and_results(replicas: tuple[Replica, Replica]) -> None:
    calls = []

    @fleet.cache
    def doubled(frame: pd.DataFrame) -> pd.DataFrame:
        calls.append(1)
        return frame * 2

    frame = pd.DataFrame({"a": [1, 2], "b": [1.5, 2.5]}, index=pd.Index(["x", "y"], name="key"))
    for each in replicas:
        pd.testing.assert_frame_equal(await each.on_thread(doubled, frame.copy()), frame * 2)
    assert len(calls) == 1


async def test_while_the_store_is_away_each_replica_computes(
    replicas: tuple[Replica, Replica], store: RedisStore, caplog: pytest.LogCaptureFixture
) -> None:
    here = replicas[0]
    query = Query()
    cached = query.cached()
    await here.on_thread(cached, 1)

    async def away(*_: Any, **__: Any) -> Any:
        raise StoreUnavailable("away")

    here.thread._store.find_result = away  # type: ignore[union-attr, method-assign]
    assert (await here.on_thread(cached, 1))["number"] == 1
    assert (await here.on_thread(cached, 2))["number"] == 2

    assert query.calls == [1, 2]
    assert any("each replica computes for itself" in each.message for each in caplog.records)


async def test_nobody_waits_for_a_store_that_did_not_answer(
    replicas: tuple[Replica, Replica], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results_module, "SILENT_SECONDS", 1000.0)
    here = replicas[0]
    query = Query()
    cached = query.cached()
    await here.on_thread(cached, 0)
    store: Any = here.thread._store
    find, asked = store.find_result, []

    async def hangs(name: Any, key: str, **_: Any) -> Any:
        asked.append(key)
        await asyncio.sleep(2)
        raise StoreUnavailable("away")

    store.find_result = hangs
    for number in (0, 1, 2):
        assert here.call(cached, number)["number"] == number  # on the loop of this test, which waits once
        assert (await here.on_thread(cached, number))["number"] == number
    assert len(asked) == 1
    assert 0 not in query.calls[1:]  # it has a copy of that

    store.find_result = find
    here.results._silent_until = 0.0  # time goes by
    await here.on_thread(cached, 3)
    assert (await replicas[1].on_thread(cached, 3))["number"] == 3
    assert query.calls.count(3) == 1


async def test_it_does_not_wait_for_itself(replicas: tuple[Replica, Replica]) -> None:
    @fleet.cache(name="self", version="1")
    def count(number: int) -> int:
        return number if number < 2 else count(number - 1) + count(number)

    with pytest.raises(RuntimeError, match="calls itself with the same arguments"):
        await replicas[0].on_thread(count, 3)


async def test_what_cannot_be_read_back_is_refused(replicas: tuple[Replica, Replica]) -> None:
    class Kind(enum.Enum):
        HERE = 1

    Kind.__module__ = "bokeh_app_0123"

    @fleet.cache(version="1")
    def kind(of: Kind) -> Any:
        return of

    with pytest.raises(TypeError, match="cannot be shared"):
        await replicas[0].on_thread(kind, Kind.HERE)


async def test_a_store_without_memory_keeps_nobody_waiting(
    replicas: tuple[Replica, Replica], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results_module, "RESULT_LEASE_SECONDS", 1000.0)
    here = replicas[0]
    query = Query()
    cached = query.cached()
    await here.on_thread(cached, 1)

    async def full(*_: Any, **__: Any) -> Any:
        raise StoreFull("no memory left")

    here.thread._store.keep_result = full  # type: ignore[union-attr, method-assign]
    for each in replicas:
        assert (await each.on_thread(cached, 2))["number"] == 2
    assert query.calls == [1, 2, 2]


def test_what_makes_no_sense_is_refused() -> None:
    def generates() -> Iterator[int]:
        yield 1

    for wrong, error in (
        (lambda: fleet.cache(60), TypeError),
        (lambda: fleet.cache(generates), TypeError),
        (lambda: fleet.cache(len), TypeError),
        (lambda: fleet.cache(ttl=0)(print), ValueError),
        (lambda: fleet.cache(max_bytes=0)(nothing), ValueError),
        (lambda: fleet.cache(name="")(nothing), ValueError),
        (lambda: fleet.cache(version="1")(partial(nothing)), ValueError),
    ):
        with pytest.raises(error):
            wrong()


def test_outside_of_a_server_it_caches_within_the_process() -> None:
    query = Query()
    cached = query.cached()
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(cached, [1, 2] * 20))

    assert sorted(query.calls) == [1, 2]
    assert [each["number"] for each in answers] == [1, 2] * 20
    assert cached.__name__ == "query"
    cached.invalidate()
    assert cached(1)["number"] == 1
    assert sorted(query.calls) == [1, 1, 2]


async def test_outside_of_a_server_in_coroutines() -> None:
    calls = []

    @fleet.cache
    async def query(number: int) -> int:
        calls.append(number)
        return number

    assert await asyncio.gather(*(query(5) for _ in range(10))) == [5] * 10
    assert calls == [5]
