"""The tables of `make durability`: which rows there are, beside the build before, and how they are judged."""

from __future__ import annotations

from loadtests.durability.figures import ROWS, Figure, compared, table

P50 = Figure("back, p50", 0.3, "s", most=0.4, key="kill p50")
P99 = Figure("back, p99", 1.6, "s", most=1, key="kill p99")
CPU = Figure("CPU", 3.0, "ms", most_times=0.2, key="slow cpu")
MOVES = Figure("moves", 101)


def lines(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line]


def test_figures_of_one_row_are_read_together() -> None:
    *_, row = lines(table([P50, P99]))
    assert row[1] == "0.3 s / 1.6 s"
    assert row[-2:] == ["≤ 0.4 s / ≤ 1 s", "missed"]


def test_there_are_rows_for_what_was_measured_only() -> None:
    assert len(lines(table([P50, P99, CPU]))) == 2 + 2
    assert len(lines(table([Figure(key, 1.0, key=key) for row in ROWS for key in row.keys]))) == 2 + len(ROWS)


def test_all_else_has_a_table_of_its_own() -> None:
    main, others = table([P50, MOVES]).split("\n\n")
    assert "moves" not in main
    assert lines(others)[-1][:2] == ["moves", "101"]


def test_a_ratio_is_judged_only_beside_the_build_before() -> None:
    assert CPU.met
    assert not CPU.verdict
    better, worse = (compared([CPU], [Figure("CPU", before, "ms")])[0] for before in (30.0, 10.0))
    assert (better.verdict, worse.verdict) == ("met", "missed")
    assert lines(table([better]))[-1][1:] == ["3 ms", "30 ms", "0.1 x", "≤ 0.2 x", "met"]
