"""Eight threads that change Documents at once, and are made to give way after every few instructions.

Every change has to be in each client's copy once, in order, in the journal, and in what is restored from it.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any

import pytest
import pytest_asyncio
from bokeh.application import Application
from bokeh.application.handlers.function import FunctionHandler
from bokeh.document import Document, without_document_lock
from bokeh.models import ColumnDataSource, Div, Slider
from harness.runs import built

from service.apps.app import App
from service.apps.loading import apps_from_applications
from service.apps.worker_pool import WorkerPool
from service.documents import curdoc, ids, scheduling, shortcuts
from service.metrics import Metrics
from service.protocol import messages
from service.protocol.framing import Assembler
from service.protocol.messages import Frames, Message
from service.sessions.building import Builder, OwnershipGrant
from service.sessions.connection import Connection
from service.sessions.journaling import JournalWriter
from service.sessions.registry import Registry
from service.sessions.session import Maintenance, Session
from store.connect import open_store
from store.contract import PageRequest, SessionKey
from store.redis_store import RedisStore

THREADS = 8
SESSIONS = 12
MOVES = 25


class Wire:
    """A transport that keeps what is sent, as the messages a client would see."""

    def __init__(self) -> None:
        self.seen: list[Message] = []
        self.unsent = 0
        self._assembler = Assembler()
        self._thread = threading.get_ident()

    def send(self, frames: Frames) -> None:
        assert threading.get_ident() == self._thread
        for frame in frames:
            if (message := self._assembler.feed(frame)) is not None:
                self.seen.append(message)

    async def drained(self) -> None:
        """All is taken at once."""

    def close(self, code: int, reason: str, *, patience: float | None = None) -> None:
        """Nobody comes to this."""


def joined(session: Session) -> tuple[Connection, Wire]:
    wire = Wire()
    connection = Connection(session.slot, wire, "token", meter=session.meter, max_bytes=1 << 20)
    connection.open()
    return connection, wire


async def say(connection: Connection, msgtype: str, content: Any = None) -> None:
    for frame in messages.compose(msgtype, json.dumps(content or {})):
        if (working := connection.receive(frame)) is not None:
            await working


def model(session: Session, name: str) -> Any:
    return session.document.select_one({"name": name})


def app(document: Document) -> None:
    """Each move streams a row, makes a model, and has a thread hand in one more."""
    slider = Slider(name="slider", start=0, end=1_000_000, value=0)
    source = ColumnDataSource(name="data", data={"n": [], "thread": []})
    made = Div(name="made", text="0", tags=[])
    at_work: list[int] = []
    most = Div(name="most", text="0")

    def moved(attr: str, old: int, new: int) -> None:
        at_work.append(new)
        most.text = str(max(int(most.text), len(at_work)))
        source.stream({"n": [new], "thread": [threading.get_ident() % 1000]})
        extra = Div(text=f"{new}")
        made.tags = [*made.tags, extra.id]
        document.add_root(extra)
        threading.Thread(target=lambda: document.add_next_tick_callback(partial(later, new))).start()
        at_work.pop()

    def later(number: int) -> None:
        at_work.append(number)
        most.text = str(max(int(most.text), len(at_work)))
        made.text = str(int(made.text) + 1)
        at_work.pop()

    slider.on_change("value", moved)
    for each in (slider, source, made, most):
        document.add_root(each)


@pytest.fixture
def switching() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest_asyncio.fixture
async def pool() -> AsyncIterator[WorkerPool]:
    ids.install()
    curdoc.install()
    scheduling.install()
    shortcuts.install()
    made = WorkerPool(THREADS)
    made.open()
    yield made
    made.close()


@pytest_asyncio.fixture
async def store() -> AsyncIterator[RedisStore]:
    opened = open_store(None)
    yield opened
    await opened.close()


def served(pool: WorkerPool) -> App:
    found = apps_from_applications({"/app": Application(FunctionHandler(app))})["/app"]
    found.run_on(pool.workers("/app"))
    return found


class Stage:
    def __init__(self, pool: WorkerPool, store: RedisStore) -> None:
        metrics = Metrics()
        self.store = store
        self.writer = JournalWriter(
            store, "a", interval=0.005, max_bytes=2**24, sync=False, lost=lambda _: None, metrics=metrics
        )
        self._builder = Builder(
            durable=True, replay_inputs=True, metrics=metrics, maintenance=Maintenance(mark=self.writer.mark)
        )
        self._app = served(pool)
        self.registry = Registry({"/app": self._app}, self._builder)

    async def open(self, name: str) -> Session:
        key = SessionKey("/app", name)
        claim = await self.store.claim(key, "a", request=PageRequest())
        return await built(self.registry, OwnershipGrant(key, claim.epoch, PageRequest()))

    async def restored(self, session: Session) -> Session:
        """As another replica would have it, without what its threads would hand in anew."""
        fields = await self.store.read_journal(session.key)
        grant = OwnershipGrant(session.key, session.epoch + 1, PageRequest(), fields, replay=False)
        return await self._builder.build_alone(self._app, grant)


async def use(session: Session) -> Wire:
    connection, wire = joined(session)
    await say(connection, "PULL-DOC-REQ")
    slider = {"id": model(session, "slider").id}
    for number in range(1, MOVES + 1):
        change = {"kind": "ModelChanged", "model": slider, "attr": "value", "new": number}
        await say(connection, "PATCH-DOC", {"events": [change]})
    while model(session, "made").text != str(MOVES) or session.locked:  # noqa: ASYNC110 - it has no event
        await asyncio.sleep(0.001)  # threads hand in what they have, in their own time
    return wire


def client_copy(wire: Wire) -> Document:
    """What a client makes of all it was sent."""
    document = Document()
    for message in wire.seen:
        assert message.msgtype != "ERROR", message.content
        if message.msgtype == "PULL-DOC-REPLY":
            document.replace_with_json(message.content["doc"])
        elif message.msgtype == "PATCH-DOC":
            document.apply_json_patch(message.content)
    return document


def state_of(document: Document) -> dict[str, Any]:
    found: Any = {name: document.select_one({"name": name}) for name in ("slider", "data", "made", "most")}
    return {
        "slider": found["slider"].value,
        "rows": list(found["data"].data["n"]),
        "made": (found["made"].text, list(found["made"].tags)),
        "most": found["most"].text,
        "roots": [root.id for root in document.roots],
    }


async def test_nothing_is_torn_lost_doubled_or_named_twice(
    pool: WorkerPool, store: RedisStore, switching: None
) -> None:
    stage = Stage(pool, store)
    writing = asyncio.create_task(stage.writer.run())
    sessions = await asyncio.gather(*(stage.open(f"session {n}") for n in range(SESSIONS)))

    wires = await asyncio.gather(*map(use, sessions))

    assert all(await asyncio.gather(*(stage.writer.write([session]) for session in sessions)))
    writing.cancel()
    names: list[str] = []
    for session, wire in zip(sessions, wires, strict=True):
        state = state_of(session.document)
        assert state["slider"] == MOVES
        assert state["rows"] == list(range(1, MOVES + 1))
        assert state["most"] == "1"
        assert [each.msgtype for each in wire.seen].count("OK") == MOVES
        copy = state_of(client_copy(wire))
        assert {**copy, "slider": MOVES} == state  # its own change is not sent back to it
        restored = await stage.restored(session)
        assert state_of(restored.document) == state
        names += [root.id for root in session.document.roots]
    assert len(set(names)) == len(names)


async def test_of_one_session_never_two_at_once(pool: WorkerPool, switching: None) -> None:
    """Whoever asks: patches, next ticks, coroutines without the lock."""
    at_work: list[str] = []
    most: list[int] = []

    def work(name: str) -> None:
        at_work.append(name)
        most.append(len(at_work))
        time.sleep(0 if name.startswith("unlocked") else 0.005)  # longer than the event loop stands still
        at_work.remove(name)

    def make(document: Document) -> None:
        slider = Slider(name="slider", start=0, end=1000, value=0)
        slider.on_change("value", lambda attr, old, new: work(f"patch {new}"))
        document.add_root(slider)

    def unlocked(number: int) -> Any:
        async def run() -> None:
            for step in range(10):
                work(f"unlocked {number} {step}")
                await asyncio.sleep(0)

        return without_document_lock(run)

    found = apps_from_applications({"/app": Application(FunctionHandler(make))})["/app"]
    found.run_on(pool.workers("/app"))
    builder = Builder(durable=True, replay_inputs=True, metrics=Metrics())
    session = await builder.build_alone(found, OwnershipGrant(SessionKey("/app", "one"), 1, PageRequest()))
    connection, _ = joined(session)
    await say(connection, "PULL-DOC-REQ")
    slider = {"id": model(session, "slider").id}

    async def move(number: int) -> None:
        change = {"kind": "ModelChanged", "model": slider, "attr": "value", "new": number}
        await say(connection, "PATCH-DOC", {"events": [change]})

    tasks = [session.run_callback(unlocked(number)) for number in range(10)]
    tasks += [session.run_callback(partial(work, f"tick {number}")) for number in range(40)]

    async def moves() -> None:
        for number in range(1, 40):
            await move(number)

    await asyncio.gather(*tasks, moves())

    assert len(most) == 10 * 10 + 40 + 39
    assert set(most) == {1}


async def test_what_is_sent_at_once_comes_before_what_waits(pool: WorkerPool) -> None:
    """As Panel sends, in the middle of a callback on a thread, be it over quickly or not."""
    seen: dict[str, Any] = {}

    def make(document: Document) -> None:
        slider = Slider(name="slider", start=0, end=1000, value=0)
        told = Div(name="told", text="")

        def moved(attr: str, old: int, new: int) -> None:
            told.text = f"{new} first"
            document.hold()
            told.text = f"{new} second"
            held, document.callbacks._held_events = document.callbacks._held_events, []
            document.unhold()
            seen["session"].send_at_once(held)
            time.sleep(0.01 * (new % 2))
            told.text = f"{new} third"

        slider.on_change("value", moved)
        document.add_root(slider)
        document.add_root(told)

    found = apps_from_applications({"/app": Application(FunctionHandler(make))})["/app"]
    found.run_on(pool.workers("/app"))
    builder = Builder(durable=True, replay_inputs=True, metrics=Metrics())
    grant = OwnershipGrant(SessionKey("/app", "one"), 1, PageRequest())
    session = seen["session"] = await builder.build_alone(found, grant)
    connection, wire = joined(session)
    await say(connection, "PULL-DOC-REQ")
    for number in range(1, 9):
        change = {"kind": "ModelChanged", "model": {"id": model(session, "slider").id}, "attr": "value"}
        await say(connection, "PATCH-DOC", {"events": [{**change, "new": number}]})

    patches = [each.content["events"] for each in wire.seen if each.msgtype == "PATCH-DOC"]
    told = [event["new"] for events in patches for event in events]
    assert told == [f"{n} {which}" for n in range(1, 9) for which in ("first", "second", "third")]
