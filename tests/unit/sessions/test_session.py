"""A live session and its connections: one writer at a time, and everyone sees all changes in one order."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from bokeh.application import Application
from bokeh.application.handlers.function import FunctionHandler
from bokeh.document import Document, without_document_lock
from bokeh.io import curdoc as bokeh_curdoc
from bokeh.models import ColumnDataSource, Row, Slider
from harness.runs import built

from service.apps.loading import apps_from_applications
from service.documents import curdoc, ids
from service.errors import ProtocolError
from service.metrics import Metrics
from service.protocol import messages
from service.protocol.framing import Assembler
from service.protocol.messages import Frames, Message
from service.sessions.building import Builder, OwnershipGrant
from service.sessions.connection import Connection
from service.sessions.registry import Registry
from service.sessions.session import NO_MAINTENANCE, Maintenance, Session
from store.contract import PageRequest, SessionKey


class Wire:
    """A transport that keeps what is sent, as the messages a client would see."""

    def __init__(self) -> None:
        self.seen: list[Message] = []
        self.closed: int | None = None
        self.unsent = 0
        self._assembler = Assembler()

    def send(self, frames: Frames) -> None:
        for frame in frames:
            if (message := self._assembler.feed(frame)) is not None:
                self.seen.append(message)

    async def drained(self) -> None:
        self.unsent = 0

    def close(self, code: int, reason: str, *, patience: float | None = None) -> None:
        self.closed = code

    def kinds(self) -> list[str]:
        return [message.msgtype for message in self.seen]

    def values(self) -> list[Any]:
        """The new values in the patches that came."""
        patches = [message.content["events"] for message in self.seen if message.msgtype == "PATCH-DOC"]
        return [event["new"] for events in patches for event in events]


def app(document: Document) -> None:
    slider = Slider(name="slider", start=0, end=100, value=1)
    document.add_root(slider)
    document.add_root(ColumnDataSource(name="data", data={"x": [1.0, 2.0]}))


@pytest.fixture
def open_session() -> Callable[..., Any]:
    """`session = await open_session(function_that_makes_the_document)`."""
    ids.install()
    curdoc.install()

    async def build(
        make: Callable[[Document], None] = app, maintenance: Maintenance = NO_MAINTENANCE
    ) -> Session:
        apps = apps_from_applications({"/app": Application(FunctionHandler(make))})
        builder = Builder(durable=False, replay_inputs=True, metrics=Metrics(), maintenance=maintenance)
        return await built(
            Registry(apps, builder), OwnershipGrant(SessionKey("/app", "one"), 1, PageRequest())
        )

    return build


def joined(session: Session, token_id: str = "token") -> tuple[Connection, Wire]:
    wire = Wire()
    connection = Connection(session.slot, wire, token_id, meter=session.meter, max_bytes=1 << 20)
    connection.open()
    return connection, wire


async def say(connection: Connection, msgtype: str, content: Any = None) -> None:
    for frame in messages.compose(msgtype, json.dumps(content or {})):
        if (working := connection.receive(frame)) is not None:
            await working


def model(session: Session, name: str) -> Any:
    return session.document.select_one({"name": name})


def change(session: Session, value: Any) -> dict[str, Any]:
    slider = {"id": model(session, "slider").id}
    return {"events": [{"kind": "ModelChanged", "model": slider, "attr": "value", "new": value}]}


async def test_a_pull_is_answered_once_with_buffers_and_then_inline(open_session: Any) -> None:
    """BokehJS drops the buffers of any later reply."""
    session = await open_session(lambda document: document.add_root(ColumnDataSource(data=arrays())))
    connection, wire = joined(session)
    await say(connection, "PULL-DOC-REQ")
    again, later = joined(session)
    await say(again, "PULL-DOC-REQ")
    other, first = joined(session, "another page's token")
    await say(other, "PULL-DOC-REQ")

    assert [len(each.seen[-1].buffers) for each in (wire, later, first)] == [1, 0, 1]
    assert wire.kinds() == ["ACK", "PULL-DOC-REPLY"]


def arrays() -> dict[str, Any]:
    return {"x": np.arange(100.0)}


async def test_a_patch_is_not_sent_back_but_what_it_caused_is(open_session: Any) -> None:
    session = await open_session()
    slider = model(session, "slider")
    slider.on_change("value", lambda attr, old, new: slider.update(start=new - 1))
    (one, to_one), (other, to_other) = joined(session), joined(session)
    for each in (one, other):
        await say(each, "PULL-DOC-REQ")

    await say(one, "PATCH-DOC", change(session, 40))

    assert to_one.values() == [39]
    assert sorted(to_other.values()) == [39, 40]
    assert to_one.kinds()[-1] == "OK"


async def test_who_has_not_pulled_gets_no_patches(open_session: Any) -> None:
    session = await open_session()
    (one, _), (_, to_other) = joined(session), joined(session)
    await say(one, "PULL-DOC-REQ")
    await say(one, "PATCH-DOC", change(session, 40))
    assert to_other.kinds() == ["ACK"]


async def test_changes_wait_for_each_other(open_session: Any) -> None:
    session = await open_session()
    connection, wire = joined(session)
    await say(connection, "PULL-DOC-REQ")
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def long() -> None:
        model(session, "slider").value = 10
        begun.set()
        await go_on.wait()
        model(session, "slider").value = 11

    first = asyncio.create_task(session.with_document_locked(long))
    await begun.wait()
    second = asyncio.create_task(session.with_document_locked(set_value, session, 12))
    await asyncio.sleep(0)
    assert model(session, "slider").value == 10
    go_on.set()
    await asyncio.gather(first, second)
    assert wire.values() == [10, 11, 12]


def set_value(session: Session, value: int) -> None:
    model(session, "slider").value = value


async def test_no_client_is_told_of_models_that_came_and_went_while_the_document_was_held(
    open_session: Any,
) -> None:
    session = await open_session(
        lambda document: document.add_root(Row(name="row", children=[Slider(start=0, end=9, value=1)]))
    )
    connection, wire = joined(session)
    await say(connection, "PULL-DOC-REQ")
    row, passing = model(session, "row"), Slider(name="passing", start=0, end=9, value=1)

    def swap() -> None:
        session.document.hold()
        row.children = [*row.children, passing]
        passing.title = "seen by nobody"
        row.children = [Slider(title="stays", start=0, end=9, value=1)]
        session.document.unhold()

    await session.with_document_locked(swap)
    (events,) = [each.content["events"] for each in wire.seen if each.msgtype == "PATCH-DOC"]
    assert [event["attr"] for event in events] == ["children"]
    assert "seen by nobody" not in str(events)


async def test_a_change_without_the_lock_is_refused_and_says_how_else(open_session: Any) -> None:
    session = await open_session()
    with pytest.raises(RuntimeError, match="add_next_tick_callback"):
        model(session, "slider").value = 5


async def test_an_unlocked_callback_runs_beside_a_locked_one(open_session: Any) -> None:
    session = await open_session()
    begun, go_on = asyncio.Event(), asyncio.Event()
    seen: list[str] = []

    async def locked() -> None:
        begun.set()
        await go_on.wait()

    @without_document_lock
    async def unlocked() -> None:
        seen.append(type(bokeh_curdoc()).__name__)
        go_on.set()

    waiting = asyncio.create_task(session.run_callback(locked))
    await begun.wait()
    await session.run_callback(unlocked)
    await waiting
    assert seen == ["UnlockedDocumentProxy"]


async def test_what_runs_under_the_lock_gets_its_arguments_by_position_and_by_name(open_session: Any) -> None:
    session = await open_session()

    async def later(*args: int, **kwargs: int) -> Any:
        return args, kwargs

    assert await session.with_document_locked(dict, ((1, 2),), three=4) == {1: 2, "three": 4}
    assert await session.with_document_locked(later, 1, two=2) == ((1,), {"two": 2})


async def test_the_lock_is_given_back_when_a_callback_fails(open_session: Any) -> None:
    session = await open_session()
    connection, wire = joined(session)
    await say(connection, "PULL-DOC-REQ")

    def fails() -> None:
        set_value(session, 7)
        raise ValueError("on purpose")

    with pytest.raises(ValueError, match="on purpose"):
        await session.with_document_locked(fails)
    await session.with_document_locked(set_value, session, 8)
    assert wire.values() == [7, 8]


async def test_what_cannot_be_applied_is_answered_with_an_error(open_session: Any) -> None:
    session = await open_session()
    connection, wire = joined(session)
    await say(connection, "PATCH-DOC", change(session, "text"))
    assert wire.kinds() == ["ACK", "ERROR"]
    assert model(session, "slider").value == 1


@pytest.mark.parametrize("msgtype", ["ACK", "OK", "ERROR", "PULL-DOC-REPLY", "SERVER-INFO-REPLY"])
async def test_a_client_may_not_send_what_servers_send(open_session: Any, msgtype: str) -> None:
    connection, _ = joined(await open_session())
    with pytest.raises(ProtocolError, match=msgtype):
        await say(connection, msgtype)


async def test_a_push_replaces_everything_and_reaches_the_others(open_session: Any) -> None:
    session = await open_session()
    (one, to_one), (other, to_other) = joined(session), joined(session)
    await say(other, "PULL-DOC-REQ")
    pushed = Document()
    pushed.add_root(Slider(name="pushed", start=0, end=1, value=0))

    await say(one, "PUSH-DOC", {"doc": pushed.to_json(deferred=False)})

    assert [root.name for root in session.document.roots] == ["pushed"]
    assert to_one.kinds() == ["ACK", "OK"]
    patches = [each.content["events"] for each in to_other.seen if each.msgtype == "PATCH-DOC"]
    kinds = [event["kind"] for events in patches for event in events]
    assert {"RootRemoved", "RootAdded"} <= set(kinds)


async def test_a_root_that_comes_back_after_a_reconnect_is_no_news(open_session: Any) -> None:
    """BokehJS (3.9) sends all roots once more when it has reconnected."""
    session = await open_session()
    (one, to_one), (other, to_other) = joined(session), joined(session)
    for each in (one, other):
        await say(each, "PULL-DOC-REQ")
    slider = model(session, "slider")
    whole = {"type": "object", "name": "Slider", "id": slider.id, "attributes": {"value": 99}}

    await say(one, "PATCH-DOC", {"events": [{"kind": "RootAdded", "model": whole}]})

    assert to_one.kinds()[-1] == "OK"
    assert to_other.kinds() == ["ACK", "PULL-DOC-REPLY"]
    assert (len(session.document.roots), model(session, "slider").value) == (2, 1)


async def test_a_session_in_use_is_spared(open_session: Any) -> None:
    session = await open_session()
    connection, _ = joined(session)
    assert session.unused_for() == 0
    await connection.closed()
    assert session.unused_for() > 0


# -- what can be done at once ------------------------------------------------------------------


def hand_over(connection: Connection, content: Any) -> list[Any]:
    """What is left to be awaited of each frame of a PATCH-DOC."""
    return [connection.receive(frame) for frame in messages.compose("PATCH-DOC", json.dumps(content))]


async def test_a_patch_is_answered_at_once_where_nobody_else_is_at_work(open_session: Any) -> None:
    session = await open_session()
    connection, wire = joined(session)
    assert hand_over(connection, change(session, 4)) == [None, None, None]
    assert wire.kinds() == ["ACK", "OK"]
    assert model(session, "slider").value == 4


async def test_a_patch_waits_for_who_is_at_work(open_session: Any) -> None:
    session = await open_session()
    connection, wire = joined(session)
    working, done = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        working.set()
        await done.wait()
        set_value(session, 6)

    other = asyncio.create_task(session.with_document_locked(work))
    await working.wait()
    *_, left = hand_over(connection, change(session, 4))
    patching = asyncio.ensure_future(left)
    done.set()
    await asyncio.gather(other, patching)
    assert model(session, "slider").value == 4
    assert wire.kinds() == ["ACK", "PATCH-DOC", "OK"]


async def test_a_patch_that_must_be_stored_first_is_not_answered_at_once(open_session: Any) -> None:
    stored = asyncio.Event()

    async def settle(settled: Session) -> None:
        assert wire.kinds() == ["ACK"]
        await stored.wait()

    session = await open_session(maintenance=Maintenance(settle=settle))
    connection, wire = joined(session)
    *_, left = hand_over(connection, change(session, 4))
    patching = asyncio.ensure_future(left)
    stored.set()
    await patching
    assert wire.kinds() == ["ACK", "OK"]


async def test_a_patch_is_answered_when_those_it_reaches_have_caught_up(open_session: Any) -> None:
    session = await open_session()
    connection, wire = joined(session)
    slow, slow_wire = joined(session)
    await say(slow, "PULL-DOC-REQ")
    slow_wire.unsent = 1 << 30
    *_, left = hand_over(connection, change(session, 4))
    assert wire.kinds() == ["ACK"]
    await left
    assert slow_wire.unsent == 0
    assert wire.kinds() == ["ACK", "OK"]


@pytest.mark.parametrize("value", [1, 2, 2.5, "text", None, {"type": "nonsense"}])
async def test_at_once_or_after_waiting_all_see_the_same(open_session: Any, value: Any) -> None:
    seen = []
    for at_once in (True, False):
        session = await open_session()
        connection, wire = joined(session)
        other, other_wire = joined(session)
        await say(other, "PULL-DOC-REQ")
        *_, content = frames = messages.compose("PATCH-DOC", json.dumps(change(session, value)))
        for frame in frames[:-1]:
            connection.receive(frame)
        async with session._lock if not at_once else contextlib.nullcontext():
            left = connection.receive(content)
        assert (left is None) == at_once
        if left is not None:
            await left
        patches = [message.content for message in other_wire.seen if message.msgtype == "PATCH-DOC"]
        answers = [(message.msgtype, message.content) for message in wire.seen]
        seen.append((answers, patches, model(session, "slider").value))
    assert seen[0] == seen[1]
