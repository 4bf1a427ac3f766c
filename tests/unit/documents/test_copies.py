"""Large arrays are copied once, when those before are gone; clients and journal agree on what they held."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextvars import copy_context
from typing import Any

import numpy as np
import pytest
from bokeh.document import Document
from bokeh.document.events import DocumentPatchedEvent
from bokeh.models import ColumnDataSource, Slider
from harness.comparing import both
from harness.runs import Run, app_of
from hypothesis import given, settings
from hypothesis import strategies as st

from service.documents import shortcuts
from service.documents.copies import Copies, copied, copy_of
from service.documents.encoding import encode_patch
from service.sessions.session import Session
from store.records import Pieces

SIZE = 20_000


def column(value: float) -> np.ndarray[Any, Any]:
    return np.full(SIZE, float(value))


@pytest.fixture(autouse=True)
def _bokeh_as_it_was() -> Iterator[None]:
    yield
    shortcuts.remove()


# -- when they are made ----------------------------------------------------------------------------


class Watcher:
    """Encodes changes as a session does, and tells whether the first column was still there by then."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch | None = None) -> None:
        first = column(0)
        self.first = weakref.ref(first)
        self.source = ColumnDataSource(data={"x": first})
        self.document = Document()
        self.document.add_root(self.source)
        self.document.on_change_dispatch_to(self)
        self.copied_beside_the_first: list[bool] = []
        self.sent: list[Copies] = []
        if monkeypatch is not None:
            make = Copies.make
            monkeypatch.setattr(Copies, "make", lambda copies: (self._look(), make(copies))[1])

    def _look(self) -> None:
        self.copied_beside_the_first.append(self.first() is not None)

    def _document_patched(self, event: DocumentPatchedEvent) -> None:
        self.sent.append(encode_patch(event)[1])

    def values(self) -> list[float]:
        """The first value of each column that was sent."""
        return [float(np.frombuffer(data)[0]) for copies in self.sent for _, data in copies]


def replace(watcher: Watcher) -> None:
    watcher.source.data = {"x": column(1)}


def assign(watcher: Watcher) -> None:
    watcher.source.data["x"] = column(1)


@pytest.mark.parametrize("change", [replace, assign])
def test_a_column_is_copied_when_the_one_before_is_gone(
    change: Callable[[Watcher], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    shortcuts.install()
    watcher = Watcher(monkeypatch)

    change(watcher)

    assert watcher.copied_beside_the_first == [False]
    assert watcher.values() == [1.0]


def test_who_listens_as_well_cannot_change_what_is_sent() -> None:
    def carry_out() -> Any:
        watcher = Watcher()

        def spoil(event: Any) -> None:
            watcher.source.data["x"][:] = 7.0

        watcher.document.on_change(spoil)
        replace(watcher)
        return watcher.values()

    assert both(carry_out) == ([1.0], [1.0])


def _spoil(watcher: Watcher) -> None:
    watcher.source.data["x"][:] = 7.0


def _chain(watcher: Watcher) -> None:
    """Setting one column sets another, which is told of first."""
    other = ColumnDataSource(data={"x": column(10)})
    watcher.document.add_root(other)

    def follow(attr: str, old: Any, new: Any) -> None:
        other.data = {"x": column(11)}
        other.data["x"][:] = 12.0

    watcher.source.on_change("data", follow)
    replace(watcher)


def _hold(watcher: Watcher) -> None:
    watcher.document.hold("collect")
    replace(watcher)
    watcher.document.unhold()
    _spoil(watcher)


def _fail(watcher: Watcher) -> None:
    def fails(attr: str, old: Any, new: Any) -> None:
        raise ZeroDivisionError

    watcher.source.on_change("data", fails)
    with pytest.raises(ZeroDivisionError):
        replace(watcher)
    watcher.source.remove_on_change("data", fails)
    replace(watcher)
    _spoil(watcher)


STEPS = {
    "replace": replace,
    "assign": assign,
    "spoil": _spoil,
    "chain": _chain,
    "hold": _hold,
    "fail": _fail,
    "stream": lambda watcher: watcher.source.stream({name: column(3) for name in watcher.source.data}, SIZE),
    "patch": lambda watcher: watcher.source.patch({"x": [(0, 4.0)]}),
    "update": lambda watcher: watcher.source.data.update(x=column(5), y=column(6)),
}


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from(sorted(STEPS)), max_size=6))
def test_clients_are_sent_what_was_there_when_it_was_told(names: list[str]) -> None:
    def carry_out() -> Any:
        watcher = Watcher()
        for name in names:
            STEPS[name](watcher)
        return watcher.values()

    # In a context of its own, in which Bokeh may leave the Document of who failed.
    theirs, ours = both(lambda: copy_context().run(carry_out))
    assert ours == theirs


# -- for the journal -------------------------------------------------------------------------------


def big(document: Document) -> None:
    source = ColumnDataSource(data={"x": np.zeros(1)}, name="source")
    slider = Slider(start=0, end=1000, value=0, name="slider")
    slider.on_change("value", lambda attr, old, new: setattr(source, "data", {"x": column(new)}))
    document.add_root(source)
    document.add_root(slider)


class Client:
    """A connection that keeps what it was sent."""

    congested = subscribed = True

    def __init__(self, session: Session) -> None:
        self.payloads: list[bytes | memoryview] = []
        session.slot.connect(self)  # type: ignore[arg-type]

    def send(self, frames: Any) -> None:
        self.payloads += [frame for frame in frames if not isinstance(frame, str)]

    async def catch_up(self) -> None:
        return


async def watched() -> tuple[Run, Client]:
    run = await Run.begin(app_of(big))
    await run.pull()
    run.take()
    return run, Client(run.session)


def parts(run: Run) -> tuple[bytes | memoryview, ...]:
    """The entry of the columns as it is written now."""
    (entry,) = [data for name, data in run.take().put.items() if name.endswith(":data")]
    return entry.parts if isinstance(entry, Pieces) else (entry,)


def spoil(run: Run) -> None:
    """Write into the column without telling anybody."""
    run["source"].data["x"][:] = 7.0


async def restored(run: Run) -> float:
    return float((await run.restored())["source"].data["x"][0])


async def test_the_journal_holds_the_very_bytes_that_clients_were_sent() -> None:
    run, client = await watched()
    await run.sent(("slider", "value", 5))

    assert any(part is client.payloads[-1] for part in parts(run))
    assert await restored(run) == 5.0
    assert run.session.journal is not None
    assert run.session.journal.stored_bytes == sum(len(bytes(entry)) for entry in run.stored.values())


async def test_a_client_that_has_to_catch_up_changes_nothing_about_that() -> None:
    run, client = await watched()
    await run.sent(("slider", "value", 5))
    client.congested = True
    await run.session.catch_up()

    assert any(part is client.payloads[-1] for part in parts(run))


async def test_they_are_held_no_longer_than_until_they_are_taken() -> None:
    run, _ = await watched()
    await run.sent(("slider", "value", 5))
    run.take()

    assert run.session.journal is not None
    assert run.session.journal._shown == {}


async def test_they_are_held_no_longer_than_until_work_begins_anew() -> None:
    run, client = await watched()
    await run.sent(("slider", "value", 5))
    await run.do(spoil, run)

    assert not any(part is client.payloads[-1] for part in parts(run))
    assert await restored(run) == 7.0


async def test_with_nobody_watching_the_column_is_written_all_the_same() -> None:
    run, client = await watched()
    client.subscribed = False
    await run.sent(("slider", "value", 5))
    await run.do(spoil, run)

    assert client.payloads == []
    assert len(parts(run)) > 1
    assert await restored(run) == 7.0


def _told_again(run: Run) -> None:
    run["source"].data = {"x": column(1)}
    spoil(run)
    run["source"].data = dict(run["source"].data)


def _patched(run: Run) -> None:
    run["source"].data = {"x": column(1)}
    run["source"].patch({"x": [(0, 7.0)]})


def _one_more_column(run: Run) -> None:
    run["source"].data = {"x": column(1)}
    spoil(run)
    run["source"].data["y"] = column(2)


def _watched_no_longer(run: Run) -> None:
    run["source"].data = {"x": column(1)}
    for client in run.session.connections:
        client.subscribed = False
    spoil(run)
    run["source"].data = dict(run["source"].data)


@pytest.mark.parametrize("change", [_told_again, _patched, _one_more_column, _watched_no_longer])
async def test_what_is_told_later_counts(change: Callable[[Run], None]) -> None:
    run, _ = await watched()
    await run.do(change, run)
    run.take()

    assert await restored(run) == 7.0


@pytest.mark.parametrize("dtype", ["f8", ">f8", "i8", "u4", "M8[ms]", "U3", "?"])
@pytest.mark.parametrize("transposed", [False, True])
async def test_any_kind_of_array_comes_back_as_it_was(dtype: str, transposed: bool) -> None:
    run, _ = await watched()
    array = np.arange(SIZE).astype(dtype).reshape(2, -1)
    value = array.T if transposed else array

    await run.do(lambda: setattr(run["source"], "data", {"x": value}))
    run.take()

    back = (await run.restored())["source"].data["x"]
    assert (back.dtype, back.shape, back.tobytes()) == (value.dtype, value.shape, value.tobytes())


@pytest.mark.parametrize("size", [0, 10, SIZE])
def test_a_copy_holds_what_was_there_then_and_cannot_be_changed(size: int) -> None:
    array = np.arange(size, dtype=float).reshape(2, -1)
    expected = array.tobytes()
    copies = [copied(array.data), copied(array.T.data), copy_of(array), copy_of(array.T)]
    transposed = array.T.tobytes()
    array[:] = 7.0

    assert [bytes(copy) for copy in copies] == [expected, transposed] * 2
    assert all(memoryview(copy).readonly for copy in copies)
    assert all(len(copy) == len(expected) for copy in copies)


def test_a_large_copy_takes_as_much_memory_as_the_array() -> None:
    array = column(1)
    copy = copied(array.data)

    assert isinstance(copy, memoryview)
    assert isinstance(copy.obj, np.ndarray)
    assert copy.obj.nbytes == array.nbytes
