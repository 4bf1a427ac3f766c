"""What app code gets of ``fleet.publish`` and its kin: real parts over the embedded store, no sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from bokeh.document import Document
from bokeh.models import Div
from harness.runs import Run, app_of

from service import fleet, session_state
from service.apps.app import App
from service.apps.worker_pool import WorkerPool
from service.errors import AppError, FleetFull
from service.fleet import topics as topics_module
from service.fleet.store_thread import StoreThread
from service.fleet.topics import Topics
from service.metrics import Metrics
from service.sessions.session import Maintenance, Session
from store.connect import open_store
from store.records import unpack_entry
from store.redis_store import RedisStore


class Replica:
    """One replica's share of it, and an app that uses it."""

    def __init__(self, store: RedisStore) -> None:
        self.thread = StoreThread(store.twin)
        self.metrics = Metrics()
        self.topics = Topics(self.thread, self.metrics)

    def app(self, function: Callable[..., None]) -> App:
        app = app_of(function)
        app.server_context.publishes(self.topics)
        return app

    def counted(self, name: str) -> float:
        return float(
            self.metrics.registry.get_sample_value(f"svc_messages_{name}_total", {"app": "/app"}) or 0
        )

    def subscribers(self) -> int:
        return sum(len(topic.subscribers) for topic in self.topics._topics.values())


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


@pytest.fixture
async def pool() -> AsyncIterator[WorkerPool]:
    made = WorkerPool(2)
    made.open()
    yield made
    made.close()


class Chat:
    """An app whose Document shows what it is told of."""

    def __init__(self, **options: Any) -> None:
        self.options = options

    def __call__(self, doc: Document) -> None:
        shown = Div(name="shown", text="")
        doc.add_root(shown)

        def told(value: Any) -> None:
            shown.text += f"{value} "

        def missed(count: int | None) -> None:
            shown.text += f"({count} missed) "

        fleet.subscribe("chat", told, on_missed=missed, **self.options)


async def until(check: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not check():  # noqa: ASYNC110 - no event of anybody's
            await asyncio.sleep(0.005)


async def shows(run: Run, text: str) -> None:
    await until(lambda: run["shown"].text.strip() == text)


async def publish(run: Run, *values: Any, topic: str = "chat") -> None:
    async def go() -> None:
        for value in values:
            await fleet.apublish(topic, value)

    await run.do(go)


def nothing(doc: Document) -> None:
    return


# -- publishing --------------------------------------------------------------------------------------


async def test_all_sessions_are_told_in_order(replicas: tuple[Replica, Replica]) -> None:
    runs = [await Run.begin(each.app(Chat()), name=name) for each in replicas for name in "ab"]

    await publish(runs[0], 1, 2)
    await publish(runs[3], [3, {"b": None}])

    for each in runs:
        await shows(each, "1 2 [3, {'b': None}]")
        await each.end()
    assert [each.counted("published") for each in replicas] == [2, 1]
    assert [each.counted("delivered") for each in replicas] == [6, 6]
    assert [each.subscribers() for each in replicas] == [0, 0]


async def test_who_begins_later_is_told_of_the_last_ones_it_asks_for(replica: Replica) -> None:
    first = await Run.begin(replica.app(nothing))
    await publish(first, 1, 2, 3)

    late, curious = await Run.begin(replica.app(Chat())), await Run.begin(replica.app(Chat(last=2)))
    await publish(first, 4)

    await shows(late, "4")
    await shows(curious, "2 3 4")
    for each in (first, late, curious):
        await each.end()


async def test_apps_do_not_hear_each_other(replica: Replica) -> None:
    run = await Run.begin(replica.app(Chat(last=10)))
    other = App("/other", run.app.application, run.app.imports)
    other.server_context.publishes(replica.topics)
    elsewhere = await Run.begin(other)

    await publish(elsewhere, "theirs")
    await publish(run, "ours")

    await shows(run, "ours")
    await shows(elsewhere, "theirs")
    for each in (run, elsewhere):
        await each.end()


async def test_threads_may_publish_and_the_event_loop_may_not_wait(replica: Replica) -> None:
    run = await Run.begin(replica.app(Chat()))

    with pytest.raises(RuntimeError, match=r"await apublish\("):
        await run.do(lambda: fleet.publish("chat", 1))

    async def on_thread() -> None:
        await asyncio.to_thread(fleet.publish, "chat", 2)

    await run.do(on_thread)
    await shows(run, "2")
    await run.end()


@pytest.mark.parametrize(
    ("topic", "value", "error", "text"),
    [
        ("chat", object(), TypeError, "cannot be published"),
        ("chat", 2**64, TypeError, "cannot be published"),
        ("chat", "x" * 2**20, FleetFull, "1048576 bytes at most"),
        ("", 1, ValueError, "1 to 200 characters"),
        ("\0x", 1, ValueError, "zero byte"),
        (5, 1, TypeError, "a topic is text"),
    ],
)
async def test_what_makes_no_sense_is_refused(
    replica: Replica, topic: Any, value: Any, error: type[Exception], text: str
) -> None:
    run = await Run.begin(replica.app(nothing))
    with pytest.raises(error, match=text):
        await publish(run, value, topic=topic)
    await run.end()


def test_outside_of_an_app_there_is_no_topic() -> None:
    with pytest.raises(RuntimeError, match="belongs to an app"):
        fleet.publish("chat", 1)
    with pytest.raises(RuntimeError, match="belongs to an app"):
        fleet.subscribe("chat", print)


async def test_subscribing_belongs_to_a_session(replica: Replica) -> None:
    app = replica.app(nothing)
    with pytest.raises(RuntimeError, match="belongs to a session"):
        await app.run(lambda: fleet.subscribe("chat", print))


# -- callbacks ---------------------------------------------------------------------------------------


async def test_coroutines_and_functions_are_called_one_message_after_the_other(replica: Replica) -> None:
    order: list[str] = []

    async def slow(value: Any) -> None:
        order.append(f"slow {value} begins")
        await asyncio.sleep(0)
        order.append(f"slow {value} ends")

    def quick(value: Any) -> None:
        order.append(f"quick {value}")

    def app(doc: Document) -> None:
        Chat()(doc)
        fleet.subscribe("chat", slow)
        fleet.subscribe("chat", quick)

    run = await Run.begin(replica.app(app))
    await publish(run, 1, 2)
    await shows(run, "1 2")
    await until(lambda: len(order) == 6)

    assert order == [f"{who}" for n in (1, 2) for who in (f"quick {n}", f"slow {n} begins", f"slow {n} ends")]
    await run.end()


async def test_more_than_one_turn_holds_is_told_in_several(replica: Replica, pool: WorkerPool) -> None:
    app = replica.app(Chat(last=300))
    app.run_on(pool.workers(app.path))
    first = await Run.begin(replica.app(nothing), name="first")
    await publish(first, *range(250))

    run = await Run.begin(app)

    await shows(run, " ".join(map(str, range(250))))
    for each in (first, run):
        await each.end()


async def test_a_callback_that_fails_keeps_nobody_from_the_rest(
    replica: Replica, caplog: pytest.LogCaptureFixture
) -> None:
    async def fails_later(value: Any) -> None:
        raise ValueError("later")

    def app(doc: Document) -> None:
        fleet.subscribe("chat", lambda value: 1 / 0)
        fleet.subscribe("chat", fails_later)
        Chat()(doc)

    run = await Run.begin(replica.app(app))
    await publish(run, 1, 2)

    await shows(run, "1 2")
    assert caplog.text.count("a callback on messages of 'chat' failed") >= 2
    await run.end()


async def test_who_unsubscribes_is_told_no_more(replica: Replica) -> None:
    told: list[Any] = []

    def app(doc: Document) -> None:
        Chat()(doc)
        fleet.subscribe("chat", told.append)
        fleet.subscribe("other", told.append)

    run = await Run.begin(replica.app(app))
    await run.do(lambda: fleet.unsubscribe("chat", told.append))
    await run.do(lambda: fleet.unsubscribe("other", told.append))
    await publish(run, 1)
    await shows(run, "1")

    assert told == []
    assert replica.subscribers() == 1
    with pytest.raises(ValueError, match="not subscribed"):
        await run.do(lambda: fleet.unsubscribe("chat", print))
    with pytest.raises(ValueError, match="subscribed nothing"):
        await run.do(lambda: fleet.unsubscribe("other", told.append))
    await run.end()


# -- moving ------------------------------------------------------------------------------------------


async def test_a_session_that_moved_is_told_what_it_missed_once(replicas: tuple[Replica, Replica]) -> None:
    here, there = replicas
    run, other = await Run.begin(here.app(Chat())), await Run.begin(here.app(nothing), name="other")
    await run.pull()
    await publish(other, 1, 2)
    await shows(run, "1 2")
    run.take()
    await publish(other, 3)
    await shows(run, "1 2 3")  # which is not written
    await run.end()
    await publish(other, 4)

    moved = await run.restored(there.app(Chat()))

    assert moved["shown"].text == "1 2 "
    await shows(moved, "1 2 3 4")
    await publish(other, 5)
    await shows(moved, "1 2 3 4 5")
    for each in (moved, other):
        await each.end()


async def test_what_a_callback_did_is_written_together_with_how_far_it_was_told(
    replica: Replica, pool: WorkerPool
) -> None:
    """Written at the first moment at which it can be: else a session would see a message twice, or never."""
    stored: dict[str, bytes] = {}
    written: list[tuple[int, int]] = []

    def write(session: Session) -> None:
        if session.journal is not None and session.journal.has_base:
            stored.update({name: bytes(data) for name, data in session.journal.take().put.items()})
            shown = b"".join(data for name, data in stored.items() if name.startswith("v:"))
            told = unpack_entry(stored["a:\0fleet.messages chat"])
            written.append((shown.count(b"hello"), told[2]))

    app = replica.app(Chat())
    app.run_on(pool.workers(app.path))
    run = await Run.begin(app, maintenance=Maintenance(mark=write))
    await run.pull()
    for number in range(1, 30):
        await publish(run, "hello")
        await shows(run, " ".join(["hello"] * number))
    await until(lambda: written[-1:] == [(29, 29)])

    assert [shown for shown, _ in written] == [told for _, told in written]
    await run.end()


async def test_a_session_that_missed_more_than_is_kept_is_told_so(
    replicas: tuple[Replica, Replica], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topics_module, "MAX_KEPT", 3)
    run, other = (
        await Run.begin(replicas[0].app(Chat())),
        await Run.begin(replicas[0].app(nothing), name="other"),
    )
    await run.pull()
    await publish(other, 1)
    await shows(run, "1")
    run.take()
    await run.end()
    await publish(other, *range(2, 10))

    moved = await run.restored(replicas[1].app(Chat()))

    await shows(moved, "1 (5 missed) 7 8 9")
    assert replicas[1].counted("missed") == 5
    for each in (moved, other):
        await each.end()


async def test_who_asks_for_no_word_of_it_finds_it_in_the_log(
    replica: Replica, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(topics_module, "MAX_KEPT", 1)

    def app(doc: Document) -> None:
        shown = Div(name="shown", text="")
        doc.add_root(shown)
        fleet.subscribe("chat", lambda value: setattr(shown, "text", f"{shown.text}{value} "))

    run, other = await Run.begin(replica.app(app)), await Run.begin(replica.app(nothing), name="other")
    await run.pull()
    run.take()
    await run.end()
    await publish(other, 1, 2, 3)

    moved = await run.restored()

    await shows(moved, "3")
    assert "a session has missed 2 messages of 'chat'" in caplog.text
    for each in (moved, other):
        await each.end()


async def test_a_session_of_an_app_that_has_changed_gets_the_last_ones_again(
    replicas: tuple[Replica, Replica],
) -> None:
    def changed(doc: Document) -> None:
        doc.add_root(Div(name="new"))
        Chat(last=2)(doc)

    run = await Run.begin(replicas[0].app(Chat(last=2)))
    await run.pull()
    await publish(run, 1, 2, 3)
    await shows(run, "1 2 3")
    run.take()
    await run.end()

    moved = await run.restored(replicas[1].app(changed))
    await publish(moved, 4)

    await shows(moved, "2 3 4")
    await moved.end()


async def test_inputs_that_are_repeated_publish_nothing(replica: Replica) -> None:
    def app(doc: Document) -> None:
        Chat()(doc)
        said = Div(name="said", text="")
        doc.add_root(said)

        async def say(attr: str, old: str, new: str) -> None:
            await fleet.apublish("chat", new)

        said.on_change("text", lambda attr, old, new: doc.add_next_tick_callback(lambda: say(attr, old, new)))

    run = await Run.begin(replica.app(app))
    await run.pull()
    await run.sent(("said", "text", "hello"))
    await shows(run, "hello")
    run.take()
    await run.end()

    moved = await run.restored()
    await publish(moved, "last")

    await shows(moved, "hello last")
    await moved.end()


async def test_what_a_callback_on_a_message_publishes_is_published_once(
    replicas: tuple[Replica, Replica],
) -> None:
    def answering(doc: Document) -> None:
        async def answer(value: str) -> None:
            await fleet.apublish("answers", f"re: {value}")
            await fleet.apublish("answers", "really")

        fleet.subscribe("chat", answer)
        doc.add_root(Div(name="shown"))

    def listening(doc: Document) -> None:
        shown = Div(name="shown", text="")
        doc.add_root(shown)
        fleet.subscribe("answers", lambda value: setattr(shown, "text", f"{shown.text}{value} "))

    robot = await Run.begin(replicas[0].app(answering), name="robot")
    await robot.pull()
    robot.take()
    user = await Run.begin(replicas[1].app(listening), name="user")
    await publish(user, "hi")
    await shows(user, "re: hi really")
    await robot.end()  # killed before it has written that it did this

    moved = await Run.begin(replicas[1].app(answering), robot.stored, name="robot")
    await publish(user, "ho")

    await shows(user, "re: hi really re: ho really")
    for each in (moved, user):
        await each.end()


async def test_a_build_that_fails_leaves_no_subscriber(replica: Replica) -> None:
    def failing(doc: Document) -> None:
        Chat()(doc)
        raise ValueError("no")

    with pytest.raises(AppError):
        await Run.begin(replica.app(failing))

    assert replica.subscribers() == 0


# -- bounds and lost data ----------------------------------------------------------------------------


async def test_too_many_topics_are_refused_and_unused_ones_forgotten(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topics_module, "MAX_TOPICS", 3)
    run = await Run.begin(replica.app(nothing))

    for number in range(10):
        await publish(run, 1, topic=f"{number}")
    for name in "abc":
        await run.do(lambda name=name: fleet.subscribe(name, print))
    with pytest.raises(FleetFull, match="subscribers to 3 topics"):
        await run.do(lambda: fleet.subscribe("d", print))
    await run.end()


async def test_what_the_store_lost_is_put_back(replica: Replica, store: RedisStore) -> None:
    run = await Run.begin(replica.app(Chat()))
    await run.pull()
    await publish(run, 1, 2)
    await shows(run, "1 2")
    run.take()
    await run.end()
    sleeper, run = run, await Run.begin(replica.app(Chat()), name="other")
    await publish(run, 3)
    await shows(run, "3")
    await store._link.send("FLUSHALL")

    await publish(run, 4)

    await shows(run, "3 4")
    moved = await sleeper.restored()
    await shows(moved, "1 2 3 4")
    for each in (moved, run):
        await each.end()


async def test_where_nobody_knows_what_was_lost_that_is_said(
    replicas: tuple[Replica, Replica], store: RedisStore
) -> None:
    run = await Run.begin(replicas[0].app(Chat()))
    await run.pull()
    await publish(run, 1)
    await shows(run, "1")
    run.take()
    await run.end()
    await store._link.send("FLUSHALL")
    other = await Run.begin(replicas[1].app(nothing), name="other")
    await publish(other, 2)

    moved = await run.restored()

    await shows(moved, "1 (None missed) 2")
    for each in (moved, other):
        await each.end()


# -- all sessions ------------------------------------------------------------------------------------


async def test_all_sessions_are_updated_by_a_function_of_the_app(replicas: tuple[Replica, Replica]) -> None:
    def shown(doc: Document) -> None:
        doc.add_root(Div(name="shown", text=""))

    def refresh(doc: Document, value: Any) -> None:
        doc.roots[0].text += f"{value} "

    async def load(app: App) -> App:
        await app.run(lambda: fleet.session_update(refresh))
        return app

    runs = [await Run.begin(await load(each.app(shown)), name=name) for each in replicas for name in "ab"]
    for each in runs:
        state = each.session.context.state
        await until(lambda state=state: state.hidden("fleet.messages \0update refresh") is not None)
    await runs[0].do(lambda: fleet.aupdate_sessions("refresh", 1))

    for each in runs:
        await shows(each, "1")
    with pytest.raises(ValueError, match=r"no function 'other'.*there are: refresh"):
        await runs[0].do(lambda: fleet.aupdate_sessions("other"))
    for each in runs:
        await each.end()


async def test_what_is_no_module_function_updates_no_sessions(replica: Replica) -> None:
    def of_script(doc: Document, value: Any) -> None:
        return

    of_script.__module__ = "bokeh_app_1"
    run = await Run.begin(replica.app(nothing))
    with pytest.raises(RuntimeError, match="ends with that session"):
        await run.do(lambda: fleet.session_update(of_script))
    await run.end()


async def test_the_state_of_the_app_does_not_show_any_of_it(replica: Replica) -> None:
    run = await Run.begin(replica.app(Chat()))
    await publish(run, 1)
    await shows(run, "1")

    assert dict(session_state(run.session.document)) == {}
    await run.end()
