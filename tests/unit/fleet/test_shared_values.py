"""What app code gets of ``fleet.shared``: the real parts over the embedded store, without sockets."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from bokeh.document import Document
from bokeh.models import Div
from harness.runs import Run, app_of

from service import fleet, session_state
from service.apps.app import App
from service.fleet.local_copies import SharedValues
from service.fleet.store_thread import StoreThread
from service.metrics import FleetMeter
from store.connect import open_store
from store.redis_store import RedisStore


class Replica:
    """One replica's share of it, and an app that uses it."""

    def __init__(self, store: RedisStore) -> None:
        self.thread = StoreThread(store.twin)
        self.meter = FleetMeter()
        self.values = SharedValues(self.thread, interval=0.01, meter=self.meter)

    def app(self, function: Callable[..., None]) -> App:
        app = app_of(function)
        app.server_context.shares(self.values)
        return app


@pytest.fixture
async def store() -> AsyncIterator[RedisStore]:
    store = open_store(None)
    yield store
    await store.close()


@pytest.fixture
async def replicas(store: RedisStore) -> AsyncIterator[tuple[Replica, Replica]]:
    both = Replica(store), Replica(store)
    yield both
    for each in both:
        await asyncio.to_thread(each.thread.close)


@pytest.fixture
def replica(replicas: tuple[Replica, Replica]) -> Replica:
    return replicas[0]


class Board:
    """An app that shows what it is told of."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Any]] = []
        self.seen = threading.Event()

    def __call__(self, doc: Document) -> None:
        doc.add_root(Div(name="shown", text=str(sorted(fleet.shared("board").items()))))
        fleet.shared("board").on_change(self.changed)

    def changed(self, key: str, value: Any) -> None:
        self.told.append((key, value))
        self.seen.set()

    async def is_told(self, *changes: tuple[str, Any]) -> None:
        async with asyncio.timeout(30):
            while self.told != list(changes):
                await asyncio.to_thread(self.seen.wait, 0.05)
                self.seen.clear()


def nothing(doc: Document) -> None:
    return


def following_ends(replica: Replica) -> bool:
    async def wait(store: Any) -> bool:
        if replica.values._following is not None:
            await asyncio.wait([replica.values._following], timeout=30)
        return replica.values._following is None

    return replica.thread.wait(wait)


async def on_thread(run: Run, func: Callable[[], Any]) -> Any:
    """``func`` as code of the session's app on a thread of its own, where it may wait."""

    async def go() -> Any:
        return await asyncio.to_thread(func)

    return await run.do(go)


async def test_values_are_read_as_they_were_written(replica: Replica) -> None:
    run = await Run.begin(replica.app(nothing))
    values = {"a": [1, {"b": (None, True)}], "ü": b"\x00", "f": -0.5, "big": 2**63}

    async def write() -> None:
        for key, value in values.items():
            await fleet.shared("board").aput(key, value)

    await run.do(write)

    board = await run.do(lambda: fleet.shared("board"))
    assert dict(board) == {**values, "a": [1, {"b": [None, True]}]}
    assert (len(board), "a" in board, "c" in board, 1 in board) == (4, True, False, False)
    board["a"].append("a copy")
    assert len(board["a"]) == 2
    with pytest.raises(KeyError):
        board["c"]
    await run.end()


async def test_apps_share_nothing_with_each_other(replica: Replica) -> None:
    run = await Run.begin(replica.app(nothing))
    await run.do(lambda: fleet.shared("board").aput("a", 1))

    other = App("/other", run.app.application, run.app.imports)
    other.server_context.shares(replica.values)
    elsewhere = await Run.begin(other)

    assert await elsewhere.do(lambda: dict(fleet.shared("board"))) == {}
    for each in (run, elsewhere):
        await each.end()


async def test_on_an_event_loop_writing_wants_to_be_awaited(replica: Replica) -> None:
    run = await Run.begin(replica.app(nothing))
    board = await run.do(lambda: fleet.shared("board"))

    for write in (
        lambda: board.put("a", 1),
        lambda: board.__setitem__("a", 1),
        lambda: board.update("a", str),
        lambda: board.delete("a"),
        lambda: board.__delitem__("a"),
    ):
        with pytest.raises(RuntimeError, match=r"await a(put|update|delete)\("):
            await run.do(write)
    assert dict(board) == {}
    await run.end()


async def test_threads_may_write(replica: Replica) -> None:
    run = await Run.begin(replica.app(nothing))

    def write() -> Any:
        board = fleet.shared("board")
        board["a"] = 1
        board["b"] = 2
        del board["b"]
        with pytest.raises(KeyError):
            del board["b"]
        first = board.version("a")
        assert board.update("a", lambda value: value + 1) == 2
        assert board.update("c", lambda value: [value], default="none") == ["none"]
        return dict(board), board.version("a") > first > board.version("b")

    assert await on_thread(run, write) == ({"a": 2, "c": ["none"]}, True)
    await run.end()


async def test_no_increment_is_lost(replicas: tuple[Replica, Replica]) -> None:
    runs = [await Run.begin(each.app(nothing), name=f"{number}") for number in range(3) for each in replicas]

    def add() -> None:
        for _ in range(20):
            fleet.shared("board").update("n", lambda n: n + 1, default=0)

    async def add_too() -> None:
        for _ in range(20):
            await fleet.shared("board").aupdate("n", lambda n: n + 1, default=0)

    await asyncio.gather(
        *(on_thread(each, add) for each in runs[:4]), *(each.do(add_too) for each in runs[4:])
    )

    last = await runs[0].do(lambda: fleet.shared("board").aupdate("n", lambda n: n))
    assert last == 120
    board = await runs[0].do(lambda: fleet.shared("board"))
    await board.load()
    for each in runs:
        await each.end()
    counted = [each.meter.shared("/app") for each in replicas]
    written = sum(each.writes - each.conflicts for each in counted)
    assert written == last + 1  # what has not found a conflict was written
    assert all(each.reads > 0 for each in counted)
    assert replicas[0].values.readings()[0].values["/app",] > 0


async def test_a_change_within_a_change_of_the_same_value_is_refused(replica: Replica) -> None:
    run = await Run.begin(replica.app(nothing))

    def write() -> Any:
        board = fleet.shared("board")
        with pytest.raises(RuntimeError, match="another time"):
            board.update("a", lambda value: board.update("a", lambda value: 1))
        return board.update("a", lambda value: board.update("b", lambda value: 1))

    assert await on_thread(run, write) == 1
    await run.end()


async def test_values_that_cannot_be_shared_are_refused(replica: Replica) -> None:
    run = await Run.begin(replica.app(nothing))
    board = await run.do(lambda: fleet.shared("board", max_bytes=300))

    for value in (object(), {1, 2}, 2**64):
        with pytest.raises(TypeError, match="this value cannot be shared"):
            await board.aput("a", value)
    with pytest.raises(fleet.FleetFull, match=r"'board'.*max_bytes=300"):
        await board.aput("a", "x" * 300)
    for key, error in (("", ValueError), ("x" * 201, ValueError), (1, TypeError)):
        with pytest.raises(error, match="a key"):
            await board.aput(key, 1)
    with pytest.raises(ValueError, match="ttl"):
        await board.aput("a", 1, ttl=0)
    assert dict(board) == {}
    await run.end()


async def test_what_makes_no_sense_is_refused(replica: Replica) -> None:
    run = await Run.begin(replica.app(nothing))

    with pytest.raises(RuntimeError, match="belongs to an app that svc serve runs"):
        fleet.shared("board")
    with pytest.raises(ValueError, match="name of a shared dict"):
        await run.do(lambda: fleet.shared(""))
    with pytest.raises(ValueError, match="max_bytes"):
        await run.do(lambda: fleet.shared("board", max_bytes=2**40))
    board = await run.do(lambda: fleet.shared("board"))
    with pytest.raises(RuntimeError, match="belongs to a session"):
        board.on_change(lambda key, value: None)
    await run.end()


async def test_a_value_goes_when_its_time_is_over(replica: Replica) -> None:
    board = Board()
    run = await Run.begin(replica.app(board))

    await run.do(lambda: fleet.shared("board").aput("a", 1, ttl=0.2))
    await board.is_told(("a", 1), ("a", None))

    assert await run.do(lambda: dict(fleet.shared("board"))) == {}
    await run.end()


async def test_nothing_begins_before_something_is_shared(replica: Replica) -> None:
    run = await Run.begin(replica.app(nothing))
    await run.do(lambda: fleet.shared("board"))
    begun_before = replica.thread.begun
    await run.do(lambda: len(fleet.shared("board")))

    assert (begun_before, replica.thread.begun) == (False, True)
    await run.end()


async def test_nothing_goes_on_after_nobody_uses_it(replica: Replica) -> None:
    run = await Run.begin(replica.app(Board()))
    await run.end()
    del run

    following = replica.values._following
    assert following is None or await asyncio.to_thread(following_ends, replica)


# -- hearing of changes --------------------------------------------------------------------------------


async def test_sessions_of_all_replicas_are_told_each_change_once(replicas: tuple[Replica, Replica]) -> None:
    boards = [Board(), Board()]
    runs = [await Run.begin(each.app(board), name="x") for each, board in zip(replicas, boards, strict=True)]

    await runs[0].do(lambda: fleet.shared("board").aput("a", [1]))
    for board in boards:
        await board.is_told(("a", [1]))
    await runs[1].do(lambda: fleet.shared("board").adelete("a"))
    for board in boards:
        await board.is_told(("a", [1]), ("a", None))

    for run in runs:
        await run.end()


async def test_a_session_is_not_told_what_it_saw_at_first(replica: Replica) -> None:
    first = await Run.begin(replica.app(nothing))
    await first.do(lambda: fleet.shared("board").aput("a", 1))
    board = Board()
    run = await Run.begin(replica.app(board), name="later")

    await run.do(lambda: fleet.shared("board").aput("b", 2))
    await board.is_told(("b", 2))

    assert run["shown"].text == "[('a', 1)]"
    for each in (first, run):
        await each.end()


async def test_a_session_that_moves_is_told_what_it_missed(replicas: tuple[Replica, Replica]) -> None:
    board = Board()
    here, there = replicas
    run = await Run.begin(here.app(board))
    writer = await Run.begin(there.app(nothing), name="writer")
    for key in ("kept", "removed"):
        await run.do(lambda key=key: fleet.shared("board").aput(key, 1))
    await board.is_told(("kept", 1), ("removed", 1))
    await run.pull()
    run.take()
    await run.end()

    async def go_on() -> None:
        await fleet.shared("board").adelete("removed")
        await fleet.shared("board").aput("new", 2)

    await writer.do(go_on)
    told, board.told = board.told, []
    restored = await run.restored(there.app(board))
    await board.is_told(("new", 2), ("removed", None))

    assert told == [("kept", 1), ("removed", 1)]
    assert restored.state == {}
    for each in (restored, writer):
        await each.end()


async def test_callbacks_may_be_coroutines_and_may_fail(
    replica: Replica, caplog: pytest.LogCaptureFixture
) -> None:
    board = Board()

    def app(doc: Document) -> None:
        async def changed(key: str, value: Any) -> None:
            await asyncio.sleep(0)
            board.changed(key, value)
            raise ValueError("a coroutine fails")

        def fails(key: str, value: Any) -> None:
            raise ValueError("a function fails")

        shared = fleet.shared("board")
        shared.on_change(fails)
        shared.on_change(changed)
        shared.on_change(changed)
        shared.on_change(fails)
        shared.remove_on_change(fails)
        shared.on_change(fails)

    run = await Run.begin(replica.app(app))
    await run.do(lambda: fleet.shared("board").aput("a", 1))
    await board.is_told(("a", 1))
    await run.do(lambda: fleet.shared("board").aput("a", 2))
    await board.is_told(("a", 1), ("a", 2))
    await run.end()

    failures = [str(each.exc_info[1]) for each in caplog.records if each.exc_info and each.exc_info[1]]
    assert sorted(failures) == ["a coroutine fails"] * 2 + ["a function fails"] * 2


async def test_what_is_kept_for_a_session_is_none_of_its_state(replica: Replica) -> None:
    run = await Run.begin(replica.app(Board()))

    state = await run.do(lambda: session_state(run.session.document))

    assert (list(state), len(state), repr(state)) == ([], 0, "SessionState({})")
    await run.end()
