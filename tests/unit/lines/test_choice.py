"""Which Bokeh is taken, which is warned of, and which is refused."""

from __future__ import annotations

import logging
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import service
from service.errors import ConfigError
from service.lines import check_bokeh, choice, line, refuse_unsupported

ROOT = Path(__file__).parents[3]
KNOWN = ["3.9.0", "3.9.2", "3.9.2rc1", "3.10.0", "3.10.2", "3.10.0.dev3", "3.10.2+local.1"]
NEWER = ["3.11.0", "3.11.0.dev2", "3.11.0rc1", "3.12.1", "3.100.0"]
OLDER = ["3.8.2", "3.8.0.dev1", "2.4.3", "1.4.0", "0.13.0"]
LATER = ["4.0.0", "4.0.0.dev1", "4.1", "10.0.0"]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Lets the metadata say so: `installed("3.8.2")`."""

    def pretend(version: str) -> None:
        monkeypatch.setattr(choice, "version_of_package", {"bokeh": version}.__getitem__)
        forget()

    def forget() -> None:
        choice.refuse_unsupported.cache_clear()
        choice.load.cache_clear()

    yield pretend
    forget()


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


@pytest.mark.parametrize("version", KNOWN)
def test_a_known_line_starts_without_a_word(
    version: str, installed: Callable[[str], None], caplog: pytest.LogCaptureFixture
) -> None:
    installed(version)

    check_bokeh()

    assert warnings(caplog) == []


@pytest.mark.parametrize("version", NEWER)
def test_a_newer_line_starts_with_one_warning(
    version: str, installed: Callable[[str], None], caplog: pytest.LogCaptureFixture
) -> None:
    installed(version)

    check_bokeh()

    (warning,) = warnings(caplog)
    assert f"bokeh {version} is newer than the versions tested with this server (3.9 to 3.10)" in warning
    assert "unproven" in warning
    assert "slower" in warning


@pytest.mark.parametrize("version", [*OLDER, *LATER])
def test_an_older_line_and_a_later_major_version_are_refused_in_one_line(
    version: str, installed: Callable[[str], None]
) -> None:
    installed(version)

    for refusing in (check_bokeh, refuse_unsupported, choice.load):
        with pytest.raises(ConfigError) as caught:
            refusing()
        assert str(caught.value) == f"bokeh {version} is not supported: install bokeh>=3.9,<3.11"


@pytest.mark.parametrize("name", service.__all__)
def test_what_programs_import_is_refused_in_that_line(name: str, installed: Callable[[str], None]) -> None:
    installed("3.8.2")

    with pytest.raises(ConfigError, match=r"^bokeh 3\.8\.2 is not supported"):
        getattr(service, name)


def test_there_is_nothing_else_in_the_packages() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        service.nothing  # noqa: B018 - raises
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        service.lines.nothing  # noqa: B018 - raises


@pytest.mark.parametrize(
    ("version", "module"),
    [("3.9.0", "3_9"), ("3.10.2", "3_10"), ("3.11.0.dev2", "3_10"), ("3.12.0", "3_10")],
)
def test_a_newer_bokeh_is_taken_for_the_newest_line(
    version: str, module: str, installed: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    imported: list[str] = []

    def remember(name: str) -> Any:
        imported.append(name)
        return ModuleType(name)

    monkeypatch.setattr(choice, "import_module", remember)
    installed(version)

    choice.load()

    assert imported == [f"service.lines.bokeh_{module}"]


def test_the_line_is_that_of_the_installed_bokeh() -> None:
    import bokeh

    assert min(choice.version_of(bokeh.__version__), choice.NEWEST) == line.VERSION


def test_pip_may_install_what_starts() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (allowed,) = (
        each.specifier for each in map(Requirement, project["dependencies"]) if each.name == "bokeh"
    )

    assert all(allowed.contains(version, prereleases=True) for version in [*KNOWN[:2], *NEWER[:3]])
    assert not any(allowed.contains(version) for version in [*OLDER, *LATER])


def test_the_constraints_allow_what_is_tested() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    (tested,) = (each.removeprefix("bokeh") for each in lines if each.startswith("bokeh"))
    major, minor = choice.NEWEST

    assert SpecifierSet(tested) == SpecifierSet(f"<{major}.{minor + 1}")
