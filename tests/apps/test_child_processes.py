"""An app ends processes that it has started: they end at once, and the server stays."""

from __future__ import annotations

import ast
import os
import signal
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from devfleet.replica import Replica
from harness.client import Client

APP = """
import multiprocessing, os, signal, subprocess, sys, threading, time
from bokeh.io import curdoc
from bokeh.models import Div, TextInput

TIMES = 20


def how_processes_end(method, times):
    "Without a pause: the signal may come before the child has run a line."
    context, codes = multiprocessing.get_context(method), set()
    for _ in range(times):
        process = context.Process(target=time.sleep, args=(60,))
        process.start()
        process.terminate()
        process.join(20)
        codes.add(process.exitcode)
        process.kill()
    return codes


def how_forks_end(number):
    codes = set()
    for _ in range(TIMES):
        pid = os.fork()
        if not pid:
            try:
                time.sleep(60)
            finally:
                os._exit(7)
        os.kill(pid, number)
        codes.add(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    return codes


def how_it_ends(pid):
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return "it goes on"


def how_one_ends_that_comes_back(*, raised):
    pid = os.fork()
    if pid:
        return how_it_ends(pid)
    if raised is not None:
        raise raised


def how_one_ends_that_is_interrupted_in_a_hook():
    "In one that comes after those of the server. What it raises would be written to stderr, and lost."
    done = []
    interrupt = lambda: done or os.kill(os.getpid(), signal.SIGINT)
    os.register_at_fork(after_in_child=interrupt)
    pid = os.fork()
    if not pid:
        try:
            time.sleep(60)
        finally:
            os._exit(7)
    done.append(pid)
    return how_it_ends(pid)


def how_a_thread_s_forks_end():
    found = []
    thread = threading.Thread(target=lambda: found.append(how_forks_end(signal.SIGTERM)))
    thread.start()
    thread.join()
    return found[0]


def how_programs_end():
    codes = set()
    for options in ({}, {"preexec_fn": os.setsid}, {"start_new_session": True}):
        for _ in range(TIMES):
            program = subprocess.Popen(["sleep", "60"], **options)
            program.terminate()
            codes.add(program.wait(20))
    return codes


def how_a_pool_ends(method):
    pool = multiprocessing.get_context(method).Pool(2)
    waiting = pool.map_async(time.sleep, [60, 60])
    try:
        waiting.get(timeout=0.2)
    except multiprocessing.TimeoutError:
        pass
    ending = threading.Thread(target=pool.terminate, daemon=True)
    ending.start()
    ending.join(20)
    left = [each for each in pool._pool if each.is_alive()]
    for each in left:
        each.kill()
    return (ending.is_alive(), len(left))


def pressed(attr, old, new):
    out.text = repr(ENDS[new]())


ENDS = {
    "fork": lambda: how_processes_end("fork", TIMES),
    "spawn": lambda: how_processes_end("spawn", 2),
    "forkserver": lambda: how_processes_end("forkserver", 2),
    "os.fork": lambda: how_forks_end(signal.SIGTERM),
    "os.fork in a thread": how_a_thread_s_forks_end,
    "SIGINT": lambda: how_forks_end(signal.SIGINT),
    "SIGINT in a hook": how_one_ends_that_is_interrupted_in_a_hook,
    "comes back": lambda: how_one_ends_that_comes_back(raised=None),
    "sys.exit": lambda: how_one_ends_that_comes_back(raised=SystemExit(3)),
    "error": lambda: how_one_ends_that_comes_back(raised=ValueError("of a child")),
    "interrupted": lambda: how_one_ends_that_comes_back(raised=KeyboardInterrupt()),
    "subprocess": how_programs_end,
    "pool of fork": lambda: how_a_pool_ends("fork"),
    "pool of spawn": lambda: how_a_pool_ends("spawn"),
}
out, go = Div(name="out", text=""), TextInput(name="go", value="")
go.on_change("value", pressed)
for root in (out, go):
    curdoc().add_root(root)
"""

ENDED = {-signal.SIGTERM.value}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    app = Path(tmp_path_factory.mktemp("apps"), "children.py")
    app.write_text(textwrap.dedent(APP))
    # Children of a thread may find that Python warns of that, which is the app's business.
    with Replica([app], name="children", env={"PYTHONWARNINGS": "ignore"}) as running:
        yield running


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("fork", ENDED),
        ("spawn", ENDED),
        ("forkserver", ENDED),
        ("os.fork", ENDED),
        ("os.fork in a thread", ENDED),
        ("SIGINT", {-signal.SIGINT.value, 7}),  # 7 by KeyboardInterrupt
        ("SIGINT in a hook", -signal.SIGINT.value),
        ("comes back", 0),
        ("sys.exit", 3),
        ("error", 1),
        ("interrupted", -signal.SIGINT.value),
        ("subprocess", ENDED),
        ("pool of fork", (False, 0)),
        ("pool of spawn", (False, 0)),
    ],
)
async def test_children_end_and_the_server_stays(server: Replica, how: str, expected: object) -> None:
    seen = len(server.lines)
    async with await Client.open(server.app_url()) as client:
        await client.patch("go", value=how)
        found = ast.literal_eval(client.value("out", "text"))
        assert found <= expected if isinstance(expected, set) else found == expected
    assert server.status("/readyz") == 200
    assert not [line for line in server.lines[seen:] if "drain" in line]


async def test_afterwards_the_server_still_heeds_its_own_signals(tmp_path: Path) -> None:
    app = tmp_path / "children.py"
    app.write_text(textwrap.dedent(APP))
    with Replica([app], name="heeds", env={"PYTHONWARNINGS": "ignore"}) as running:
        async with await Client.open(running.app_url()) as client:
            await client.patch("go", value="os.fork")
        os.kill(running.pid, signal.SIGINT)
        assert running.wait() == 0
