"""The collector sees what is new, and everything only when asked to."""

from __future__ import annotations

import gc
import math
import os
import platform
import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

from service import memory
from service.errors import MemoryExceeded
from service.memory import GROWTH_ENDED, THRESHOLDS, Collector, Growth, container_limit, resident


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


def test_what_ended_sessions_left_is_found_without_looking_at_the_rest(collector: Collector) -> None:
    frozen = gc.get_freeze_count()
    node = Node()
    gone = weakref.ref(node)
    gc.collect(1)  # as Python does itself: it is no new object from here on
    del node
    gc.collect(1)
    assert gone() is not None

    collector.collect_what_ended_left()
    assert gone() is None
    assert gc.get_freeze_count() == frozen


def test_what_an_app_has_frozen_by_a_collection_is_found_nevertheless(collector: Collector) -> None:
    node = Node()
    gone = weakref.ref(node)
    gc.collect()
    del node
    collector.collect_what_ended_left()
    assert gone() is None


def test_while_a_crowd_leaves_nothing_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those who are there explain what is in use, as far as is known."""
    ended, live, used = 0, 0, 300 << 20
    monkeypatch.setattr(memory, "resident", lambda: used)
    collector = Collector(lambda: ended, lambda: live)
    collector.settle()
    try:
        live, ended, used = 10, 290, 380 << 20
        assert not collector.is_left_behind()
        live, ended = 0, 300
        assert collector.is_left_behind()
        used += GROWTH_ENDED * 10
        assert collector.has_grown(), "but it is, when it takes too much"
    finally:
        collector.stop()


def test_what_ended_sessions_left_is_collected_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    ended, used = 0, 500 << 20
    monkeypatch.setattr(memory, "resident", lambda: used)
    collector = Collector(lambda: ended)
    collector.settle()
    try:
        used += GROWTH_ENDED + 1
        assert not collector.is_left_behind(), "who is there may need it"
        ended += 1
        assert collector.is_left_behind()
        collector.collect_thoroughly()
        assert not collector.is_left_behind()
    finally:
        collector.stop()


def test_what_sessions_left_that_lived_at_the_last_collection_is_collected_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Memory does not grow then, but should have become less."""
    ended, live, used = 0, 0, 300 << 20
    monkeypatch.setattr(memory, "resident", lambda: used)
    monkeypatch.setattr(memory, "SHARE_ENDED", math.inf)
    collector = Collector(lambda: ended, lambda: live)
    collector.settle()
    try:
        live, used = 10, 500 << 20
        collector.collect_thoroughly()

        live, ended, used = 5, 5, 400 << 20
        assert not collector.is_left_behind(), "all that they had is gone"
        used = 440 << 20
        assert collector.is_left_behind()
        live, ended, used = 0, 10, 500 << 20
        assert collector.is_left_behind()

        collector.collect_thoroughly()
        ended = 11
        assert not collector.is_left_behind(), "what is left belongs to nobody: the server has become larger"
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
        assert not collector.is_left_behind(), "it has just been done"
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


CHOSEN_ARENAS = ("MALLOC_ARENA_MAX", "GLIBC_TUNABLES")

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


_ON_THREADS = """
import threading
from service.memory import keep_large_blocks, reclaim, resident, share_freed_blocks

{call}
keep_large_blocks()
turn, over = threading.Lock(), threading.Barrier(9)

def work():
    with turn:
        blocks = [b"x" * 5_000_000 for _ in range(10)]
        del blocks
    over.wait()
    over.wait()

before = resident()
for _ in range(8):
    threading.Thread(target=work).start()
over.wait()
print(resident() - before)
reclaim()
print(resident() - before)
over.wait()
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators have other ways")
@pytest.mark.parametrize("call", ["share_freed_blocks()", "pass"])
def test_what_one_thread_freed_serves_the_others(call: str) -> None:
    """Eight of them, one after the other, have 50 MB each."""
    env = {name: value for name, value in os.environ.items() if name not in CHOSEN_ARENAS}
    code = _ON_THREADS.format(call=call)
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=env)
    kept, reclaimed = map(int, found.stdout.split())

    assert (kept < 150_000_000) == (call != "pass")
    assert reclaimed < 20_000_000 or call == "pass"


GROUPS = {
    "v2": ("0::/", {"memory.max": "1073741824"}, 1 << 30),
    "v2 without a limit": ("0::/", {"memory.max": "max"}, 0),
    "v2 within another group": ("0::/a/b", {"a/b/memory.max": "max", "a/memory.max": "4096"}, 4096),
    "v2 seen from inside": ("0::/kubepods/pod1/c", {"memory.max": "4096"}, 4096),
    "v1": ("4:memory:/docker/x\n0::/", {"memory/docker/x/memory.limit_in_bytes": "8192"}, 8192),
    "v1 seen from inside": ("4:memory:/docker/x", {"memory/memory.limit_in_bytes": "8192"}, 8192),
    "v1 with others": ("4:cpu,memory:/x", {"memory/x/memory.limit_in_bytes": "8192"}, 8192),
    "v1 without a limit": ("4:memory:/", {"memory/memory.limit_in_bytes": "9223372036854771712"}, 0),
    "none": ("0::/", {}, 0),
}


@pytest.mark.parametrize(("own", "files", "limit"), GROUPS.values(), ids=GROUPS)
def test_the_limit_of_the_container(tmp_path: Path, own: str, files: dict[str, str], limit: int) -> None:
    (tmp_path / "cgroup").write_text(f"{own}\n")
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{text}\n")
    assert container_limit(tmp_path, tmp_path / "cgroup") == limit


def test_no_control_groups_no_limit(tmp_path: Path) -> None:
    assert container_limit(tmp_path, tmp_path / "nothing") == 0


def test_growth_is_what_was_run_inside_and_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    used = 100
    monkeypatch.setattr(memory, "resident", lambda: used)
    monkeypatch.setattr(memory, "reclaim", lambda: None)
    growth = Growth(50)
    with growth.counted():
        used += 40
    used += 1000
    growth.check()
    with growth.counted():
        used += 20
    with pytest.raises(MemoryExceeded):
        growth.check()


def test_garbage_is_no_growth(monkeypatch: pytest.MonkeyPatch) -> None:
    used = 100

    def reclaimed() -> None:
        nonlocal used
        used -= 30

    monkeypatch.setattr(memory, "resident", lambda: used)
    monkeypatch.setattr(memory, "reclaim", reclaimed)
    growth = Growth(50)
    with growth.counted():
        used += 60
    growth.check()


def test_without_a_limit_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "resident", lambda: pytest.fail("it looks"))
    growth = Growth(0)
    with growth.counted():
        pass
    growth.check()
