"""The report: what counts as a failure, the numbers, and that the page can be read alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from loadtests import report

EVENTS = [
    *({"at": 100.0 + at / 10, "kind": "patch", "seconds": at / 1000, "error": None} for at in range(1, 101)),
    {"at": 105.0, "kind": "interrupted", "seconds": 0.0, "error": None},
    {"at": 105.5, "kind": "reconnect", "seconds": 0.5, "error": None},
    {"at": 105.5, "kind": "state", "seconds": 0.0, "error": "offset is [0], not [1]"},
]
SAMPLE = {"sessions": 3, "connections": 3, "patches": 10, "relays": 0, "cpu": 1, "memory": 1}


@pytest.fixture
def summary(tmp_path: Path) -> report.Summary:
    (tmp_path / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in EVENTS))
    samples = [{"at": 100.0 + at, "replica": "replica a", **SAMPLE, "patches": 10 * at} for at in range(10)]
    (tmp_path / "samples.jsonl").write_text("".join(json.dumps(each) + "\n" for each in samples))
    return report.write(tmp_path, "a title <x>", [report.Mark(103.0, "stop_one")])


def test_lost_state_is_a_failure_and_an_interrupted_move_is_not(summary: report.Summary) -> None:
    assert summary.failures == 1
    assert "reconnects 1, of which lost state 1; interrupted moves 1" in summary.text


def test_percentiles_are_nearest_rank(summary: report.Summary) -> None:
    patch = next(line for line in summary.text.splitlines() if line.startswith("patch"))

    assert patch.split() == ["patch", "100", "0", "50.0", "95.0", "99.0"]


def test_the_page_holds_its_plots(summary: report.Summary) -> None:
    page = summary.path.read_text()

    assert "data:image/png;base64," in page
    assert "a title &lt;x&gt;" in page
    assert "http" not in page.replace("http-equiv", "").partition("base64,")[0]


def test_a_second_without_a_sample_has_the_value_before() -> None:
    assert report.each_second([(1.2, 5.0), (1.9, 6.0), (4.1, 7.0)]) == {1: 6.0, 2: 6.0, 3: 6.0, 4: 7.0}
