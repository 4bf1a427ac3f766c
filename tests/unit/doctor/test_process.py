"""What `svc doctor` says of the process itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from service.doctor import process
from service.doctor.findings import Finding, Level
from service.doctor.process import check_process
from service.settings import Settings

REDIS = "redis://localhost:6379"
LONG = "a secret key that nobody will guess so soon"


def found(**options: Any) -> dict[str, Finding]:
    return {each.about: each for each in check_process(Settings(**options))}


@pytest.mark.parametrize(
    ("about", "level", "options"),
    [
        ("secret key", Level.FINE, {}),
        ("secret key", Level.WARNING, {"redis": REDIS}),
        ("secret key", Level.WARNING, {"redis": REDIS, "secret_key": "short"}),
        ("secret key", Level.FINE, {"redis": REDIS, "secret_key": LONG}),
        ("origins", Level.FINE, {}),
        ("origins", Level.WARNING, {"redis": REDIS}),
        ("origins", Level.WARNING, {"allow_websocket_origin": ("*",)}),
        ("origins", Level.PROBLEM, {"allow_websocket_origin": ("https://www.example.org/",)}),
        ("origins", Level.FINE, {"redis": REDIS, "allow_websocket_origin": ("www.example.org",)}),
        ("apps", Level.WARNING, {}),
        ("apps", Level.PROBLEM, {"apps": ("no-such-app.py",)}),
    ],
)
def test_options(about: str, level: Level, options: dict[str, Any]) -> None:
    finding = found(**options)[about]

    assert finding.level is level
    assert bool(finding.advice) is (level is not Level.FINE)
    assert LONG not in finding.says


def test_files_that_may_be_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "raise_file_limit", lambda: 1024)

    assert found()["open files"].level is Level.WARNING
    assert found(max_sessions=500)["open files"].level is Level.WARNING
    assert found(max_sessions=5000)["open files"].level is Level.PROBLEM


def test_a_bokeh_that_came_after_those_tested(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "refuse_unsupported", lambda: "3.99.0")

    assert found()["versions"].level is Level.WARNING


def test_an_app_that_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("")

    assert found(apps=(str(tmp_path / "app.py"),))["apps"].level is Level.FINE
