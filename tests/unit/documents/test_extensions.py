"""Extensions of Bokeh that are installed are found, imported or not."""

from __future__ import annotations

import json
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import bokeh
import pytest

from service.documents import extensions
from service.documents.extensions import installed_versions


@pytest.fixture(autouse=True)
def _looked_anew() -> Iterator[None]:
    caches = (extensions.installed_versions, extensions.extension_version, extensions._package)
    for each in caches:
        each.cache_clear()
    yield
    for each in caches:
        each.cache_clear()


def add(folder: Path, name: str, version: str) -> None:
    package = folder / name
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "bokeh.ext.json").touch()
    (package / "package.json").write_text(json.dumps({"version": version}))


def test_wherever_python_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(tmp_path, "some_extension", "1.2.3")
    add(tmp_path, "not-a-package", "1.0")
    (tmp_path / "other_package").mkdir()
    (tmp_path / "a_file.py").touch()
    archive = tmp_path / "modules.zip"
    zipfile.ZipFile(archive, "w").close()
    monkeypatch.setattr(sys, "path", [str(tmp_path), str(archive), str(tmp_path / "nowhere"), *sys.path])

    found = installed_versions()

    assert found["some_extension"] == "1.2.3"
    assert found["bokeh"] == bokeh.__version__
    assert not {"not-a-package", "other_package", "a_file"} & found.keys()


def test_in_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(tmp_path, "local_extension", "4.5")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])

    assert installed_versions()["local_extension"] == "4.5"
