"""How a checkout finds its Python: the scripts of tools/setup, and the matrix of them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / "tools"
NEEDED = "sh bash env cat dirname grep head id ls mkdir rm sed sort tail tee tr"

FAKE = """\
#!/bin/sh
exec {real} -c 'import collections, sys
version = collections.namedtuple("version_info", "major minor micro releaselevel serial")
sys.version_info = version(3, {minor}, {micro}, "{level}", 0)
sys._base_executable, sys.base_prefix = "{path}", "{path}"
sys.modules.update(dict.fromkeys({without}))
exec(sys.argv[2])' "$@"
"""


class Machine:
    """A PATH and a home directory that hold the Pythons we say, which only answer `-c`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.path = root / "path"
        self.home = root / "home"
        self.path.mkdir()
        for program in NEEDED.split():
            (self.path / program).symlink_to(shutil.which(program) or pytest.fail(f"there is no {program}"))

    def add(
        self, minor: int, *, place: str = "path", micro: int = 0, level: str = "final", venv: bool = True
    ) -> str:
        path = self.root / place / f"python3.{minor}"
        path.parent.mkdir(parents=True, exist_ok=True)
        without = [] if venv else ["ensurepip"]
        path.write_text(
            FAKE.format(
                real=sys.executable, minor=minor, micro=micro, level=level, path=path, without=without
            )
        )
        path.chmod(0o755)
        return str(path)

    def run(self, *command: object, **env: str) -> subprocess.CompletedProcess[str]:
        """With nothing else in the environment."""
        return subprocess.run(
            list(map(str, command)),
            env={"PATH": str(self.path), "HOME": str(self.home), **env},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    def found(self, **env: str) -> str:
        done = self.run(TOOLS / "setup/find_python", **env)
        assert done.returncode == 0, done.stderr
        return done.stdout.rstrip("\n")

    def refused(self, **env: str) -> str:
        """The one line in which it says that there is none."""
        done = self.run(TOOLS / "setup/find_python", **env)
        assert (done.returncode, done.stdout) == (1, "")
        (line,) = done.stderr.splitlines()
        return line


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


# -- which Python ----------------------------------------------------------------------------------


def test_the_newest_is_taken(machine: Machine) -> None:
    machine.add(11)
    newest = machine.add(14)
    machine.add(13)

    assert machine.found() == newest


@pytest.mark.parametrize("place", ["home/.pyenv/versions/3.14.2/bin", "home/.local/bin"])
def test_it_need_not_be_on_the_path(place: str, machine: Machine) -> None:
    machine.add(11)
    newest = machine.add(14, place=place)

    assert machine.found() == newest


def test_of_several_releases_the_newest_is_taken(machine: Machine) -> None:
    machine.add(14, place="home/.pyenv/versions/3.14.9/bin", micro=9)
    newest = machine.add(14, place="home/.pyenv/versions/3.14.10/bin", micro=10)

    assert machine.found() == newest


def test_a_release_to_come_is_taken_only_if_asked_for(machine: Machine) -> None:
    to_come = machine.add(14, level="candidate")
    machine.add(13)

    assert machine.found() != to_come
    assert machine.found(PYTHON="3.14") == to_come


def test_one_that_can_make_environments_is_preferred(machine: Machine) -> None:
    without = machine.add(14, venv=False)
    machine.add(13)

    assert machine.found() != without


def test_a_version_a_name_and_a_path_decide(machine: Machine) -> None:
    machine.add(14)
    wanted = machine.add(12)

    assert {machine.found(PYTHON=each) for each in ("3.12", "python3.12", wanted)} == {wanted}


def test_a_path_may_have_spaces(machine: Machine) -> None:
    wanted = machine.add(12, place="some where")

    assert machine.found(PYTHON=wanted) == wanted


def test_one_that_is_not_there_is_refused(machine: Machine) -> None:
    machine.add(14)

    assert machine.refused(PYTHON="3.77").startswith("setup: PYTHON=3.77 is not on the PATH, in ")
    assert machine.refused(PYTHON="/no/python").startswith("setup: PYTHON=/no/python is not on the PATH, in ")


def test_one_that_is_too_old_is_refused(machine: Machine) -> None:
    old = machine.add(10)

    assert machine.refused(PYTHON="3.10") == f"setup: {old} is too old: Python 3.11 or newer is needed"


# -- .venv -----------------------------------------------------------------------------------------


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    """An environment of the Python that runs this test, with the metadata of bokeh 3.9.1."""
    made = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", made], check=True, timeout=60)
    (packages,) = made.glob("lib/python3*/site-packages")
    metadata = packages / "bokeh-3.9.1.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.1\nName: bokeh\nVersion: 3.9.1\n")
    for marker in (".made", ".installed", ".installed-test"):
        (made / marker).touch()
    return made


def markers(venv: Path) -> set[str]:
    return {path.name for path in venv.iterdir()} & {".made", ".installed", ".installed-test"}


ALL = {".made", ".installed", ".installed-test"}


def check(machine: Machine, venv: Path, **env: str) -> int:
    return machine.run(TOOLS / "setup/check_venv", venv, **env).returncode


def test_what_is_asked_for_is_there_already(machine: Machine, venv: Path) -> None:
    assert check(machine, venv, PYTHON=sys.executable, BOKEH="3.9.1") == 0
    assert check(machine, venv) == 0
    assert markers(venv) == ALL


def test_another_python_makes_it_anew(machine: Machine, venv: Path) -> None:
    assert check(machine, venv, PYTHON=machine.add(14)) == 0
    assert markers(venv) == set()


def test_another_bokeh_is_installed(machine: Machine, venv: Path) -> None:
    assert check(machine, venv, BOKEH="3.9.2") == 0
    assert markers(venv) == {".made"}


def test_a_python_that_is_not_there_leaves_it_as_it_is(machine: Machine, venv: Path) -> None:
    assert check(machine, venv, PYTHON="3.77") == 1
    assert markers(venv) == ALL


def make(machine: Machine, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What `make run` would do."""
    program = shutil.which("make") or pytest.fail("there is no make")
    return machine.run(program, "--directory", TOOLS.parent, "--dry-run", "run", *arguments)


def test_make_uses_what_is_there(machine: Machine, venv: Path) -> None:
    done = make(machine, f"VENV={venv}")

    assert "-m venv" not in done.stdout
    assert "pip install" not in done.stdout
    assert f"{venv}/bin/svc serve" in done.stdout


def test_make_installs_into_an_environment_made_anew(machine: Machine, venv: Path) -> None:
    done = make(machine, f"VENV={venv}", f"PYTHON={machine.add(14)}")

    assert "-m venv" in done.stdout
    assert "pip install" in done.stdout


def test_make_installs_another_bokeh(machine: Machine, venv: Path) -> None:
    done = make(machine, f"VENV={venv}", "BOKEH=3.9.2")

    assert "-m venv" not in done.stdout
    assert "'bokeh==3.9.2'" in done.stdout


def test_make_stops_if_there_is_no_such_python(machine: Machine) -> None:
    done = make(machine, "VENV=build/none", "PYTHON=3.77")

    assert done.returncode == 2
    assert "setup: PYTHON=3.77 is not on the PATH" in done.stderr
    assert "svc" not in done.stdout


# -- the matrix ------------------------------------------------------------------------------------

MAKE = """\
#!/bin/sh
echo "$@"
echo "FAILED tests/test_a.py::test_b"
echo "==== 1 failed, 2 passed in 0.10s ===="
case "$*" in *bad*) exit 2 ;; esac
"""


@pytest.fixture
def matrix(machine: Machine) -> Callable[..., tuple[int, list[str]]]:
    """Runs `tools/matrix` in a directory of its own, with a `make` that only says what it was to do."""
    shutil.copytree(TOOLS / "setup", machine.root / "checkout/tools/setup")
    shutil.copy(TOOLS / "matrix", machine.root / "checkout/tools/matrix")
    stub = machine.path / "make"
    stub.write_text(MAKE)
    stub.chmod(0o755)

    def run(*lines: str, **env: str) -> tuple[int, list[str]]:
        done = machine.run(machine.root / "checkout/tools/matrix", *lines, **env)
        return done.returncode, done.stdout.splitlines()

    return run


def commands(said: list[str]) -> list[str]:
    return [line for line in said if line.startswith("--no-print-directory test ")]


def test_each_line_has_an_environment_of_its_own(
    machine: Machine, matrix: Callable[..., tuple[int, list[str]]]
) -> None:
    new, old = machine.add(13), machine.add(11)

    code, said = matrix("3.13 3.10.2", "3.11 - --ignore=tests/store -x")

    assert code == 0
    assert commands(said) == [
        f"--no-print-directory test PYTHON={new} BOKEH=3.10.2 VENV=.venv-3.13-bokeh-3.10.2 ARGS=",
        f"--no-print-directory test PYTHON={old} BOKEH= VENV=.venv-3.11 ARGS=--ignore=tests/store -x",
    ]
    assert said[-1] == "==== 1 failed, 2 passed in 0.10s ===="


def test_a_line_that_fails_or_is_not_there_fails_all_after_the_others_ran(
    machine: Machine, matrix: Callable[..., tuple[int, list[str]]]
) -> None:
    machine.add(13)
    machine.add(11)

    code, said = matrix("3.77 3.10.2", "3.13 - -k bad", "3.11 -")

    assert code == 1
    assert len(commands(said)) == 2
    results = [line for line in said if "FAILED" in line or ": passed after" in line][-5:]
    assert "matrix: Python 3.77: FAILED, there is no such Python" in results
    assert sum("FAILED after" in line for line in results) == 1
    assert sum("passed after" in line for line in results) == 1


def test_the_matrix_takes_what_make_is_told(
    machine: Machine, matrix: Callable[..., tuple[int, list[str]]]
) -> None:
    python = machine.add(12)

    code, said = matrix(PYTHON="3.12", BOKEH="3.9.0", ARGS="tests/peers")

    assert code == 0
    assert commands(said) == [
        f"--no-print-directory test PYTHON={python} BOKEH=3.9.0 VENV=.venv-3.12-bokeh-3.9.0 ARGS=tests/peers"
    ]


def test_the_matrix_takes_all_that_are_there(
    machine: Machine, matrix: Callable[..., tuple[int, list[str]]]
) -> None:
    pythons = [machine.add(14), machine.add(12)]

    _, said = matrix()

    assert {f"PYTHON={each}" for each in pythons} <= {line.split()[2] for line in commands(said)}
