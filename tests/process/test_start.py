"""Starting: what is wrong is said in one line and an exit code; what is only late is waited for."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from devfleet.ports import free_port
from devfleet.processes import Process
from devfleet.redis_server import RedisServer, eventually
from devfleet.replica import Replica
from harness.client import Client
from harness.tools import require

pytestmark = pytest.mark.usefixtures("own_command_line")

APP = "from bokeh.io import curdoc\n"


@pytest.fixture
def app(tmp_path: Path) -> Path:
    path = tmp_path / "app.py"
    path.write_text(APP)
    return path


def serve(*args: object) -> tuple[int, list[str]]:
    """The exit code of `svc serve` with these arguments, and all it said."""
    command: Sequence[str] = [*Replica.command, "--address", "127.0.0.1", "--port", "0", *map(str, args)]
    with Process("svc serve", command) as process:
        return process.wait(30), process.lines


def refused(*args: object) -> str:
    """The one line with which `svc serve` refuses these arguments."""
    code, lines = serve(*args)
    assert code == 2, lines
    errors = [line for line in lines if line.startswith("svc: error: ")]
    assert len(errors) == 1, lines
    assert "Traceback" not in "\n".join(lines)
    return errors[0]


# -- operators' own code ----------------------------------------------------------------------------


def test_a_setup_script_or_a_plugin_that_fails(app: Path, tmp_path: Path) -> None:
    setup = tmp_path / "setup.py"
    setup.write_text("1 / 0\n")
    assert f"--setup {setup}: ZeroDivisionError" in refused(app, "--setup", setup)
    assert "--plugins no_such_module: ModuleNotFoundError" in refused(app, "--plugins", "no_such_module")
    assert "--plugins json: it needs ROUTES" in refused(app, "--plugins", "json")


def test_an_app_that_cannot_be_warmed(app: Path) -> None:
    app.write_text("1 / 0\n")
    code, lines = serve(app, "--warm")
    assert code == 2
    assert lines[-1].startswith("svc: error: --warm: /app fails: division by zero")
    assert any("ZeroDivisionError" in line for line in lines)  # its author wants to know where


# -- apps ------------------------------------------------------------------------------------------


def test_an_app_that_is_not_there(tmp_path: Path) -> None:
    assert "there is no app at" in refused(tmp_path / "nothing.py")


def test_an_app_with_a_syntax_error(app: Path) -> None:
    app.write_text("x = 1\ndef broken(:\n")
    line = refused(app)
    assert "app.py" in line
    assert "line 2" in line


def test_a_directory_without_an_app(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "main.py" in refused(tmp_path / "empty")


def test_a_file_that_is_no_app(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("notes")
    assert "is no app" in refused(tmp_path / "notes.txt")


def test_two_apps_on_one_path(app: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    twin = tmp_path / "other" / app.name
    twin.write_text(APP)
    assert "two apps want the URL path /app" in refused(app, twin)


# -- the network -----------------------------------------------------------------------------------


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        yield holder.getsockname()[1]


def test_a_port_in_use(app: Path, taken_port: int) -> None:
    line = refused(app, "--port", taken_port)
    assert f":{taken_port}: it is in use" in line


def test_an_address_that_is_not_ours(app: Path) -> None:
    line = refused(app, "--address", "192.0.2.1")
    assert "cannot listen on 192.0.2.1:0: this machine has no such address" in line
    assert "--address" in line
    assert "--port" not in line


def test_an_address_that_does_not_resolve(app: Path) -> None:
    line = refused(app, "--address", "no.such.host.invalid")
    assert "cannot listen on no.such.host.invalid:0" in line
    assert "choose an address of this machine with --address" in line


# -- Redis: wrong ----------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["nonsense", "http://127.0.0.1:6379", "redis://127.0.0.1:port"])
def test_a_wrong_redis_url(app: Path, url: str) -> None:
    assert "--redis" in refused(app, "--redis", url)


def test_a_wrong_redis_password(app: Path) -> None:
    require("redis-server")
    with RedisServer({"requirepass": "right"}) as redis:
        line = refused(app, "--redis", f"redis://:wrong@127.0.0.1:{redis.port}/0")
        assert "--redis" in line
        assert "wrong@" not in line


def test_a_missing_redis_password(app: Path) -> None:
    require("redis-server")
    with RedisServer({"requirepass": "right"}) as redis:
        assert "--redis" in refused(app, "--redis", redis.url)


# -- Redis: not there yet --------------------------------------------------------------------------


@pytest.fixture
def early(app: Path) -> Iterator[Replica]:
    """A replica whose Redis is not there yet; on its port is nobody."""
    require("redis-server")
    replica = Replica([app], redis_url=f"redis://127.0.0.1:{free_port()}/0", name="early replica")
    try:
        yield replica.start(ready=False)
    finally:
        replica.stop()


async def test_redis_that_comes_late_is_waited_for(early: Replica) -> None:
    reported = early.wait_line(r"waiting for the store.*127\.0\.0\.1:(\d+)")
    assert (early.status("/healthz"), early.status("/readyz"), early.status("/app")) == (200, 503, 503)

    redis = RedisServer()
    redis.port = int(reported[1])
    with redis:
        early.wait_line("running at")
        eventually(lambda: early.status("/readyz") == 200, what="it becomes ready by itself")
        async with await Client.open(early.app_url()) as client:
            assert client.document.roots == []
        assert early.stop() == 0
    assert len(early.matching("waiting for the store")) == 1
    assert early.matching("Traceback") == []


def test_a_replica_that_still_waits_stops_when_told(early: Replica) -> None:
    early.wait_line("waiting for the store")
    assert early.stop() == 0
    assert early.matching("Traceback") == []


async def test_its_end_is_not_held_up_by_a_look_at_all_that_was_loaded(tmp_path: Path) -> None:
    """The interpreter collects garbage at its end, after what was registered with atexit."""
    app = tmp_path / "app.py"
    app.write_text(
        "import atexit, gc\natexit.register(lambda gc=gc: print('frozen', gc.get_freeze_count()))\n"
    )
    with Replica([app], name="ending") as server:
        await (await Client.open(server.app_url())).close()
        server.terminate()
        assert server.wait() == 0
        frozen = [line.split()[1] for line in server.lines if line.startswith("frozen")]
    assert all(int(each) > 10_000 for each in frozen)
    assert frozen
