"""Replicas from a nursery: all a process of its own, as the command line makes it, and gone in time."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from devfleet import nursery
from devfleet.nursery import Nurseries
from devfleet.processes import ProcessFailed
from devfleet.replica import Replica
from harness.pages import get_page

pytestmark = pytest.mark.skipif(not nursery.AVAILABLE, reason="nurseries need Linux")

# What each process has of its own, and what all have alike.
FACTS = """
import gc, json, os, random, signal, socket, sys, threading, warnings
import bokeh.plotting  # which a server imports in the background
modules = sorted(sys.modules)
import numpy
from bokeh.io import curdoc

def target(fd):
    name = os.readlink(f"/proc/self/fd/{fd}").partition("[")[0]
    if name == "socket:":
        with socket.socket(fileno=os.dup(int(fd))) as opened:
            return opened.family.name
    return name

opened = [target(fd) for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}")]

own = [hash("a"), random.random(), numpy.random.random()]
alike = {
    "modules": [name for name in modules if "bokeh_app" not in name],
    "argv": [part for part in sys.argv if "127.0.0.1" not in part and not part.isdigit()],
    "path": sys.path,
    "main": [name for name in vars(sys.modules["__main__"]) if not name.startswith("__")],
    "environment": dict(os.environ),
    "folder": os.getcwd(),
    "session": os.getsid(0) == os.getpgid(0) == os.getpid(),
    "streams": [target(fd) for fd in (0, 1, 2)],
    "open files": sorted(name for name in opened if name != "AF_INET"),  # those come and go
    "signals": {number.name: str(signal.getsignal(number)).partition(" at ")[0] for number in signal.Signals},
    "buffered": [sys.stdout.line_buffering, sys.stdout.write_through, sys.stderr.write_through],
    "encodings": [sys.stdout.encoding, sys.stdout.errors, sys.stderr.errors],
    "threads": sorted(thread.name for thread in threading.enumerate()),
    "collector": [gc.isenabled(), gc.get_threshold(), len(gc.callbacks), gc.get_freeze_count() > 100_000],
    "warnings": [str(each) for each in warnings.filters],
    "umask": os.umask(0o022),
}
open({told!r}, "w").write(json.dumps([own, alike]))
"""

# What forks a replica in a thread, as a fleet that is started beside a running event loop does.
TESTS = """
import sys, threading
from devfleet.nursery import Nurseries
from devfleet.replica import Replica
Replica.nurseries = Nurseries(Replica.command[0])
server = Replica(sys.argv[1:])
starting = threading.Thread(target=server.start)
starting.start()
starting.join()
print(server.pid, flush=True)
threading.Event().wait()
"""
TOOLS = Path(__file__).parents[2] / "tools"


@pytest.fixture
def nurseries() -> Nurseries:
    """Those that all tests use."""
    if Replica.nurseries is None:
        pytest.skip("not in use")
    return Replica.nurseries


@pytest.fixture
def facts(tmp_path: Path, replica: Callable[..., Replica]) -> Callable[[], Any]:
    """Starts a replica and lets an app in it tell about its process: `[what is its own, what is alike]`."""
    app, told = tmp_path / "facts.py", tmp_path / "facts.json"
    app.write_text(FACTS.replace("{told!r}", repr(str(told))))

    async def tell() -> Any:
        await get_page(replica([app]).app_url())
        return json.loads(told.read_text())

    return tell


def came_from(server: Replica) -> str:
    """What the system takes for the command line of its process."""
    return Path(f"/proc/{server.pid}/cmdline").read_text()


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def watch(pids: list[int]) -> list[int]:
    """File descriptors which become readable when the processes end."""
    return [os.pidfd_open(pid) for pid in pids]


def wait_gone(processes: list[int]) -> None:
    """Returns when the processes have ended."""
    for fd in processes:
        assert select.select([fd], [], [], 20)[0]
        os.close(fd)


@pytest.mark.usefixtures("nurseries")
async def test_it_serves(replica: Callable[..., Replica], examples: Path) -> None:
    server = replica([examples / "sliders.py"])
    assert "nursery_process" in came_from(server)
    assert (await get_page(server.app_url())).status == 200
    assert server.stop() == 0


async def test_it_is_as_the_command_line_makes_it(
    facts: Callable[[], Any], nurseries: Nurseries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Replica, "nurseries", None)
    _, by_command = await facts()
    monkeypatch.setattr(Replica, "nurseries", nurseries)
    _, by_nursery = await facts()
    assert set(by_nursery.pop("modules")) ^ set(by_command.pop("modules")) == set()  # shows which
    assert by_nursery == by_command


@pytest.mark.usefixtures("nurseries")
async def test_those_of_a_fleet_share_neither_hashes_nor_random_numbers(facts: Callable[[], Any]) -> None:
    told = [(await facts())[0] for _ in range(3)]
    hashes, randoms, numpys = map(set, zip(*told, strict=True))
    assert len(hashes) == len(randoms) == len(numpys) == 3


@pytest.mark.usefixtures("nurseries")
async def test_those_of_one_nursery_share_no_random_numbers(facts: Callable[[], Any]) -> None:
    told = [(await facts())[0] for _ in range(nursery.SIZE + 1)]
    randoms, numpys = ({each[at] for each in told} for at in (1, 2))
    assert len(randoms) == len(numpys) == nursery.SIZE + 1


@pytest.mark.usefixtures("nurseries")
def test_it_is_killed_and_started_again(replica: Callable[..., Replica], examples: Path) -> None:
    server = replica([examples / "sliders.py"])
    server.kill()
    assert server.exit_code == -signal.SIGKILL
    server.start()
    assert server.status("/healthz") == 200


@pytest.mark.usefixtures("nurseries")
def test_it_is_paused(replica: Callable[..., Replica], examples: Path) -> None:
    server = replica([examples / "sliders.py"])
    with server.paused():
        assert server.status("/healthz", timeout=0.2) is None
        assert server.running
    assert server.status("/healthz") == 200


@pytest.mark.usefixtures("nurseries")
def test_it_ends_with_its_code_and_its_last_words(tmp_path: Path) -> None:
    server = Replica([tmp_path / "nothing.py"]).start(ready=False)
    assert server.wait() == 2
    assert server.log.startswith("svc: error: ")


@pytest.mark.usefixtures("nurseries")
def test_what_a_command_line_is_needed_for_gets_one(replica: Callable[..., Replica], examples: Path) -> None:
    changed = replica([examples / "sliders.py"], env={"SVC_LOG_LEVEL": "info"})
    inside = replica([examples / "sliders.py"], within=["env"])
    assert "nursery" not in came_from(changed) + came_from(inside)


# -- their end -------------------------------------------------------------------------------------


@pytest.fixture
def nurseries_that_end(monkeypatch: pytest.MonkeyPatch) -> Iterator[Nurseries]:
    made = Nurseries(Replica.command[0], size=1)
    monkeypatch.setattr(Replica, "nurseries", made)
    yield made
    made.close()


def test_nothing_is_left_when_they_are_closed(nurseries_that_end: Nurseries, examples: Path) -> None:
    server = Replica([examples / "sliders.py"]).start()
    processes = watch([server.pid, parent(server.pid)])
    nurseries_that_end.close()
    wait_gone(processes)
    assert server.wait() == -signal.SIGKILL


@pytest.mark.usefixtures("nurseries_that_end")
def test_a_nursery_that_died_took_its_replicas_along_and_says_so(examples: Path) -> None:
    server = Replica([examples / "sliders.py"]).start()
    os.kill(parent(server.pid), signal.SIGKILL)
    assert server.wait() == -signal.SIGKILL
    with pytest.raises(ProcessFailed, match=r"nursery 0 \(exit code -9\): starts no replica"):
        server.start()


@pytest.mark.usefixtures("nurseries_that_end")
def test_a_nursery_that_does_not_answer_says_so(examples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Replica([examples / "sliders.py"]).start()
    os.kill(parent(server.pid), signal.SIGSTOP)
    monkeypatch.setattr(nursery, "PATIENCE", 0.1)
    with pytest.raises(ProcessFailed, match=r"starts no replica.*timed out"):
        Replica([examples / "sliders.py"]).start()


def test_a_nursery_that_cannot_import_the_service_shows_why(tmp_path: Path) -> None:
    (tmp_path / "service").mkdir()
    (tmp_path / "service" / "__init__.py").write_text("1 / 0")
    broken = Nurseries(tmp_path / "svc", size=1)  # what is beside the script is imported first
    with pytest.raises(ProcessFailed, match=r"(?s)starts no replica.*ZeroDivisionError"):
        broken.fork([str(tmp_path / "svc")], env={})
    broken.close()


def test_nothing_is_left_when_the_tests_are_killed(examples: Path) -> None:
    tests = subprocess.Popen(
        [sys.executable, "-c", TESTS, str(examples / "sliders.py")],
        env={**os.environ, "PYTHONPATH": str(TOOLS)},
        stdout=subprocess.PIPE,
        text=True,
    )
    with tests:
        assert tests.stdout is not None
        server = int(tests.stdout.readline())
        processes = watch([server, parent(server)])
        tests.kill()
    wait_gone(processes)
