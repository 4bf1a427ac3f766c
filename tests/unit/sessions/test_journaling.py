"""Journals on their way to the store: the embedded one, with the faults it may have."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from bokeh.document import Document, without_document_lock
from bokeh.models import Slider
from harness.runs import Run, app_of

from service.errors import SessionMoved
from service.metrics import Metrics
from service.sessions import journaling
from service.sessions.journaling import JournalWriter
from service.sessions.life import Reason
from service.sessions.session import Maintenance, Session
from store.connect import open_store
from store.contract import PageRequest, SessionKey, Written
from store.errors import StoreUnavailable
from store.redis_store import RedisStore


def one_slider(doc: Document) -> None:
    doc.add_root(Slider(start=0, end=99, value=0, name="slider"))


class Stage:
    """A writer, its store, and sessions that it owns."""

    def __init__(self, store: RedisStore, *, sync: bool = False, max_bytes: int = 2**20) -> None:
        self.store = store
        self.lost: list[Session] = []
        self.writer = JournalWriter(
            store, "a", interval=0.02, max_bytes=max_bytes, sync=sync, lost=self._lost, metrics=Metrics()
        )

    def _lost(self, session: Session) -> None:
        session.slot.life.leave(Reason.LOST)
        self.lost.append(session)

    async def session(self, name: str = "one", app: Any = one_slider) -> Run:
        key = SessionKey("/app", name)
        epoch = (await self.store.claim(key, "a", request=PageRequest())).epoch
        run = await Run.begin(
            app_of(app), name=name, epoch=epoch, maintenance=Maintenance(mark=self.writer.mark)
        )
        await run.pull()
        return run

    async def stored(self, run: Run) -> dict[str, bytes]:
        return await self.store.read_journal(run.session.key)

    def fail(self, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
        async def fails(*args: Any, **kwargs: Any) -> Any:
            raise StoreUnavailable("it is away")

        monkeypatch.setattr(self.store, method, fails)


@pytest.fixture
async def store() -> AsyncIterator[RedisStore]:
    store = open_store(None)
    yield store
    await store.close()


async def back(run: Run, stage: Stage) -> Run:
    """The session as another replica restores it."""
    return await Run.begin(run.app, await stage.stored(run), name=run.session.id)


async def test_what_changed_is_written_and_nothing_twice(store: RedisStore) -> None:
    stage = Stage(store)
    run = await stage.session()
    await run.sent(("slider", "value", 7))

    await stage.writer.flush()
    await stage.writer.flush()

    assert run.session.slot.next_write() == 2
    assert [name for name in await stage.stored(run) if name.startswith("v:")] == [
        f"v:{run['slider'].id}:value"
    ]


async def test_all_dirty_sessions_go_out_in_one_write(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(store)
    runs = [await stage.session(f"s{n}") for n in range(5)]
    sizes = []
    write_journals = store.write_journals

    async def counting(replica: str, writes: Any) -> list[Written]:
        sizes.append(len(writes))
        return await write_journals(replica, writes)

    monkeypatch.setattr(store, "write_journals", counting)
    for run in runs:
        await run.sent(("slider", "value", 7))
    await stage.writer.flush()

    assert sizes == [5]


async def test_a_session_in_the_middle_of_a_callback_waits(store: RedisStore) -> None:
    stage = Stage(store)
    run = await stage.session()
    go_on, begun = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        run["slider"].value = 1
        begun.set()
        await go_on.wait()
        run["slider"].value = 2

    task = asyncio.create_task(run.do(slow))
    await begun.wait()
    stage.writer.mark(run.session)
    await stage.writer.flush()
    meanwhile = await stage.stored(run)
    go_on.set()
    await task
    await stage.writer.flush()

    assert meanwhile == {}
    assert await stage.stored(run) != {}


async def test_callbacks_that_follow_each_other_do_not_keep_a_session_from_the_store(
    store: RedisStore,
) -> None:
    stage = Stage(store)
    run = await stage.session()
    begun, go_on = [asyncio.Event() for _ in range(2)], [asyncio.Event() for _ in range(2)]

    async def slow(number: int) -> None:
        run["slider"].value = number + 1
        begun[number].set()
        await go_on[number].wait()

    first = asyncio.create_task(run.do(slow, 0))
    await begun[0].wait()
    stage.writer.mark(run.session)
    await stage.writer.flush()
    second = asyncio.create_task(run.do(slow, 1))
    go_on[0].set()
    await begun[1].wait()
    await stage.writer.flush()
    stored = await back(run, stage)
    go_on[1].set()
    await asyncio.gather(first, second)
    await stage.writer.flush()

    assert stored["slider"].value == 1
    assert (await back(run, stage))["slider"].value == 2


async def test_who_leaves_is_written_after_what_was_taken_between_two_callbacks(store: RedisStore) -> None:
    stage = Stage(store)
    run = await stage.session()
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        begun.set()
        await go_on.wait()

    callback = asyncio.create_task(run.do(slow))
    await begun.wait()
    await stage.writer.flush()
    await asyncio.sleep(0)  # it is in line
    go_on.set()
    await callback
    await run.sent(("slider", "value", 7))  # after what was taken
    assert await stage.writer.write([run.session])

    assert run.session.slot.next_write() == 3, "it was written in two steps"
    assert (await back(run, stage))["slider"].value == 7
    await stage.writer.flush()
    assert run.session.slot.next_write() == 4, "and nothing again"


async def test_a_client_waits_for_the_callback_at_work_and_not_for_the_next_one(store: RedisStore) -> None:
    stage = Stage(store, sync=True)
    run = await stage.session()
    writing = asyncio.create_task(stage.writer.run())
    begun, go_on = [asyncio.Event() for _ in range(3)], [asyncio.Event() for _ in range(3)]

    async def slow(number: int) -> None:
        begun[number].set()
        await go_on[number].wait()

    async def input_from_a_client() -> None:
        await run.sent(("slider", "value", 7))
        await stage.writer.settle(run.session)

    callbacks = [asyncio.create_task(run.do(slow, 0))]
    await begun[0].wait()
    client = asyncio.create_task(input_from_a_client())
    await asyncio.sleep(0)  # it is in line
    callbacks.append(asyncio.create_task(run.do(slow, 1)))
    go_on[0].set()
    await begun[1].wait()
    await stage.writer.flush()
    await asyncio.sleep(0)  # it is in line, too
    callbacks.append(asyncio.create_task(run.do(slow, 2)))
    go_on[1].set()
    await begun[2].wait()
    async with asyncio.timeout(30):
        await client
    stored = await back(run, stage)
    go_on[2].set()
    await asyncio.gather(*callbacks)
    writing.cancel()

    assert stored["slider"].value == 7


async def test_what_changes_is_written_an_interval_later_each_time(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(store)
    written, write_journals = asyncio.Event(), store.write_journals

    async def telling(replica: str, writes: Any) -> list[Written]:
        answers = await write_journals(replica, writes)
        written.set()
        return answers

    monkeypatch.setattr(store, "write_journals", telling)
    run = await stage.session()
    writing = asyncio.create_task(stage.writer.run())
    for value in (7, 8):
        await run.sent(("slider", "value", value))
        async with asyncio.timeout(60):
            while (await back(run, stage))["slider"].value != value:
                await written.wait()
                written.clear()
    writing.cancel()


async def test_what_many_are_told_of_reaches_their_pages_before_it_is_written(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits, told, written = asyncio.Event(), asyncio.Event(), asyncio.Event()
    seconds: list[float] = []
    write_journals = store.write_journals

    async def batches_end(most: float) -> None:
        seconds.append(most)
        waits.set()
        await told.wait()

    async def writing(replica: str, writes: Any) -> list[Written]:
        answers = await write_journals(replica, writes)
        written.set()
        return answers

    monkeypatch.setattr(journaling, "batches_end", batches_end)
    monkeypatch.setattr(store, "write_journals", writing)
    stage = Stage(store)
    run = await stage.session()
    await run.sent(("slider", "value", 7))
    running = asyncio.create_task(stage.writer.run())
    await waits.wait()
    assert await stage.stored(run) == {}
    told.set()
    await written.wait()
    running.cancel()
    assert await stage.stored(run) != {}
    assert seconds[0] == 0.02  # an interval, and no more


async def test_after_a_large_write_a_session_leaves_the_store_to_others(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(now=0.0, monotonic=lambda: clock.now)
    monkeypatch.setattr(journaling, "time", clock)
    monkeypatch.setattr(journaling, "MAX_BYTES_PER_SECOND", 200_000)
    stage = Stage(store)
    large, small = await stage.session("large"), await stage.session("small")
    await large.do(lambda: setattr(large["slider"], "tags", ["x" * 100_000]))
    await stage.writer.flush()

    await large.sent(("slider", "value", 7))
    await small.sent(("slider", "value", 7))
    clock.now = 0.4
    await stage.writer.flush()

    assert (await back(large, stage))["slider"].value == 0
    assert (await back(small, stage))["slider"].value == 7
    clock.now = 0.6
    await stage.writer.flush()
    assert (await back(large, stage))["slider"].value == 7


async def test_a_client_that_waits_for_the_store_does_not_wait_longer_after_a_large_write(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journaling, "MAX_BYTES_PER_SECOND", 0.001)
    monkeypatch.setattr(journaling, "MAX_REST_SECONDS", 3600.0)
    stage = Stage(store, sync=True)
    run = await stage.session()
    writing = asyncio.create_task(stage.writer.run())
    for value in (7, 8):
        await run.sent(("slider", "value", value))
        async with asyncio.timeout(60):
            await stage.writer.settle(run.session)
    writing.cancel()

    assert (await back(run, stage))["slider"].value == 8


async def test_who_leaves_after_a_large_write_leaves_with_all(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journaling, "MAX_BYTES_PER_SECOND", 0.001)
    monkeypatch.setattr(journaling, "MAX_REST_SECONDS", 3600.0)
    stage = Stage(store)
    run = await stage.session()
    for value in (7, 8):
        await run.sent(("slider", "value", value))
        await stage.writer.write([run.session])

    assert (await back(run, stage))["slider"].value == 8


async def test_stale_writes_are_refused_and_the_session_is_lost(store: RedisStore) -> None:
    stage = Stage(store)
    run = await stage.session()
    await store.seize(run.session.key, "b", owner="a", epoch=run.session.epoch)
    await run.sent(("slider", "value", 7))

    await stage.writer.flush()

    assert stage.lost == [run.session]
    assert await stage.stored(run) == {}


async def test_a_record_that_is_gone_is_put_back_with_its_whole_journal(store: RedisStore) -> None:
    stage = Stage(store)
    run = await stage.session()
    await run.sent(("slider", "value", 7))
    await stage.writer.flush()
    await store.discard(run.session.key, owner="a", epoch=run.session.epoch)
    await run.do(lambda: setattr(run["slider"], "title", "changed"))

    await stage.writer.flush()  # finds it gone
    await stage.writer.flush()  # writes everything

    again = await back(run, stage)
    assert (again["slider"].value, again["slider"].title) == (7, "changed")


async def test_a_journal_that_lost_writes_is_written_whole(store: RedisStore) -> None:
    stage = Stage(store)
    run = await stage.session()
    await run.sent(("slider", "value", 7))
    await stage.writer.flush()
    run.session.slot.next_write()  # one that never arrives
    await run.do(lambda: setattr(run["slider"], "title", "changed"))

    await stage.writer.flush()
    await stage.writer.flush()

    again = await back(run, stage)
    assert (again["slider"].value, again["slider"].title) == (7, "changed")


async def test_what_was_noted_while_the_store_was_away_arrives_later(
    store: RedisStore, caplog: pytest.LogCaptureFixture
) -> None:
    stage = Stage(store)
    run = await stage.session()
    with pytest.MonkeyPatch.context() as away:
        stage.fail(away, "write_journals")
        for value in (1, 2, 3):
            await run.sent(("slider", "value", value))
            await stage.writer.flush()
        assert stage.writer.store_away
    await stage.writer.flush()

    assert not stage.writer.store_away
    assert (await back(run, stage))["slider"].value == 3
    assert [record.levelno for record in caplog.records if "store" in record.message][:1] == [logging.WARNING]
    assert sum("journal writes fail" in record.message for record in caplog.records) == 1


async def test_a_store_that_takes_every_other_write_is_spoken_of_once(
    store: RedisStore, caplog: pytest.LogCaptureFixture
) -> None:
    """As a full Redis does: whole journals pass, since they free memory first, and what follows fails."""
    caplog.set_level(logging.INFO, "service.sessions.journaling")
    stage = Stage(store)
    run = await stage.session()
    for value in (1, 2, 3):
        await run.sent(("slider", "value", value))
        with pytest.MonkeyPatch.context() as full:
            stage.fail(full, "write_journals")
            await stage.writer.flush()
        await stage.writer.flush()

    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert (await back(run, stage))["slider"].value == 3


async def test_a_failing_reassertion_is_tried_again(store: RedisStore) -> None:
    stage = Stage(store)
    run = await stage.session()
    await run.sent(("slider", "value", 7))
    await store.discard(run.session.key, owner="a", epoch=run.session.epoch)
    with pytest.MonkeyPatch.context() as away:
        stage.fail(away, "reassert")
        await stage.writer.flush()
    await stage.writer.flush()
    await stage.writer.flush()

    assert (await back(run, stage))["slider"].value == 7


async def test_sync_clients_wait_for_the_store_side_by_side(store: RedisStore) -> None:
    stage = Stage(store, sync=True)
    runs = [await stage.session(f"s{n}") for n in range(4)]
    writing = asyncio.create_task(stage.writer.run())
    for run in runs:
        await run.sent(("slider", "value", 7))

    await asyncio.gather(*(stage.writer.settle(run.session) for run in runs))

    for run in runs:
        assert await stage.stored(run) != {}
    writing.cancel()


async def test_sync_clients_hear_that_the_session_has_moved(store: RedisStore) -> None:
    stage = Stage(store, sync=True)
    run = await stage.session()
    await store.seize(run.session.key, "b", owner="a", epoch=run.session.epoch)
    writing = asyncio.create_task(stage.writer.run())
    await run.sent(("slider", "value", 7))

    with pytest.raises(SessionMoved):
        await stage.writer.settle(run.session)
    writing.cancel()


async def test_over_its_budget_a_session_stops_being_durable(
    store: RedisStore, caplog: pytest.LogCaptureFixture
) -> None:
    stage = Stage(store, max_bytes=10)
    run = await stage.session()
    for value in (1, 2, 3):
        await run.sent(("slider", "value", value))
        await stage.writer.flush()

    assert run.session.journal is None
    assert await stage.stored(run) == {}
    assert sum("--journal-max-bytes" in record.message for record in caplog.records) == 1


async def test_what_cannot_be_journaled_does_not_stop_the_others(
    store: RedisStore, caplog: pytest.LogCaptureFixture
) -> None:
    stage = Stage(store)
    bad, good = await stage.session("bad"), await stage.session("good")
    await bad.do(lambda: bad["slider"].tags.append(object()))
    await good.sent(("slider", "value", 7))

    await stage.writer.flush()

    assert (await back(bad, stage))["slider"].tags == []
    assert (await back(good, stage))["slider"].value == 7
    assert sum("cannot be journaled" in record.message for record in caplog.records) == 1


class Late:
    """An app that handles its slider a little later, as Panel does."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()

    def __call__(self, doc: Document) -> None:
        slider = Slider(start=0, end=99, value=0, name="slider")
        shown = Slider(start=0, end=99, value=0, name="shown")

        def later() -> None:
            shown.value = slider.value

        async def wait() -> None:
            await self.gate.wait()
            later()

        slider.on_change("value", lambda attr, old, new: doc.add_timeout_callback(later, 50))
        unlocked = without_document_lock(wait)
        slider.on_change("title", lambda attr, old, new: doc.add_next_tick_callback(unlocked))
        doc.add_root(slider)
        doc.add_root(shown)


async def test_an_input_is_written_together_with_what_it_has_put_off(store: RedisStore) -> None:
    stage = Stage(store)
    run = await stage.session(app=Late())
    await stage.writer.flush()
    await run.sent(("slider", "value", 7))
    assert run.session.puts_off_input

    await stage.writer.flush()
    before = await back(run, stage)
    await run.session._callbacks.input_handled(within=10)
    await stage.writer.flush()
    after = await back(run, stage)

    assert (before["slider"].value, before["shown"].value) == (0, 0)
    assert (after["slider"].value, after["shown"].value) == (7, 7)


async def test_also_where_it_comes_while_somebody_waits_to_look(store: RedisStore) -> None:
    stage = Stage(store)
    run = await stage.session(app=Late())
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        run["shown"].title = "changed"
        begun.set()
        await go_on.wait()

    callback = asyncio.create_task(run.do(slow))
    await begun.wait()
    client = asyncio.create_task(run.sent(("slider", "value", 7)))
    await asyncio.sleep(0)  # it is in line
    stage.writer.mark(run.session)
    await stage.writer.flush()
    await asyncio.sleep(0)  # the writer is in line after it
    go_on.set()
    await asyncio.gather(callback, client)
    await run.session.in_turn(lambda: None)
    await stage.writer.flush()
    before = await back(run, stage)
    await run.session._callbacks.input_handled(within=10)
    await stage.writer.flush()
    after = await back(run, stage)

    assert (before["slider"].value, before["shown"].value) == (0, 0)
    assert (after["slider"].value, after["shown"].value) == (7, 7)


async def test_a_sync_client_waits_for_that_too(store: RedisStore) -> None:
    stage = Stage(store, sync=True)
    run = await stage.session(app=Late())
    writing = asyncio.create_task(stage.writer.run())
    await run.sent(("slider", "value", 7))
    assert run.session.puts_off_input

    await stage.writer.settle(run.session)
    after = await back(run, stage)
    writing.cancel()

    assert (after["slider"].value, after["shown"].value) == (7, 7)


async def test_but_not_for_ever(store: RedisStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journaling, "MAX_UNHANDLED_SECONDS", 0)
    stage = Stage(store, sync=True)
    run = await stage.session(app=Late())
    writing = asyncio.create_task(stage.writer.run())
    await run.sent(("slider", "value", 7))
    assert run.session.puts_off_input

    await stage.writer.settle(run.session)
    writing.cancel()

    assert run.session.puts_off_input
    assert (await back(run, stage))["slider"].value == 7


async def test_what_goes_on_for_long_keeps_nobody_from_writing(store: RedisStore) -> None:
    stage, app = Stage(store), Late()
    run = await stage.session(app=app)
    await run.sent(("slider", "title", "now"))
    await asyncio.sleep(0)  # it begins
    await stage.writer.flush()

    assert not run.session.puts_off_input
    assert (await back(run, stage))["slider"].title == "now"
    app.gate.set()
