"""What a figure is, how it is judged, and the tables of all of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from loadtests.bench.report import machine

__all__ = ("Figure", "compared", "table", "write")

HEAD = ("figure", "value", "of the build before", "times that", "target", "verdict")


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number. ``most`` and ``least`` are targets; None for none."""

    label: str
    value: float
    unit: str = ""
    most: float | None = None
    least: float | None = None
    key: str = ""
    """By what a row of the main table refers to it."""
    before: float | None = None
    """The same of the build before, if that was measured."""
    most_times: float | None = None
    """The target is this many times ``before``."""

    @property
    def times(self) -> float | None:
        return None if self.before is None else self.value / self.before if self.before else 1.0

    @property
    def met(self) -> bool:
        """Also when there is no target, or nothing that it could be compared with."""
        return (
            (self.most is None or self.value <= self.most)
            and (self.least is None or self.value >= self.least)
            and (self.most_times is None or self.times is None or self.times <= self.most_times)
        )

    @property
    def target(self) -> str:
        bounds = (("≤", self.most, self.unit), ("≥", self.least, self.unit), ("≤", self.most_times, "x"))
        return " ".join(
            f"{sign} {bound:g} {unit}".rstrip() for sign, bound, unit in bounds if bound is not None
        )

    @property
    def verdict(self) -> str:
        if not self.target or (self.most_times is not None and self.times is None):
            return ""
        return "met" if self.met else "missed"


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the main table: one figure, or several that are read together."""

    label: str
    keys: tuple[str, ...]

    def cells(self, figures: Sequence[Figure]) -> tuple[str, ...] | None:
        by_key = {each.key: each for each in figures if each.key}
        found = [by_key[key] for key in self.keys if key in by_key]
        return _cells(self.label, found) if found else None


ROWS = (
    Row("20 sessions, build takes 1 s, SIGKILL: last page shows its Document again", ("slow shown",)),
    Row("the same: a move made at once is answered", ("slow answered",)),
    Row("the same: longest answer to sessions that stayed", ("slow stayed",)),
    Row("300 sessions, SIGKILL of one replica of 3: p50 / p99", ("kill p50", "kill p99")),
    Row("1,000 connections cut at once: p99", ("herd p99",)),
    Row("SIGTERM with 1,000 sessions: until the process has ended", ("drain ended",)),
    Row("CPU of the survivors per returned session until it is shown", ("slow cpu",)),
    Row("50,000 open tabs asleep on one replica: memory each / idle CPU", ("asleep memory", "asleep cpu")),
)


def compared(figures: Iterable[Figure], before: Iterable[Figure]) -> list[Figure]:
    """Each with what it was ``before``."""
    then = {each.label: each.value for each in before if each.unit}
    return [replace(each, before=then.get(each.label)) for each in figures]


def table(figures: Sequence[Figure]) -> str:
    """Markdown: the main table, then all other figures."""
    main = [cells for row in ROWS if (cells := row.cells(figures)) is not None]
    others = [_cells(each.label, [each]) for each in figures if not each.key]
    return "\n".join(_markdown(rows) for rows in (main, others) if rows)


def _cells(label: str, figures: Sequence[Figure]) -> tuple[str, ...]:
    verdicts = {each.verdict for each in figures} - {""}
    return (
        label,
        " / ".join(_number(each.value, each.unit) for each in figures),
        " / ".join(_number(each.before, each.unit) for each in figures),
        " / ".join(_number(each.times, "x") for each in figures),
        " / ".join(each.target for each in figures if each.target),
        "missed" if "missed" in verdicts else "met" if verdicts else "",
    )


def _number(value: float | None, unit: str) -> str:
    return "-" if value is None else f"{value:.4g} {unit}".rstrip()


def _markdown(rows: Sequence[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in (HEAD, *rows)]
    lines.insert(1, "|" + "---|" * len(HEAD))
    return "\n".join(lines) + "\n"


def write(figures: Sequence[Figure], command: str, folder: Path) -> None:
    """``durability.json`` and ``durability.md`` in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    told = {"command": command, "machine": machine(), "figures": [asdict(each) for each in figures]}
    (folder / "durability.json").write_text(json.dumps(told, indent=1) + "\n")
    (folder / "durability.md").write_text(f"`{command}` on {machine()}:\n\n{table(figures)}")
