"""Slow code of apps is named while it still runs: what, whose, how long and where."""

from __future__ import annotations

import asyncio
import gc
import linecache
import logging
import re
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from bokeh.document import Document
from bokeh.document.locking import UnlockedDocumentProxy
from bokeh.io import curdoc as bokeh_curdoc

from service.apps import slow
from service.apps.execution import Execution
from service.apps.imports import ImportSpace
from service.apps.slow import SlowCalls
from service.apps.steps import stepwise, under_way
from service.background import beside
from service.documents import curdoc, ids
from service.documents.ids import IdSpace, new_document

WAIT = 30
LIMIT = 0.1
FACTS = {"app": "/sales", "session": "ab12"}


class Lines(logging.Handler):
    """What is logged; code can wait for it."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self.warned = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)
        if record.levelno == logging.WARNING:
            self.warned.set()

    @property
    def warnings(self) -> list[str]:
        return [each.getMessage() for each in self.records if each.levelno == logging.WARNING]


@pytest.fixture
def lines() -> Iterator[Lines]:
    ids.install()
    curdoc.install()
    handler, logger = Lines(), logging.getLogger("service.apps.slow")
    logger.addHandler(handler)
    level = logger.level
    logger.setLevel(logging.INFO)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(level)


@asynccontextmanager
async def watching(limit: float = LIMIT, whose: Callable[[str], str] = lambda file: "") -> Any:
    counted: list[str] = []
    calls = SlowCalls(limit, counted.append, whose)
    async with beside(calls.run()):
        await asyncio.sleep(0)
        yield calls, counted


def execution() -> Execution:
    space = IdSpace("session")
    return Execution(ImportSpace(None), space, new_document(space), FACTS)


def place(func: Any) -> str:
    return f"{func.__qualname__} ({__file__}, line {func.__code__.co_firstlineno})"


async def test_a_slow_callback_is_named_while_it_runs(lines: Lines) -> None:
    def pressed() -> None:
        compute()

    def compute() -> None:
        assert lines.warned.wait(WAIT)

    async with watching() as (calls, counted):
        await asyncio.to_thread(execution().call, pressed)

        (warning,) = lines.warnings
        first, *stack = warning.splitlines()
        running = r" has been running for \d+\.\d s; it is now at"
        assert re.fullmatch(re.escape(place(pressed)) + running, first)
        assert [each for each in stack if each.startswith("  File")][:2] == [
            f'  File "{__file__}", line {line}, in {name}'
            for line, name in (
                (pressed.__code__.co_firstlineno + 1, "pressed"),
                (compute.__code__.co_firstlineno + 1, "compute"),
            )
        ]
        assert "    assert lines.warned.wait(WAIT)" in stack
        assert (lines.records[0].app, lines.records[0].session) == ("/sales", "ab12")  # type: ignore[attr-defined]
        assert lines.records[-1].getMessage().startswith(f"{place(pressed)} has ended after ")
        (call,) = calls.latest()
        assert (call.app, call.session, call.place, call.running) == ("/sales", "ab12", place(pressed), False)
        assert counted == ["/sales"]
    assert not under_way


async def test_sources_that_it_shows_are_not_kept(lines: Lines) -> None:
    linecache.cache.pop(__file__, None)

    async with watching():
        await asyncio.to_thread(execution().call, lambda: lines.warned.wait(WAIT))

    assert "lines.warned.wait(WAIT)" in lines.warnings[0]
    assert __file__ not in linecache.cache


async def test_on_the_event_loop_everybody_waits(lines: Lines) -> None:
    def pressed() -> None:
        assert lines.warned.wait(WAIT)

    async with watching():
        await execution().run(pressed)

    assert ", and everybody on this replica waits; it is now at" in lines.warnings[0]


@pytest.mark.parametrize("locked", [True, False])
async def test_a_coroutine_is_slow_between_two_awaits(lines: Lines, locked: bool) -> None:
    seen: list[Any] = []

    async def pressed() -> str:
        await asyncio.sleep(LIMIT * 2)
        seen.append(bokeh_curdoc())
        await deeper()
        return "result"

    async def deeper() -> None:
        await asyncio.sleep(0)
        assert lines.warned.wait(WAIT)

    async with watching() as (_, counted):
        assert await execution().run(pressed, locked=locked) == "result"

    assert type(seen[0]) is (Document if locked else UnlockedDocumentProxy)
    assert lines.warnings[0].startswith(place(pressed))
    assert set(counted) == {"/sales"}


async def test_what_only_waits_is_no_step() -> None:
    waits, go = asyncio.Event(), asyncio.Event()

    async def pressed() -> None:
        waits.set()
        await go.wait()

    task = asyncio.create_task(execution().run(pressed))
    await waits.wait()
    await asyncio.sleep(0)
    assert threading.get_ident() not in under_way
    go.set()
    await task


async def test_a_place_is_logged_once_in_a_while(lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    fake = type("time", (), {"time": lambda: 0.0, "monotonic": lambda: now[0]})

    def pressed() -> None:
        pass

    def other() -> None:
        pass

    calls = SlowCalls(1.0, lambda app: None)
    monkeypatch.setattr(slow, "time", fake)
    for at in (1.0, 2.0, 3.0, 62.0):
        now[0] = at
        for func in (pressed, other) if at == 2.0 else (pressed,):
            step = slow.Step(func, FACTS)
            with step:
                pass
            calls.ended(step, 1.5)

    said = f"{place(pressed)} took 1.5 s"
    assert lines.warnings == [
        said, f"{place(other)} took 1.5 s", f"{said} (the same 2 times more since this was last logged)",
    ]  # fmt: skip
    assert len(calls.latest()) == 5


async def test_a_call_within_a_call_is_told_of_once(lines: Lines) -> None:
    one = execution()

    def build() -> None:
        one.call(validate)

    def validate() -> None:
        assert lines.warned.wait(WAIT)

    async with watching() as (calls, counted):
        one.call(build)

    assert len(lines.warnings) == len(calls.latest()) == len(counted) == 1


async def test_with_a_limit_of_0_nothing_is_watched(lines: Lines) -> None:
    async with watching(0) as (calls, counted):
        await execution().run(lambda: lines.warned.wait(LIMIT * 2))

    assert (lines.records, counted, calls.latest()) == ([], [], [])
    assert "slow-calls" not in {each.name for each in threading.enumerate()}


async def test_a_task_that_an_app_began_holds_up_the_loop(lines: Lines) -> None:
    async def feed() -> None:
        assert lines.warned.wait(WAIT)

    async with watching(whose=lambda file: "/feeds" if file == __file__ else "") as (calls, counted):
        await asyncio.sleep(LIMIT)
        await asyncio.create_task(feed())
        await asyncio.sleep(LIMIT)

    assert lines.warnings[0].startswith(place(feed))
    assert "everybody on this replica waits" in lines.warnings[0]
    assert set(counted) == {"/feeds"}
    assert not calls.latest()[0].running


async def test_what_goes_into_a_coroutine_and_comes_out_is_untouched() -> None:
    async def waits() -> None:
        try:
            await asyncio.sleep(WAIT)
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            raise

    async def wrapped() -> None:
        await stepwise(waits(), FACTS)

    task = asyncio.create_task(wrapped())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(ZeroDivisionError):
        await stepwise(fails(None), FACTS)


async def fails(thing: object) -> None:
    await asyncio.sleep(0)
    raise ZeroDivisionError


async def test_a_failing_coroutine_leaves_no_cycle() -> None:
    """Documents have to go at once, not at some collection."""

    class Thing:
        pass

    thing = Thing()
    gone = weakref.ref(thing)
    gc.disable()
    try:
        with pytest.raises(ZeroDivisionError) as raised:
            await stepwise(fails(thing), FACTS)
        del raised, thing
        assert gone() is None
    finally:
        gc.enable()
