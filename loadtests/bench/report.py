"""The table: printed, and written as Markdown and JSON."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path

from loadtests.bench.scenario import Measured

__all__ = ("as_json", "folder_of_line", "read", "table", "write")


def table(measured: Iterable[Measured], peer: str = "bokeh serve") -> str:
    """All rows as a Markdown table; ``peer`` is who stands beside ours."""
    rows = [("figure", "unit", "ours", peer, "ratio", "target", "verdict", "rounds"), *map(_cells, measured)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
             for row in rows]  # fmt: skip
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines) + "\n"


def as_json(measured: Sequence[Measured], command: str) -> str:
    """All values of all rounds."""
    figures = {
        each.name: {
            "label": each.row.label,
            "unit": each.row.unit,
            "ours": each.ours,
            "bokeh": each.bokeh,
            "ratio": each.ratio,
            "target": str(each.row.target or ""),
            "verdict": each.verdict,
            "rounds": each.values,
        }
        for each in measured
    }
    facts = {"command": command, "machine": machine(), "bokeh": version("bokeh"), "figures": figures}
    return json.dumps(facts, indent=1) + "\n"


def folder_of_line() -> Path:
    """Where results go by default: each line of Bokeh has a folder of its own."""
    major, minor, *_ = version("bokeh").split(".")
    return Path("build/bench") / f"bokeh-{major}.{minor}"


def machine() -> str:
    """What the figures were measured with."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("bokeh", "tornado", "redis"))
    return f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, {packages}"


def write(measured: Sequence[Measured], command: str, folder: Path) -> None:
    """``bench.json`` and ``bench.md`` in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bench.json").write_text(as_json(measured, command))
    (folder / "bench.md").write_text(f"`{command}` on {machine()}:\n\n{table(measured)}")


def read(folder: Path) -> dict[str, dict[str, list[float]]]:
    """The rounds that an earlier run left in ``folder``, by figure and side."""
    file = folder / "bench.json"
    if not file.exists():
        return {}
    return {name: each["rounds"] for name, each in json.loads(file.read_text())["figures"].items()}


def _cells(measured: Measured) -> tuple[str, ...]:
    row = measured.row
    rounds = "/".join(str(len(values)) for values in measured.values.values())
    return (
        row.label, row.unit, _number(measured.ours), _number(measured.bokeh),
        "" if measured.ratio is None else f"{_number(measured.ratio)}x",
        str(row.target or ""), measured.verdict, rounds,
    )  # fmt: skip


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
