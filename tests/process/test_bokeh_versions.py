"""`svc serve` and programs with a Bokeh that is not one of the lines we know: its metadata says so."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from devfleet.processes import Process
from devfleet.replica import Replica
from harness.client import Client
from harness.tools import require

from service.lines import choice, line

pytestmark = pytest.mark.usefixtures("own_command_line")

newest_line_only = pytest.mark.skipif(
    line.VERSION != choice.NEWEST, reason="a Bokeh of an older line cannot pass for a newer one"
)
NEWER = "is newer than the versions tested"
REFUSED = "bokeh 3.8.2 is not supported: install bokeh>=3.9,<3.11"


@pytest.fixture
def pretending(tmp_path: Path) -> Callable[[str], dict[str, str]]:
    """An environment whose Bokeh says that it is another: `pretending("3.11.0.dev2")`.

    Not "3.11.0": of releases Bokeh knows the hashes of its scripts, and cannot be imported without.
    """

    def environment(version: str) -> dict[str, str]:
        metadata = tmp_path / f"bokeh-{version}.dist-info" / "METADATA"
        metadata.parent.mkdir()
        metadata.write_text(f"Metadata-Version: 2.1\nName: bokeh\nVersion: {version}\n")
        return {"PYTHONPATH": str(tmp_path)}

    return environment


@pytest.fixture
def app(tmp_path: Path) -> Path:
    path = tmp_path / "app.py"
    path.write_text("from bokeh.io import curdoc\ncurdoc().title = 'served'\n")
    return path


@newest_line_only
@pytest.mark.parametrize("processes", [1, 2])
async def test_the_next_bokeh_serves_after_one_warning(
    processes: int, app: Path, replica: Callable[..., Replica], pretending: Callable[[str], dict[str, str]]
) -> None:
    if processes > 1:
        require("redis-server")

    server = replica([app], env=pretending("3.11.0.dev2"), args=["--num-procs", str(processes)])
    async with await Client.open(server.app_url()) as client:
        assert client.document.title == "served"

    assert len(server.matching(NEWER)) == 1


@pytest.mark.parametrize("args", [[], ["--num-procs", "2"]])
def test_a_bokeh_that_is_not_supported_is_refused_in_one_line(
    args: list[str], app: Path, pretending: Callable[[str], dict[str, str]]
) -> None:
    command = [*Replica.command, "--port", "0", *args, str(app)]

    with Process("svc serve", command, env=pretending("3.8.2")) as process:
        assert process.wait(30) == 2

    assert process.lines == [f"svc: error: {REFUSED}"]


def program(code: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("name", ["Server", "session_state"])
def test_a_program_with_such_a_bokeh_gets_that_line(
    name: str, pretending: Callable[[str], dict[str, str]]
) -> None:
    done = program(f"from service import {name}", pretending("3.8.2"))

    assert done.stderr.splitlines()[-1] == f"service.errors.ConfigError: {REFUSED}"
    assert "bokeh/" not in done.stderr, "nothing of it was imported"


@newest_line_only
def test_a_program_with_the_next_bokeh_is_warned_once(pretending: Callable[[str], dict[str, str]]) -> None:
    code = "from service import Server; Server({'/app': lambda doc: None}, port=0).stop()"

    done = program(code, pretending("3.11.0.dev2"))

    assert done.returncode == 0, done.stderr
    assert done.stderr.count(NEWER) == 1
