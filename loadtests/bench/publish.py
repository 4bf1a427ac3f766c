"""``python -m loadtests.bench.publish FOLDER ...``: results into ``docs/performance.md``, with plots.

Each folder is one that ``make bench`` wrote to; where two hold the same figure the later one counts.
Needs matplotlib (``pip install -e '.[bench]'``).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from loadtests.bench.scenario import ROOT

__all__ = ("main",)

PAGE = ROOT / "docs" / "performance.md"
IMAGES = ROOT / "docs" / "images"
PLOTTED = {"open": "opening a session", "patch": "a slider move", "end": "ending a session"}
BEGIN, END = "<!-- results: make bench-docs -->", "<!-- end of results -->"


def main(folders: Sequence[str]) -> int:
    results = [json.loads((Path(folder) / "bench.json").read_text()) for folder in folders]
    figures: dict[str, dict[str, Any]] = {}
    for result in results:
        figures |= result["figures"]
    IMAGES.mkdir(exist_ok=True)
    _write(results, {name: each for name, each in figures.items() if "@" not in name})
    compared = {name: each for name, each in figures.items() if each["ratio"] and each["target"]}
    _plot_ratios({name: each for name, each in compared.items() if not name.endswith("_10x")})
    _plot_growth({name: each for name, each in figures.items() if "@" in name})
    return 0


def _write(results: list[dict[str, Any]], figures: dict[str, dict[str, Any]]) -> None:
    lines = [
        "| figure | unit | ours | `bokeh serve` | ratio | target | verdict | rounds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for each in figures.values():
        ratio = f"{each['ratio']:.3g}x" if each["ratio"] else ""
        rounds = "/".join(str(len(values)) for values in each["rounds"].values())
        cells = (each["label"], each["unit"], _number(each["ours"]), _number(each["bokeh"]), ratio,
                 each["target"], each["verdict"], rounds)  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    commands = " and ".join(f"`{result['command']}`" for result in results)
    text = f"{BEGIN}\n\nMade by {commands} on {results[0]['machine']}:\n\n" + "\n".join(lines) + f"\n\n{END}"
    page = PAGE.read_text()
    before, after = page[: page.index(BEGIN)], page[page.index(END) + len(END) :]
    PAGE.write_text(before + text + after)


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _plot_ratios(figures: dict[str, dict[str, Any]]) -> None:
    from matplotlib.figure import Figure

    # Where less is better the ratio is turned round, so that longer bars are always better.
    bars = [
        (each["label"], 1 / each["ratio"] if "≤" in each["target"] else each["ratio"], each["verdict"])
        for each in figures.values()
    ]
    bars.reverse()
    figure = Figure(figsize=(9, 0.4 * len(bars) + 1), layout="constrained")
    axes = figure.add_subplot()
    colors = ["tab:green" if verdict == "met" else "tab:orange" for _, _, verdict in bars]
    # By number: "the same per second of CPU" is the label of more than one.
    axes.barh(range(len(bars)), [ratio for _, ratio, _ in bars], color=colors)
    axes.set_yticks(range(len(bars)), [label for label, _, _ in bars])
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_xlabel("times better than bokeh serve (green: target met)")
    figure.savefig(IMAGES / "performance-ratios.svg", metadata={"Date": None})


def _plot_growth(figures: dict[str, dict[str, Any]]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 3.5), layout="constrained")
    for at, (kind, title) in enumerate(PLOTTED.items(), 1):
        axes = figure.add_subplot(1, len(PLOTTED), at)
        for side, label in (("ours", "svc serve"), ("bokeh", "bokeh serve")):
            points = [
                (int(name.split("@")[1]), each[side])
                for name, each in figures.items()
                if f"/{kind}@" in name and each[side] is not None
            ]
            axes.plot([x for x, _ in points], [y for _, y in points], marker="o", label=label)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("live sessions")
        axes.set_ylabel("ms of CPU")
        axes.set_title(title)
        axes.legend()
    figure.savefig(IMAGES / "performance-growth.svg", metadata={"Date": None})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
