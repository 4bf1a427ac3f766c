"""The benchmark's own machinery: what is measured again, what a failure stops, what gets into the docs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import bokeh
import pytest

from loadtests.bench import __main__ as bench
from loadtests.bench import publish, report
from loadtests.bench.scenario import Measures, Ratio, Row, Scale, Scenario, Upto
from loadtests.bench.servers import BOKEH, OURS, Side

PAGE = f"# Speed\n\n{publish.BEGIN}\nold\n{publish.END}\n\nafterwards\n"


async def nothing(side: Side, scale: Scale) -> Measures:
    raise AssertionError("replaced by the fixture")


FAST = Scenario("fast", [Row("rate", "things done", "1/s", Ratio(at_least=3))], nothing)
SLOW = Scenario(
    "slow",
    [Row("open_10x", "growth", "x", Upto(1.15, "x")), Row("open@50", "opening", "ms")],
    nothing,
    bokeh_rounds=1,
)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Which scenario was measured on which side; ours is four times as good. Nothing is started."""
    done: list[tuple[str, str]] = []

    def once(scenario: Scenario, scale: Scale, name: str, against: Path | None) -> Measures:
        done.append((scenario.name, name))
        return {row.key: 4.0 if name == OURS else 1.0 for row in scenario.rows}

    monkeypatch.setattr(bench, "SCENARIOS", [FAST, SLOW])
    monkeypatch.setattr(bench, "_once", once)
    monkeypatch.setattr(bench, "pin_to_load_core", lambda: None)
    return done


def test_sides_take_turns_and_each_is_first_as_often(measured: list[tuple[str, str]], tmp_path: Path) -> None:
    assert bench.main(["--only", "fast", "--rounds", "2", "--out", str(tmp_path)]) == 0
    assert [side for _, side in measured] == [BOKEH, OURS, OURS, BOKEH]


def test_another_checkout_may_stand_in_the_place_of_bokeh_serve(
    measured: list[tuple[str, str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.main(["--only", "fast", "--rounds", "1", "--out", str(tmp_path), "--against", "before"])
    (head,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| figure")]
    assert "| before |" in head


def test_a_resumed_run_measures_what_is_missing(measured: list[tuple[str, str]], tmp_path: Path) -> None:
    bench.main(["--only", "fast", "--rounds", "2", "--out", str(tmp_path)])
    measured.clear()
    bench.main(["--rounds", "2", "--resume", "--out", str(tmp_path)])
    assert measured == [("slow", BOKEH), ("slow", OURS), ("slow", OURS)]
    figures = json.loads((tmp_path / "bench.json").read_text())["figures"]
    assert figures["fast/rate"]["verdict"] == "met"
    assert figures["slow/open_10x"]["rounds"] == {OURS: [4.0, 4.0], BOKEH: [1.0]}


def test_a_scenario_that_fails_does_not_stop_the_others(
    measured: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    once: Any = bench._once
    monkeypatch.setattr(
        bench, "_once", lambda scenario, *args: once(scenario, *args) if scenario is SLOW else 1 / 0
    )
    assert bench.main(["--rounds", "1", "--out", str(tmp_path)]) == 1
    assert ("slow", OURS) in measured


def test_results_take_the_place_of_older_ones(
    measured: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    page, images = tmp_path / "performance.md", tmp_path / "images"
    page.write_text(PAGE)
    monkeypatch.setattr(publish, "PAGE", page)
    monkeypatch.setattr(publish, "IMAGES", images)
    bench.main(["--rounds", "1", "--out", str(tmp_path / "results")])

    assert publish.main([str(tmp_path / "results")]) == 0
    text = page.read_text()
    assert "| things done | 1/s | 4 | 1 | 4x | ≥ 3x | met | 1/1 |" in text
    assert f"### Bokeh {bokeh.__version__}" in text
    assert "old" not in text
    assert text.endswith("afterwards\n")
    assert {file.name for file in images.iterdir()} == {"performance-ratios.svg", "performance-growth.svg"}


def test_each_version_of_bokeh_has_a_table_the_newest_first(
    measured: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    page = tmp_path / "performance.md"
    page.write_text(PAGE)
    monkeypatch.setattr(publish, "PAGE", page)
    monkeypatch.setattr(publish, "IMAGES", tmp_path / "images")
    for version in ("3.9.2", "3.10.0"):
        bench.main(["--rounds", "1", "--out", str(tmp_path / version)])
        results = tmp_path / version / "bench.json"
        results.write_text(json.dumps(json.loads(results.read_text()) | {"bokeh": version}))

    assert publish.main([str(tmp_path / "3.9.2"), str(tmp_path / "3.10.0")]) == 0
    first, second = page.read_text().split("### Bokeh ")[1:]
    assert first.startswith("3.10.0\n")
    assert second.startswith("3.9.2\n")
    assert first.count("| things done |") == second.count("| things done |") == 1


def test_results_of_two_lines_do_not_mix() -> None:
    line = ".".join(bokeh.__version__.split(".")[:2])
    assert report.folder_of_line() == Path("build/bench") / f"bokeh-{line}"
