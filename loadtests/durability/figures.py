"""What a figure is, how it is judged, and the table of all of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from loadtests.bench.report import machine

__all__ = ("Figure", "compared", "table", "write")

HEAD = ("figure", "value", "target", "verdict")


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number. ``most`` and ``least`` are targets; None for none."""

    label: str
    value: float
    unit: str = ""
    most: float | None = None
    least: float | None = None

    @property
    def met(self) -> bool:
        """Also when there is no target."""
        return (self.most is None or self.value <= self.most) and (
            self.least is None or self.value >= self.least
        )

    @property
    def target(self) -> str:
        bounds = (("≤", self.most), ("≥", self.least))
        return " ".join(
            f"{sign} {bound:g} {self.unit}".rstrip() for sign, bound in bounds if bound is not None
        )

    @property
    def verdict(self) -> str:
        return "" if not self.target else "met" if self.met else "missed"


def compared(figures: Iterable[Figure], before: Iterable[Figure]) -> list[Figure]:
    """Each with what it was ``before``, and how many times that it is."""
    then = {each.label: each for each in before}
    found: list[Figure] = []
    for each in figures:
        found.append(each)
        if (was := then.get(each.label)) is not None and was.unit:
            found.append(Figure(f"{each.label}: of the build before", was.value, was.unit))
            found.append(
                Figure(f"{each.label}: times that", each.value / was.value if was.value else 1.0, "x")
            )
    return found


def table(figures: Iterable[Figure]) -> str:
    """All figures as a Markdown table."""
    rows = [
        (each.label, f"{each.value:.4g} {each.unit}".rstrip(), each.target, each.verdict) for each in figures
    ]
    lines = ["| " + " | ".join(row) + " |" for row in (HEAD, *rows)]
    lines.insert(1, "|" + "---|" * len(HEAD))
    return "\n".join(lines) + "\n"


def write(figures: Sequence[Figure], command: str, folder: Path) -> None:
    """``durability.json`` and ``durability.md`` in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    told = {"command": command, "machine": machine(), "figures": [asdict(each) for each in figures]}
    (folder / "durability.json").write_text(json.dumps(told, indent=1) + "\n")
    (folder / "durability.md").write_text(f"`{command}` on {machine()}:\n\n{table(figures)}")
