"""What is done to modules of others as soon as an app imports them."""

from __future__ import annotations

import importlib.util
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from service.apps.when_imported import imported, when_imported

SOURCE = "value = 'as it is'\ndef where(): return __file__"


@pytest.fixture
def name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[str]:
    """Of a module that can be imported and was not yet."""
    unique = f"imported_by_{request.node.name.partition('[')[0]}"
    (tmp_path / f"{unique}.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    yield unique
    sys.modules.pop(unique, None)


def test_it_happens_before_who_imports_goes_on(name: str) -> None:
    when_imported(name, lambda module: setattr(module, "value", "another"))
    assert name not in sys.modules
    module = importlib.import_module(name)
    assert module.value == "another"
    assert module.where().endswith(f"{name}.py")
    assert importlib.util.find_spec(name) is not None


def test_it_happens_now_to_what_is_there_already(name: str) -> None:
    module = importlib.import_module(name)
    when_imported(name, lambda module: setattr(module, "value", "another"))
    assert module.value == "another"


def test_it_happens_once(name: str) -> None:
    seen: list[ModuleType] = []
    for _ in range(2):
        when_imported(name, seen.append)
    module = importlib.import_module(name)
    when_imported(name, seen.append)
    assert seen == [module]


def test_it_happens_again_to_a_module_that_is_loaded_anew(name: str) -> None:
    when_imported(name, lambda module: setattr(module, "value", "another"))
    importlib.import_module(name)
    del sys.modules[name]
    assert importlib.import_module(name).value == "another"


def test_threads_that_import_at_once_all_get_it(name: str) -> None:
    when_imported(name, lambda module: setattr(module, "value", "another"))
    found: list[str] = []
    start = threading.Barrier(8)

    def run() -> None:
        start.wait()
        found.append(importlib.import_module(name).value)

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["another"] * 8


def test_a_module_that_is_not_there_is_missing_as_ever() -> None:
    when_imported("no_such_module_anywhere", lambda module: None)
    with pytest.raises(ModuleNotFoundError, match="no_such_module_anywhere"):
        importlib.import_module("no_such_module_anywhere")


def test_what_another_thread_is_importing_is_not_there_yet(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its classes are not either, which code that draws other apps would ask it for."""
    begun, go_on = threading.Event(), threading.Event()
    monkeypatch.setattr(sys, "begun_and_go_on", (begun, go_on), raising=False)
    (tmp_path / f"{name}.py").write_text(
        "import sys\nbegun, go_on = sys.begun_and_go_on\nbegun.set()\ngo_on.wait(30)\nclass Widget: pass\n"
    )
    importing = threading.Thread(target=importlib.import_module, args=(name,))
    importing.start()

    assert begun.wait(30)
    assert name in sys.modules
    assert imported(name) is None

    go_on.set()
    importing.join(30)
    assert imported(name).Widget
    assert imported(f"{name}_that_is_not_there") is None
