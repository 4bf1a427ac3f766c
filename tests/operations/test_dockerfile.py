"""The Dockerfile without an engine: its build commands in a clean virtual environment, its last stage by eye.

What this cannot see: whether the base image still exists, and what an engine makes of the layers.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from devfleet.ports import free_port
from devfleet.processes import Process
from packaging.requirements import Requirement

from operations.scrape import get, until

ROOT = Path(__file__).parent.parent.parent
LINES = ("3.11", "3.13")
HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


def stages(arguments: Mapping[str, str] | None = None) -> list[list[tuple[str, str]]]:
    """The instructions of each stage, as (name, rest), with these build arguments or the defaults."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    defaults = dict(re.findall(r"^ARG (\w+)=(.+)$", text, re.MULTILINE))
    assert set(arguments or ()) <= set(defaults)
    for name, value in {**defaults, **(arguments or {})}.items():
        text = text.replace(f"${{{name}}}", value)
    lines = [line.partition(" ") for line in text.splitlines() if line and not line.startswith("#")]
    found: list[list[tuple[str, str]]] = []
    for name, _, rest in lines:
        if name == "FROM":
            found.append([])
        if found:
            found[-1].append((name, rest.strip()))
    return found


def documented(line: str) -> dict[str, str]:
    """The build arguments for an image with this Python, as the Dockerfile says at its top."""
    for command in re.findall(r"^# +(docker build .+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE):
        arguments = dict(re.findall(r"--build-arg (\w+)=(\S+)", command))
        if stages(arguments)[0][0][1].startswith(f"python:{line}."):
            return arguments
    pytest.fail(f"the Dockerfile does not say how to build with Python {line}")


def values(stage: list[tuple[str, str]], name: str) -> list[str]:
    return [rest for each, rest in stage if each == name]


def test_the_image_has_the_newer_line_unless_told_otherwise() -> None:
    assert documented(LINES[-1]) == {}


@pytest.mark.parametrize("line", LINES)
def test_bases_are_pinned_and_the_same(line: str) -> None:
    bases = [values(stage, "FROM")[0].split()[0] for stage in stages(documented(line))]

    assert len(set(bases)) == 1
    assert re.fullmatch(rf"python:{re.escape(line)}\.\d+-slim-bookworm(@sha256:[0-9a-f]{{64}})?", bases[0])


@pytest.mark.parametrize("line", LINES)
def test_packages_are_pinned_with_hashes(line: str) -> None:
    lock = (ROOT / values(stages(documented(line))[0], "COPY")[0].split()[0]).read_text()
    pinned = dict(re.findall(r"^(\w[\w.-]*)==(\S+)", lock, re.MULTILINE))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {Requirement(each).name.lower(): Requirement(each) for each in project["dependencies"]}

    assert f"pip-compile with Python {line}\n" in lock
    assert wanted.keys() <= pinned.keys()
    assert all(wanted[name].specifier.contains(pinned[name]) for name in wanted)
    assert pinned["bokeh"].startswith({"3.11": "3.9.", "3.13": "3.10."}[line])
    assert lock.count("--hash=sha256:") >= len(pinned)
    assert all(line.endswith("\\") for line in lock.splitlines() if re.match(r"\w[\w.-]*==", line))


@pytest.mark.parametrize("line", LINES)
def test_locks_do_not_say_where_packages_come_from(line: str) -> None:
    lock = (ROOT / f"requirements-{line}.lock").read_text()

    assert [each for each in lock.splitlines() if re.match(r" *(-i|-f|--(?!hash))", each)] == []
    assert re.findall(r"\w+://|(?<![\w.])/\w+", lock) == []


def test_the_image_runs_as_nobody_and_is_probed() -> None:
    last = stages()[-1]

    assert values(last, "USER") == ["10001:10001"]
    assert "/healthz" in values(last, "HEALTHCHECK")[0]
    assert json.loads(values(last, "ENTRYPOINT")[0]) == ["svc"]
    assert [name for name, _ in last].index("USER") > max(
        at for at, (name, _) in enumerate(last) if name in ("RUN", "COPY")
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What the first stage makes, in a directory instead of an image."""
    root = tmp_path_factory.mktemp("image")
    source = root / "src"
    source.mkdir()
    if HERE not in LINES:
        pytest.skip(f"there is no lock for Python {HERE}")
    for name, rest in stages(documented(HERE))[0]:
        if name == "COPY":
            *parts, target = rest.split()
            copy(parts, source / target)
        elif name == "RUN":
            command = shlex.split(rest.replace("/opt/svc", str(root / "opt")))
            command[0] = sys.executable if command[0] == "python" else command[0]
            # What is never imported here need not be compiled.
            environment = os.environ | {"PIP_NO_COMPILE": "1"}
            done = subprocess.run(
                command, cwd=source, env=environment, capture_output=True, text=True, timeout=240
            )
            assert done.returncode == 0, f"{rest}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
    yield root
    shutil.rmtree(root, ignore_errors=True)


def copy(parts: list[str], target: Path) -> None:
    for part in parts:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / part, target)


@pytest.mark.timeout(400)
def test_the_wheel_has_the_packages_and_nothing_else(built: Path) -> None:
    (record,) = built.glob("opt/lib/python*/site-packages/svc_bokeh-*.dist-info/RECORD")
    installed = {line.partition(",")[0] for line in record.read_text().splitlines()}
    sources = {
        str(path.relative_to(ROOT))
        for package in ("service", "store", "svc")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }

    assert sources <= installed
    others = {each for each in installed - sources if ".dist-info/" not in each and "__pycache__" not in each}
    assert others == {"../../../bin/svc"}
    assert any(each.endswith("licenses/LICENSE") for each in installed)


@pytest.mark.timeout(400)
def test_what_the_build_installs_serves_the_apps_of_the_image(built: Path) -> None:
    last = stages()[-1]
    command = [str(built / "opt/bin/svc"), *json.loads(values(last, "CMD")[0])]
    port = str(free_port())
    probe = json.loads(values(last, "HEALTHCHECK")[0].partition("CMD ")[2])

    environment = {"SVC_PORT": port, "SVC_ADDRESS": "127.0.0.1", "PYTHONPATH": None}
    with Process("image", command, env=environment, cwd=ROOT / "examples") as server:
        server.wait_line("running at", 60)
        until(lambda: get(f"http://127.0.0.1:{port}/readyz")[0] == 200)
        healthy = subprocess.run([sys.executable, *probe[1:]], env={"SVC_PORT": port}, timeout=30)

        assert healthy.returncode == 0
        assert get(f"http://127.0.0.1:{port}/sliders")[0] == 200
        server.terminate()
        assert server.wait() == 0
