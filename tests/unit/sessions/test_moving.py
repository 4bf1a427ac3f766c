"""Sessions between two replicas that share a store: the real parts, without sockets."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from itertools import pairwise
from typing import Any
from unittest.mock import Mock

import pytest
from bokeh.document import Document
from bokeh.document.events import ModelChangedEvent
from bokeh.models import Div, Slider
from harness.runs import app_of, built

from service.documents.encoding import apply_patch, encode_document
from service.documents.restore import Fidelity
from service.errors import AppCodeAbandoned, AppError, SessionMoved
from service.fleet.drain import Drain
from service.fleet.ending import end_session
from service.fleet.ownership_check import OwnershipCheck
from service.metrics import Metrics
from service.sessions import waking
from service.sessions.building import Builder, OwnershipGrant
from service.sessions.crash_guard import CrashGuard, TakeoverMode
from service.sessions.departures import Departures
from service.sessions.ending import Ending
from service.sessions.hibernation import Hibernation
from service.sessions.journaling import JournalWriter
from service.sessions.life import Reason, State
from service.sessions.registry import YIELDS_BETWEEN_BUILDS, Registry, SessionSlot
from service.sessions.session import Maintenance, Session
from service.sessions.slot import Slot
from service.sessions.waking import Waking
from store.connect import open_store
from store.contract import Heartbeat, JournalWrite, Outcome, PageRequest, SessionKey, Written
from store.redis_store import RedisStore


class App:
    """A slider that says what became of its sessions."""

    def __init__(self) -> None:
        self.destroyed: list[str] = []
        self.fails = False
        self.sleep_when_idle: bool | None = None
        self.more = 0
        self.told: Callable[[], object] = lambda: None

    def __call__(self, doc: Document) -> None:
        self.told()
        if self.fails:
            raise ValueError("no")
        for _ in range(self.more):
            doc.add_root(Slider(start=0, end=9, value=0))
        doc.add_root(Slider(start=0, end=99, value=0, name="slider"))
        doc.on_session_destroyed(self._destroyed)

    def _destroyed(self, context: Any) -> None:
        self.destroyed.append(context.id)


class Replica:
    def __init__(self, store: RedisStore, name: str, app: App, *, retention: float = 600.0) -> None:
        self.store = store
        self.name = name
        metrics = Metrics()
        self.app = app_of(app)
        self.writer = JournalWriter(
            store, name, interval=0.02, max_bytes=2**20, sync=False,
            lost=lambda session: self.departures.lost(session.slot), metrics=metrics,
        )  # fmt: skip
        maintenance = Maintenance(mark=self.writer.mark)
        builder = Builder(durable=True, replay_inputs=True, metrics=metrics, maintenance=maintenance)
        self.registry = Registry({self.app.path: self.app}, builder)
        self.departures = Departures(
            store, self.registry, self.writer, name, retention=retention, metrics=metrics
        )
        self.crash_guard = CrashGuard(store, name)
        self.waking = Waking(store, self.registry, self.departures, self.crash_guard, name, metrics=metrics)
        self.ownership_check = OwnershipCheck(store, self.registry, self.writer, self.departures, name)
        self.ending = Ending(self.registry, self.departures)
        self._metrics = metrics

    def hibernation(self, **options: Any) -> Hibernation:
        options = {"after": 1e-9, "pressed": 1e-9, **options}
        return Hibernation(self.registry, self.writer, self.waking, metrics=self._metrics, **options)

    def drain(self, timeout: float) -> Drain:
        return Drain(self.registry, self.departures, self._metrics, timeout=timeout)

    async def open(self, session_id: str = "s", *, take_from: str = "") -> Session:
        """Claim (or seize) the session and build it."""
        key = SessionKey(self.app.path, session_id)
        if take_from:
            record = await self.store.read(key)
            assert record is not None
            claim = await self.store.seize(key, self.name, owner=take_from, epoch=record.epoch)
        else:
            claim = await self.store.claim(key, self.name, request=PageRequest())
        assert claim.outcome is Outcome.OWN
        fields = None if claim.created else await self.store.read_journal(key)
        return await built(self.registry, OwnershipGrant(key, claim.epoch, PageRequest(), fields))

    async def move(self, session: Session) -> None:
        await self.departures.leave(session.slot, Reason.DRAINED)


@pytest.fixture
async def store() -> AsyncIterator[RedisStore]:
    store = open_store(None)
    yield store
    await store.close()


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
def a(store: RedisStore, app: App) -> Replica:
    return Replica(store, "a", app)


@pytest.fixture
def b(store: RedisStore, app: App) -> Replica:
    return Replica(store, "b", app)


def a_client() -> Any:
    return Mock(congested=False)


def slider(session: Session) -> Slider:
    found = session.document.get_model_by_name("slider")
    assert isinstance(found, Slider)
    return found


async def used(session: Session, value: int) -> None:
    """Somebody looked at it and moved the slider."""

    def use() -> None:
        assert session.journal is not None
        session.journal.pulled(*encode_document(session.document, inline=False))
        slider(session).value = value

    await session.with_document_locked(use)


async def test_a_session_that_moves_is_the_next_replicas_at_once(a: Replica, b: Replica, app: App) -> None:
    first = await a.open()
    await used(first, 7)

    await a.move(first)
    second = await b.open()

    assert len(a.registry) == 0
    assert app.destroyed == ["s"]
    assert second.fidelity is Fidelity.EXACT
    assert slider(second).value == 7
    assert second.epoch > first.epoch


async def test_an_unused_session_is_kept_if_somebody_saw_it(a: Replica, b: Replica) -> None:
    seen, unseen = await a.open("seen"), await a.open("unseen")
    await used(seen, 7)

    await a.departures.leave_if_unused(seen.slot)
    await a.departures.leave_if_unused(unseen.slot)

    assert slider(await b.open("seen")).value == 7
    assert await b.store.read(unseen.key) is None


async def test_without_retention_nothing_is_kept(store: RedisStore, app: App) -> None:
    a = Replica(store, "a", app, retention=0)
    session = await a.open()
    await used(session, 7)

    await a.departures.leave_if_unused(session.slot)

    assert await store.read(session.key) is None


async def test_a_session_that_is_ended_is_gone(a: Replica, b: Replica) -> None:
    session = await a.open()
    await used(session, 7)

    await a.departures.leave(session.slot, Reason.ENDED)

    again = await b.open()
    assert again.fidelity is None
    assert slider(again).value == 0


async def test_a_session_ends_where_it_is_when_asked(a: Replica, store: RedisStore, app: App) -> None:
    session, other = await a.open(), await a.open("other")
    await store.beat(Heartbeat("a", "http://a", "1", 0.0), ttl=60)

    async def beats() -> None:
        while app.destroyed != ["s"]:
            beat = await store.beat(Heartbeat("a", "http://a", "1", 0.0), ttl=60)
            a.ending.asked(beat.end, beat.asked_by)
            a.ending.asked(beat.end, beat.asked_by)
            await asyncio.sleep(0)

    async with asyncio.timeout(30):
        ended, _ = await asyncio.gather(end_session(store, session.key), beats())

    assert ended
    assert list(a.registry) == [other]
    assert await end_session(store, session.key) is False


async def test_a_hibernated_session_ends_too(a: Replica, store: RedisStore) -> None:
    session = await a.open()
    await used(session, 7)
    session.slot.connect(a_client())
    assert await a.hibernation().put_to_sleep() == 1

    a.ending.asked(frozenset({(session.key.tag, session.epoch)}), {})

    async with asyncio.timeout(30):
        while await asyncio.sleep(0, len(a.registry)) or await store.read(session.key) is not None:
            pass  # asks again


async def asleep(replica: Replica, session: Session) -> SessionSlot:
    """Its slot, once it sleeps."""
    await used(session, 7)
    session.slot.connect(a_client())
    assert await replica.hibernation().put_to_sleep() == 1
    return session.slot


async def test_who_would_lose_something_sleeps_only_when_memory_is_short(
    a: Replica, caplog: pytest.LogCaptureFixture
) -> None:
    """The app has something to do at the end of its sessions, which must not see an open page."""
    for name in ("one", "two"):
        session = await a.open(name)
        await used(session, 7)
        session.slot.connect(a_client())
    hibernation = a.hibernation(careful=True)

    with caplog.at_level(logging.INFO):
        assert await hibernation.put_to_sleep() == await hibernation.put_to_sleep() == 0

    told = "sessions of this app stay in memory when idle: code of the app runs at the end of a session"
    assert caplog.messages == [told]
    assert await hibernation.make_room() == 2


@pytest.mark.parametrize("said", [True, False])
async def test_what_the_author_says_of_sleep_holds(a: Replica, app: App, said: bool) -> None:
    app.sleep_when_idle = said
    session = await a.open()
    await used(session, 7)
    session.slot.connect(a_client())
    hibernation = a.hibernation(careful=True)

    assert await hibernation.put_to_sleep() + await hibernation.make_room() == said


async def test_those_that_are_idle_for_longest_make_room(a: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.sessions.hibernation.BATCH_SIZE", 1)
    sessions = [await a.open(name) for name in "xyz"]
    for session in sessions:
        await used(session, 7)
        session.slot.connect(a_client())
    await used(sessions[0], 8)
    hibernation = a.hibernation()

    order = []
    for _ in sessions:
        before = {session.id for session in a.registry}
        assert await hibernation.make_room() == 1
        order += before - {session.id for session in a.registry}

    assert order == ["y", "z", "x"]
    assert await hibernation.make_room() == 0


async def test_messages_that_come_together_wake_a_session_once(a: Replica, app: App) -> None:
    session = await a.open()
    slot = await asleep(a, session)
    builds: list[int] = []
    app.told = lambda: builds.append(1)

    (client,) = slot.connections
    client.reset_mock()

    first, second = await asyncio.gather(slot.awake(), a.registry.find(slot.key))

    assert first is second is slot.session
    assert len(builds) == 1
    assert first is not session
    assert slider(first).value == 7
    assert client.send.call_count == 0, "what restoring does is not news to a page"


async def test_a_wake_that_fails_can_be_tried_again(a: Replica, app: App) -> None:
    slot = await asleep(a, await a.open())
    app.fails = True
    with pytest.raises(AppError):
        await slot.awake()
    app.fails = False

    again = await slot.awake()

    assert again is not None
    assert slider(again).value == 7
    assert len(slot.connections) == 1


async def test_pages_pull_again_what_wakes_up_as_something_else(a: Replica, app: App) -> None:
    """Here the app has made other models than before."""
    slot = await asleep(a, await a.open())
    (client,) = slot.connections
    app.more = 1

    await slot.awake()

    client.pull_again.assert_called_once_with(keep_input=False)


async def test_pages_are_told_what_a_hook_changes_as_it_wakes_up(
    a: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    slot = await asleep(a, await a.open())
    (client,) = slot.connections
    client.reset_mock()

    async def restored(context: Any, execution: Any) -> None:
        execution.document.title = "restored"

    monkeypatch.setattr(a.app, "restored", restored)

    await slot.awake()

    (frames,) = (call.args[0] for call in client.send.call_args_list)
    assert json.loads(frames[2]) == {"events": [{"kind": "TitleChanged", "title": "restored"}]}
    assert not client.pull_again.called


async def test_pages_pull_again_where_changes_do_not_do_and_their_input_counts(
    a: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    slot = await asleep(a, await a.open())
    (client,) = slot.connections

    async def restored(context: Any, execution: Any) -> None:
        execution.document.add_root(Div())

    monkeypatch.setattr(a.app, "restored", restored)

    await slot.awake()

    client.pull_again.assert_called_once_with(keep_input=True)


async def test_what_wakes_up_as_it_was_shown_is_not_pulled_again(a: Replica) -> None:
    slot = await asleep(a, await a.open())
    (client,) = slot.connections

    await slot.awake()

    assert not client.pull_again.called


async def test_a_session_that_sleeps_is_shown_as_the_store_has_it(a: Replica, app: App) -> None:
    slot = await asleep(a, await a.open())
    app.fails = True

    shown = await slot.pulled_asleep(inline=False)

    assert shown is not None
    (root,) = json.loads(shown.content)["doc"]["roots"]
    assert root["attributes"]["value"] == 7
    assert shown.roots == {root["id"]}


async def test_what_is_woken_meanwhile_leaves_all_the_same(a: Replica, b: Replica) -> None:
    slot = await asleep(a, await a.open())
    waking = asyncio.create_task(a.registry.find(slot.key))
    await asyncio.sleep(0)
    assert slot.life.state is State.WAKING

    assert await a.departures.leave(slot, Reason.DRAINED)

    await waking
    assert len(a.registry) == 0
    (client,) = slot.connections
    client.close.assert_called_with(1012, "the session moves to another replica", patience=None)
    assert slider(await b.open()).value == 7


async def test_a_message_for_a_session_that_has_left_in_its_sleep_is_turned_away(a: Replica) -> None:
    slot = await asleep(a, await a.open())
    slot.life.leave(Reason.ENDED)

    with pytest.raises(SessionMoved):
        await slot.awake()
    a.registry.forget(slot)
    assert await slot.awake() is None


async def test_who_looks_for_a_session_that_leaves_waits_until_it_is_gone(a: Replica) -> None:
    session = await a.open()
    go_on = asyncio.Event()
    working = asyncio.create_task(session.with_document_locked(go_on.wait))
    await asyncio.sleep(0)
    a.departures.lost(session.slot)

    looking = asyncio.create_task(a.registry.find(session.key))
    await asyncio.sleep(0.01)
    assert not looking.done()
    go_on.set()

    assert await looking is None
    await working


async def test_of_several_reasons_the_first_counts(a: Replica, store: RedisStore) -> None:
    session = await a.open()
    await used(session, 7)

    left = await asyncio.gather(
        a.departures.leave(session.slot, Reason.ENDED), a.departures.leave(session.slot, Reason.DRAINED)
    )

    assert left == [True, False]
    assert await store.read(session.key) is None


async def test_another_epoch_is_another_session(a: Replica) -> None:
    session = await a.open()

    a.ending.asked(frozenset({(session.key.tag, session.epoch - 1)}), {})
    await asyncio.sleep(0)

    assert not session.destroyed
    assert list(a.registry) == [session]


async def test_a_session_of_a_replica_that_is_gone_ends_in_the_store(a: Replica, store: RedisStore) -> None:
    session = await a.open()

    assert await end_session(store, session.key)

    assert await store.read(session.key) is None
    await used(session, 9)
    await a.writer.flush()
    assert session.lost


async def test_a_failing_app_leaves_nothing_behind(a: Replica, app: App) -> None:
    app.fails = True
    with pytest.raises(AppError):
        await a.open()
    app.fails = False

    assert len(a.registry) == 0
    assert slider(await a.open()).value == 0


async def test_a_zombie_writes_nothing_and_drops_its_copy(a: Replica, b: Replica) -> None:
    zombie = await a.open()
    await used(zombie, 7)
    await a.writer.flush()
    successor = await b.open(take_from="a")
    await used(successor, 8)
    await b.writer.flush()
    await used(zombie, 9)

    await a.writer.flush()

    assert zombie.lost
    await a.registry.find(zombie.key)
    assert len(a.registry) == 0
    await b.move(successor)
    assert slider(await a.open()).value == 8


async def test_in_doubt_what_was_lost_is_dropped(a: Replica, b: Replica) -> None:
    lost, kept = await a.open("lost"), await a.open("kept")
    await used(lost, 7)
    await used(kept, 8)
    await a.writer.flush()
    await b.open("lost", take_from="a")

    await a.ownership_check.resolve()
    await a.registry.find(lost.key)

    assert [session.key.session_id for session in a.registry] == ["kept"]


async def test_in_doubt_a_newcomer_does_not_see_what_was_lost(a: Replica, b: Replica) -> None:
    lost, kept = await a.open("lost"), await a.open("kept")
    await used(lost, 7)
    await a.writer.flush()
    await b.open("lost", take_from="a")

    assert await a.ownership_check.is_ours(kept.slot)
    assert not await a.ownership_check.is_ours(lost.slot)
    await asyncio.sleep(0)
    assert await a.registry.find(lost.key) is None


class Heart:
    """What a heart tells."""

    doubts = 0
    silence = 0.0

    def silent_for(self) -> float:
        return self.silence


async def test_nobody_is_asked_while_the_heart_beats(a: Replica) -> None:
    heartbeater: Any = Heart()
    assert a.ownership_check.sure(heartbeater)

    heartbeater.silence = 1.0
    assert not a.ownership_check.sure(heartbeater), "the others may have taken all by now"
    heartbeater.silence, heartbeater.doubts = 0.0, 1
    assert not a.ownership_check.sure(heartbeater), "it beats again, but what was taken is not known yet"
    await a.ownership_check.resolve(heartbeater.doubts)
    assert a.ownership_check.sure(heartbeater)


async def test_an_empty_store_gets_everything_again(a: Replica, b: Replica, store: RedisStore) -> None:
    session = await a.open()
    await used(session, 7)
    await a.writer.flush()
    await store._link.send("FLUSHALL")

    await a.ownership_check.resolve()
    await a.writer.flush()

    record = await store.read(session.key)
    assert record is not None
    assert (record.owner, record.epoch) == ("a", session.epoch)
    assert slider(await b.open(take_from="a")).value == 7


async def test_a_drain_moves_all(a: Replica, b: Replica, app: App) -> None:
    for n in range(60):
        await used(await a.open(f"s{n}"), n)

    left = await a.drain(30).run()

    assert left == 0
    assert sorted(app.destroyed) == sorted(f"s{n}" for n in range(60))
    for n in range(60):
        assert slider(await b.open(f"s{n}")).value == n


async def test_a_drain_writes_batch_by_batch(a: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    write_journals = a.store.write_journals

    async def counted(replica: str, writes: Sequence[JournalWrite]) -> list[Written]:
        written.append(len(writes))
        return await write_journals(replica, writes)

    monkeypatch.setattr(a.store, "write_journals", counted)
    for n in range(60):
        await used(await a.open(f"s{n}"), n)

    assert await a.drain(30).run() == 0

    assert written == [25, 25, 10]


async def test_a_drain_moves_all_that_sleep(a: Replica, b: Replica) -> None:
    for n in range(60):
        session = await a.open(f"s{n}")
        await used(session, n)
        await a.writer.write([session])
        await a.registry.put_to_sleep(session.slot, a.waking)

    assert await a.drain(1).run() == 0  # in larger batches, to be in time

    assert a.registry.held() == []
    for n in range(60):
        assert slider(await b.open(f"s{n}")).value == n


async def test_who_has_callbacks_wakes_first_and_nobody_while_others_come_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    woken: list[str] = []
    over = asyncio.Event()

    async def wake(slot: SessionSlot) -> None:
        woken.append(slot.key.session_id)
        if len(woken) == 3:
            over.set()

    monkeypatch.setattr(waking, "_wake", wake)
    monkeypatch.setattr(waking, "QUIET_SECONDS", 0.01)
    background = waking.Background(1)
    first, second, periodic = (Slot[Session](SessionKey("/app", name)) for name in ("1", "2", "periodic"))

    background.add(first)
    background.add(second)
    background.add(periodic, first=True)
    background.add(first)  # its page has pulled twice
    await over.wait()

    assert woken == ["periodic", "1", "2"]


async def test_a_drain_ends_in_time_whatever_a_callback_does(a: Replica) -> None:
    stuck, other = await a.open("stuck"), await a.open("other")
    await used(other, 7)
    begun = asyncio.Event()

    async def endless() -> None:
        begun.set()
        await asyncio.Event().wait()

    running = asyncio.create_task(stuck.with_document_locked(endless))
    await begun.wait()

    assert await a.drain(0.2).run() == 1

    assert list(a.registry) == []
    assert await a.registry.find(stuck.key) is None
    with pytest.raises(AppCodeAbandoned):
        await running


async def test_a_drain_waits_for_what_runs(a: Replica, b: Replica) -> None:
    session = await a.open()
    await used(session, 1)
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        begun.set()
        await go_on.wait()
        slider(session).value = 9

    running = asyncio.create_task(session.with_document_locked(slow))
    await begun.wait()
    draining = asyncio.create_task(a.drain(30).run())
    go_on.set()
    await asyncio.gather(running, draining)

    assert slider(await b.open()).value == 9


async def test_messages_have_their_turn_between_builds(a: Replica, app: App) -> None:
    """A replica that takes over many sessions goes on answering for those it has."""
    turns = 0

    async def answering() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    seen_by_builds: list[int] = []
    app.told = lambda: seen_by_builds.append(turns)
    grants = [OwnershipGrant(SessionKey(a.app.path, f"s{number}"), 1, PageRequest()) for number in range(4)]
    others = asyncio.create_task(answering())

    await asyncio.gather(*(built(a.registry, grant) for grant in grants))

    others.cancel()
    pauses = [later - earlier for earlier, later in pairwise(seen_by_builds)]
    assert len(pauses) == 3
    assert min(pauses) >= YIELDS_BETWEEN_BUILDS


def holding(session: Session, value: int) -> Callable[[], None]:
    """A callback that keeps a change back."""

    def hold() -> None:
        session.document.hold()
        slider(session).value = value

    return hold


async def test_what_is_held_back_goes_along_with_the_session(a: Replica, b: Replica) -> None:
    first = await a.open()
    await used(first, 7)
    heard: list[int] = []
    slider(first).on_change("value", lambda attr, old, new: heard.append(new))
    await first.with_document_locked(holding(first, 8))
    assert heard == []

    await a.move(first)

    assert heard == [8]
    assert slider(await b.open()).value == 8


async def test_a_held_callback_that_fails_keeps_no_session_here(a: Replica, b: Replica) -> None:
    def fail(attr: str, old: int, new: int) -> None:
        raise ValueError("no")

    first = await a.open()
    await used(first, 7)
    slider(first).on_change("value", fail)
    await first.with_document_locked(holding(first, 8))

    await a.move(first)

    assert len(a.registry) == 0
    assert (await b.open()).fidelity is Fidelity.EXACT


async def test_what_clients_set_in_a_held_document_is_written(a: Replica, b: Replica) -> None:
    """They are told OK, so it must not be lost, whenever the app lets go."""
    first = await a.open()
    await used(first, 7)
    await first.with_document_locked(first.document.hold)
    content = {"events": [{"kind": "ModelChanged", "model": slider(first).ref, "attr": "value", "new": 9}]}
    await first.apply(lambda: apply_patch(first.document, content, (), first), a_client())
    await a.writer.write([first])

    second = await b.open(take_from="a")

    assert slider(second).value == 9


async def test_a_held_document_stays_awake(a: Replica, store: RedisStore) -> None:
    session = await a.open()
    await used(session, 7)
    await session.with_document_locked(holding(session, 8))
    session.slot.connect(a_client())

    assert await a.hibernation().put_to_sleep() == 0


async def test_panel_tells_of_changes_that_nobody_watches(a: Replica, b: Replica) -> None:
    """It writes to connections itself, while the Document is held, and forgets what it has none for."""
    first = await a.open()
    await used(first, 7)

    def hold() -> None:
        first.document.hold()
        slider(first).value = 8
        events, first.document.callbacks._held_events = first.document.callbacks._held_events, []
        for connection in first._subscribed_connections:
            connection.write([event for event in events if isinstance(event, ModelChangedEvent)])

    await first.with_document_locked(hold)
    await a.move(first)

    assert slider(await b.open()).value == 8


async def test_a_suspect_that_stands_in_line_keeps_nobody_asleep(
    a: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits for others that may have ended their replicas; here for one that does not get done."""
    monkeypatch.setattr(waking, "QUIET_SECONDS", 0.01)
    slots = [(await a.open(name)).slot for name in ("suspect", "innocent")]
    suspect, innocent = slots
    for slot in slots:
        assert slot.session is not None
        await used(slot.session, 7)
        slot.connect(a_client())
        await a.writer.write([slot.session])
    await a.registry.put_to_sleep(suspect, waking._Suspected(a.waking, TakeoverMode.ALONE))
    await a.registry.put_to_sleep(innocent, a.waking)

    async with a.crash_guard.taking_over(SessionKey("/app", "ahead of it"), TakeoverMode.ALONE):
        for slot in slots:
            assert await slot.pulled_asleep(inline=False) is not None
        async with asyncio.timeout(30):
            while innocent.life.state is not State.LIVE:  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(0.01)
        assert suspect.life.state is State.WAKING
    await a.departures.leave(suspect, Reason.DRAINED)
