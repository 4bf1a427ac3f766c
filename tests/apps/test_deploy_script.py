"""`examples/deploy/deploy.sh`, run for real with a Supervisor of its own; systemd looks at its units only."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from devfleet.ports import free_ports_in_a_row
from harness.tools import require
from harness.visit import visit

Deploy = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def into(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("deployed") / "svc"


@pytest.fixture(scope="module")
def deploy(examples: Path, into: Path) -> Iterator[Deploy]:
    """Runs the script; what it started is gone at the end."""
    script = examples / "deploy/deploy.sh"

    def run(*args: str, into: Path = into) -> subprocess.CompletedProcess[str]:
        argv = [str(script), "--into", str(into), *args]
        return subprocess.run(argv, capture_output=True, text=True, timeout=110, check=False)

    yield run
    if into.exists():
        run("--uninstall")


@pytest.fixture(scope="module")
def arguments(examples: Path) -> list[str]:
    for program in ("nginx", "redis-server", "openssl", "supervisord"):
        require(program)
    first = free_ports_in_a_row(4)
    return [
        *("--host", "127.0.0.1", "--app", str(examples / "sliders.py"), "--venv", sys.prefix),
        *("--replicas", "2", "--first-port", str(first)),
        *("--http", str(first + 2), "--https", str(first + 3)),
    ]


def kept(into: Path) -> list[bytes]:
    return [(into / "etc" / name).read_bytes() for name in ("svc.env", "tls/cert.pem", "tls/key.pem")]


async def test_one_command_serves_and_the_next_brings_it_up_to_date_and_the_last_takes_it_away(
    deploy: Deploy, arguments: list[str], into: Path
) -> None:
    url = f"https://127.0.0.1:{arguments[-1]}/sliders"

    first = await asyncio.to_thread(deploy, *arguments)
    assert f"serving at https://127.0.0.1:{arguments[-1]}/" in first.stdout, first.stderr
    tls = ssl.create_default_context(cafile=str(into / "etc/tls/cert.pem"))
    for _ in range(4):
        await visit(url, tls)
    before = kept(into)

    second = await asyncio.to_thread(deploy, *arguments)
    assert second.returncode == 0, second.stderr
    assert kept(into) == before
    for _ in range(4):
        await visit(url, tls)

    last = await asyncio.to_thread(deploy, "--uninstall")
    assert last.returncode == 0, last.stderr
    assert not (await asyncio.to_thread(into.exists))
    with pytest.raises(OSError):
        await visit(url, tls)


def test_units_for_systemd(deploy: Deploy, tmp_path: Path) -> None:
    analyze = require("systemd-analyze")
    done = deploy("--systemd", "--no-start", "--venv", sys.prefix, into=tmp_path)
    assert done.returncode == 0, done.stderr

    unit = tmp_path / "etc/systemd/svc@.service"
    checked = subprocess.run([analyze, "verify", unit], capture_output=True, text=True, check=False)

    assert (checked.returncode, checked.stderr) == (0, "")
    assert (tmp_path / "apps/weather/main.py").exists()


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--colour"], "unknown option --colour"),
        (["--replicas", "no"], "--replicas no: not a number"),
        (["--host"], "--host needs a value"),
        (["--app", "/no/such.py"], "there is no app /no/such.py"),
        (["--systemd"], "--into with --systemd needs --no-start"),
        (["--uninstall"], "nothing was deployed"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_reason(
    deploy: Deploy, tmp_path: Path, args: list[str], said: str
) -> None:
    done = deploy(*args, into=tmp_path / "nothing")

    assert done.returncode == 2
    assert said in done.stderr
    assert not (tmp_path / "nothing").exists()
