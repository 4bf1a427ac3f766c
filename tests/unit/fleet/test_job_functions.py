"""Which functions workers run: those that an app's modules have marked, whatever a store may say."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from service import fleet
from service.apps.imports import ImportSpace
from service.fleet.job_functions import any_in_directory, find_function, name_of_function, options_of

WORK = """
from service import fleet
from service.fleet import job as mark
import os

@fleet.job
def marked(x): return x

@fleet.job(attempts=1, time_limit=5, retention=60, retry=(OSError,))
def bounded(): pass

@mark
async def by_another_name(): pass

def unmarked(): raise AssertionError

class Tool:
    @staticmethod
    def run(): raise AssertionError
"""

TRAP = "raise AssertionError('imported because the store said so')"


@pytest.fixture
def imports(tmp_path: Path) -> Iterator[ImportSpace]:
    (tmp_path / "work_of_tests.py").write_text(WORK)
    (tmp_path / "trap_of_tests.py").write_text(TRAP)
    (tmp_path / "other_trap_of_tests.py").write_text(f"{TRAP}\ndef job(): pass\n")
    (tmp_path / "package_of_tests").mkdir()
    (tmp_path / "package_of_tests" / "__init__.py").write_text("")
    (tmp_path / "package_of_tests" / "inner.py").write_text(
        "from service.fleet import job\n@job\ndef deep(): pass\n"
    )
    space = ImportSpace(tmp_path)
    yield space
    space.forget()


def test_a_marked_function_is_found_by_its_name(imports: ImportSpace) -> None:
    found = find_function("work_of_tests:marked", imports)

    assert found is not None
    assert found(3) == 3
    assert name_of_function(found, imports) == "work_of_tests:marked"
    assert find_function("package_of_tests.inner:deep", imports) is not None


def test_what_it_is_bounded_by(imports: ImportSpace) -> None:
    found = find_function("work_of_tests:bounded", imports)

    assert found is not None
    options = options_of(found)
    assert (options.attempts, options.time_limit, options.retention) == (1, 5, 60)
    assert options.retry == (OSError,)


@pytest.mark.parametrize(
    "name",
    [
        "work_of_tests:unmarked", "work_of_tests:Tool.run", "work_of_tests:os.system", "work_of_tests:os",
        "work_of_tests:", "work_of_tests:nothing", ":marked", "os:system", "posixpath:join", "builtins:exec",
        "trap_of_tests:job", "other_trap_of_tests:job", "antigravity:job", "..work_of_tests:marked",
        "/etc/passwd:job", "work_of_tests", "", "__main__:main", "package_of_tests..inner:deep",
    ],
)  # fmt: skip
def test_nothing_else_is_run_or_imported(imports: ImportSpace, name: str) -> None:
    assert find_function("work_of_tests:marked", imports) is not None

    assert find_function(name, imports) is None

    assert "trap_of_tests" not in sys.modules
    assert "other_trap_of_tests" not in sys.modules
    assert "antigravity" not in sys.modules


def test_a_function_that_is_not_marked_cannot_be_submitted() -> None:
    with pytest.raises(TypeError, match="sorted is no job"):
        fleet.submit(sorted, [])


def test_jobs_belong_to_an_app(imports: ImportSpace) -> None:
    found: Any = find_function("work_of_tests:marked", imports)

    with pytest.raises(RuntimeError, match="jobs belong to an app"):
        fleet.submit(found, 1)
    with pytest.raises(RuntimeError, match="jobs belong to an app"):
        fleet.find_job("1")
    with pytest.raises(RuntimeError, match="this is no job"):
        fleet.progress(0.5)


def of_a_script() -> None:
    return


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"attempts": 0}, "attempts is between"),
        ({"time_limit": 0}, "time_limit is in seconds"),
        ({"retention": 1e9}, "retention is in seconds"),
        ({"retry": (3,)}, "retry is a tuple of exceptions"),
        ({"retry": (BaseException,)}, "retry is a tuple of exceptions"),
    ],
)
def test_bounds_that_make_no_sense(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        fleet.job(**options)


def test_functions_that_workers_cannot_import(monkeypatch: pytest.MonkeyPatch) -> None:
    def inner() -> None:
        return

    marks: list[Callable[..., Any]] = [inner, lambda: None]
    for each in marks:
        with pytest.raises(RuntimeError, match="at the top of a module"):
            fleet.job(each)
    monkeypatch.setattr(of_a_script, "__module__", "bokeh_app_123")
    with pytest.raises(RuntimeError, match="in a module beside it"):
        fleet.job(of_a_script)


@pytest.mark.parametrize(
    ("file", "source", "has"),
    [
        ("work.py", WORK, True),
        ("tools/deep/work.py", WORK, True),
        ("work.py", "from service import fleet\n\ndef job(): pass\n", False),
        ("work.py", "@fleet.job\ndef broken(:", False),
        ("work.txt", WORK, False),
    ],
)
def test_whether_an_app_may_have_jobs_is_found_without_running_it(
    tmp_path: Path, file: str, source: str, has: bool
) -> None:
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text(source)

    assert any_in_directory(ImportSpace(tmp_path)) is has
