"""--num-procs: real processes on one port behave as one server, and a crash is somebody else's turn."""

from __future__ import annotations

import asyncio
import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from devfleet.redis_server import RedisServer
from devfleet.replica import Replica
from harness.apps import CountedApp
from harness.client import Client
from harness.pages import get_page
from harness.tools import require

pytestmark = pytest.mark.usefixtures("own_command_line")

TEMPLATED = """
from bokeh.io import curdoc
from bokeh.models import Slider
curdoc().template_variables["who"] = "you"
curdoc().add_root(Slider(name="slider", start=0, end=10, value=1, step=1))
"""
SERVE = [sys.executable, "-c", "import sys; from service.cli.main import main; sys.exit(main(sys.argv[1:]))"]


class ManyProcesses(Replica):
    def wait_ready(self, timeout: float | None = None, *, after: int = 0) -> None:
        super().wait_ready(timeout, after=after)
        while len(self.matching("running at")) < 3:
            self.wait_line("running at", 30, after=len(self.lines))


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> CountedApp:
    return CountedApp(tmp_path_factory.mktemp("procs"), "templated", body=TEMPLATED)


@pytest.fixture(scope="module")
def three(app: CountedApp) -> Iterator[Replica]:
    """Three processes with a Redis of their own."""
    require("redis-server")
    with ManyProcesses([app.path], name="three processes", args=["--num-procs", "3"]) as server:
        yield server


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def command(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")


def workers(server: Replica) -> list[int]:
    return [pid for pid in children(server.pid) if "redis-server" not in command(pid)]


@pytest.mark.flags("--num-procs")
async def test_every_page_view_runs_the_app_once_in_whichever_process(
    three: Replica, app: CountedApp
) -> None:
    before = len(app.runs)

    views = [await Client.open(three.app_url()) for _ in range(24)]

    assert len(app.runs) - before == 24
    assert len(set(app.runs[before:])) > 1
    for view in views:
        await view.close()


async def test_one_session_is_one_document_in_all_processes(three: Replica) -> None:
    one = await Client.open(three.app_url())
    assert one.page is not None
    others = [await Client.open(three.app_url(), session_id=one.page.session_id) for _ in range(6)]

    await one.patch("slider", value=7)

    for other in others:
        await other.expect_value("slider", "value", 7)
        await other.close()
    await one.close()


async def test_a_crashed_process_is_replaced(three: Replica) -> None:
    victim = workers(three)[0]
    seen = len(three.lines)
    os.kill(victim, signal.SIGKILL)

    await asyncio.to_thread(three.wait_line, "starting another", 20, after=seen)
    await asyncio.to_thread(three.wait_line, "running at", 30, after=seen)

    assert len(workers(three)) == 3
    assert victim not in workers(three)
    assert (await get_page(three.app_url())).status == 200


def test_all_end_with_the_parent_and_nothing_is_left(app: CountedApp, redis_server: RedisServer) -> None:
    server = Replica([app.path], name="two processes", args=["--num-procs", "2"], redis_url=redis_server.url)
    server.start()
    pids = workers(server)

    assert server.stop() == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert "redis-server" not in server.log


def test_the_private_redis_has_no_port_and_ends_with_a_killed_parent(app: CountedApp) -> None:
    require("redis-server")
    server = Replica([app.path], name="killed parent", args=["--num-procs", "2"]).start()
    family = children(server.pid)
    [redis] = [pid for pid in family if "redis-server" in command(pid)]
    assert re.search(r"redis-server .*:0|unixsocket", command(redis))

    server.kill()

    for pid in family:
        _wait_gone(pid)


def _wait_gone(pid: int) -> None:
    """A process that is no child of ours: the kernel tells through a pidfd."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([descriptor], [], [], 30)[0], f"{command(pid)} still runs"
    finally:
        os.close(descriptor)


LIFECYCLE = """
import os
import random
import sys
import numpy as np

def on_server_loaded(server_context):
    with open(os.environ["SEEN"], "a") as seen:
        seen.write(f"{os.getpid()} {random.random()} {np.random.random()} {np.random.bytes(8).hex()}\\n")
"""


@pytest.mark.parametrize("forks", [True, False])
def test_each_process_has_random_numbers_of_its_own(
    forks: bool, tmp_path: Path, redis_server: RedisServer
) -> None:
    folder, seen = tmp_path / "app", tmp_path / "seen"
    folder.mkdir()
    (folder / "main.py").touch()
    (folder / "server_lifecycle.py").write_text(LIFECYCLE)
    begin = f"from service.cli import main, processes; processes.FORKS = {forks}"
    code = f"import sys; {begin}; sys.exit(main.main())"
    server = ManyProcesses(
        [folder], name="some", args=["--num-procs", "3"], redis_url=redis_server.url, env={"SEEN": str(seen)}
    )
    server.command = (sys.executable, "-c", code, "serve")  # type: ignore[misc]  # its own
    with server:
        pids = workers(server)
        assert server.stop() == 0
    lines = [line.split() for line in seen.read_text().splitlines()]
    assert sorted(int(pid) for pid, *_ in lines) == sorted(pids)
    assert [len(set(values)) for values in zip(*lines, strict=True)] == [3, 3, 3, 3]


def test_without_redis_server_it_says_what_to_install(app: CountedApp, tmp_path: Path) -> None:
    done = subprocess.run(
        [*SERVE, "serve", str(app.path), "--num-procs", "2", "--port", "0"],
        env={**os.environ, "PATH": str(tmp_path)},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert done.returncode == 2
    assert "apt-get install redis-server" in done.stderr


def test_a_broken_app_is_said_once(tmp_path: Path, redis_server: RedisServer) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("def :")
    argv = ["serve", str(broken), "--num-procs", "3", "--port", "0", "--redis", redis_server.url]

    done = subprocess.run([*SERVE, *argv], capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 2
    assert done.stderr.count("cannot load") == 1
