"""Import spaces: an app's own modules win while its code runs, and only then."""

from __future__ import annotations

import importlib
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import store
import store.contract as contract
from service.apps.imports import ImportSpace

Space = Callable[[str], ImportSpace]


@pytest.fixture
def space(tmp_path: Path) -> Iterator[Space]:
    """Makes spaces: `space("one")`, each with a `helpers.py` and a `store.py` that know its name."""
    before = set(sys.modules)

    def make(name: str) -> ImportSpace:
        directory = tmp_path / name
        directory.mkdir()
        for module in ("helpers.py", "store.py"):
            (directory / module).write_text(f"NAME = {name!r}\nITEMS = []\n")
        return ImportSpace(directory)

    yield make
    for name in set(sys.modules) - before:
        del sys.modules[name]


def name_of(module: str) -> str:
    found: str = importlib.import_module(module).NAME
    return found


def test_two_apps_have_their_own_module_of_one_name(space: Space) -> None:
    one, other = space("one"), space("other")
    with one.entered():
        assert name_of("helpers") == "one"
    with other.entered():
        assert name_of("helpers") == "other"
    with one.entered():
        assert name_of("helpers") == "one"


def test_ours_is_hidden_while_the_app_runs_and_back_afterwards(space: Space) -> None:
    with space("one").entered():
        assert name_of("store") == "one"
        assert importlib.import_module("store") is not store

    assert importlib.import_module("store") is store
    assert sys.modules["store.contract"] is contract


def test_a_module_is_run_once_per_app(space: Space) -> None:
    one = space("one")
    with one.entered():
        importlib.import_module("helpers").ITEMS.append(1)
    with one.entered():
        assert importlib.import_module("helpers").ITEMS == [1]


def test_nothing_stays_behind(space: Space) -> None:
    path = list(sys.path)
    with space("one").entered():
        importlib.import_module("helpers")

    assert "helpers" not in sys.modules
    assert sys.path == path


def test_not_even_after_a_failure(space: Space) -> None:
    path = list(sys.path)
    one = space("one")

    def import_and_fail() -> None:
        with one.entered():
            importlib.import_module("helpers")
            raise LookupError

    with pytest.raises(LookupError):
        import_and_fail()

    assert "helpers" not in sys.modules
    assert sys.path == path


def test_entering_nests(space: Space) -> None:
    one = space("one")
    with one.entered():
        with one.entered():
            assert name_of("helpers") == "one"
        assert name_of("helpers") == "one"


def test_forgotten_modules_are_read_again(space: Space, tmp_path: Path) -> None:
    one = space("one")
    with one.entered():
        importlib.import_module("helpers")
    (tmp_path / "one" / "helpers.py").write_text("NAME = 'edited since'\n")

    one.forget()

    with one.entered():
        assert name_of("helpers") == "edited since"


def test_sources_are_those_of_imported_modules(space: Space) -> None:
    one = space("one")
    assert list(one.sources()) == []

    with one.entered():
        importlib.import_module("helpers")

    assert list(one.sources()) == ["NAME = 'one'\nITEMS = []\n"]


def test_the_standard_library_stays(space: Space, tmp_path: Path) -> None:
    directory = tmp_path / "with-types"
    directory.mkdir()
    (directory / "types.py").write_text("raise AssertionError('not this one')\n")
    with ImportSpace(directory).entered():
        assert importlib.import_module("types") is types


def test_no_directory_is_no_space() -> None:
    path = list(sys.path)
    with ImportSpace(None).entered():
        assert sys.path == path
