"""The collector sees what is new, and everything only when asked to."""

from __future__ import annotations

import gc
import platform
import subprocess
import sys
import weakref
from collections.abc import Iterator

import pytest

from service import memory
from service.memory import GROWTH_ENDED, THRESHOLDS, Collector, resident


class Node:
    """Something that refers to itself, so that only the collector can find it."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    collector.settle()
    yield collector
    collector.stop()


def test_new_garbage_is_found_without_a_look_at_what_is_old(collector: Collector) -> None:
    before = gc.get_freeze_count()
    assert before > 0
    new = weakref.ref(Node())
    gc.collect()
    assert new() is None
    assert gc.get_freeze_count() >= before * 0.9


def test_what_survives_is_not_looked_at_again(collector: Collector) -> None:
    node = Node()
    gone = weakref.ref(node)
    gc.collect()
    del node
    gc.collect()
    assert gone() is not None

    collector.collect_thoroughly()
    assert gone() is None


def test_what_ended_sessions_left_is_collected_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    ended, used = 0, 500 << 20
    monkeypatch.setattr(memory, "resident", lambda: used)
    collector = Collector(lambda: ended)
    collector.settle()
    try:
        used += GROWTH_ENDED + 1
        assert not collector.due(), "who is there may need it"
        ended += 1
        assert collector.due()
        collector.collect_thoroughly()
        assert not collector.due()
    finally:
        collector.stop()


def test_looking_at_everything_takes_a_small_share_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    ended, used = 0, 500 << 20
    monkeypatch.setattr(memory, "resident", lambda: used)
    collector = Collector(lambda: ended)
    collector.settle()
    try:
        collector.collect_thoroughly()
        used, ended = used + GROWTH_ENDED + 1, 1
        assert not collector.due(), "it has just been done"
    finally:
        collector.stop()


def test_afterwards_python_s_collector_is_as_before() -> None:
    before = gc.get_threshold(), list(gc.callbacks)
    collector = Collector()
    collector.settle()
    assert gc.get_threshold() == THRESHOLDS
    collector.stop()
    collector.stop()
    assert (gc.get_threshold(), list(gc.callbacks)) == before
    assert gc.get_freeze_count() == 0


def test_memory_in_use_is_known() -> None:
    assert resident() > 1024 * 1024


_FAULTS = """
import resource
from service.memory import keep_large_blocks, resident

before = resident()
{call}
grown = resident() - before

def pages():
    begun = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    three = [b"x" * 10_000_000 for _ in range(3)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - begun

pages(), pages()
print(pages(), grown)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators have other ways")
@pytest.mark.parametrize("call", ["keep_large_blocks()", "pass"])
def test_large_blocks_that_were_freed_serve_again(call: str) -> None:
    code = _FAULTS.format(call=call)
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    pages, grown = map(int, found.stdout.split())

    assert (pages < 500) == (call != "pass")
    assert grown < 1024 * 1024
