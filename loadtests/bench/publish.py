"""``python -m loadtests.bench.publish FOLDER ...``: results into ``docs/performance.md``, with plots.

Each folder is one that ``make bench`` wrote to. Each version of Bokeh has a table; where two folders of one
version hold the same figure the later one counts. The plots are those of the newest version.
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
Result = dict[str, Any]
"""What a ``bench.json`` holds."""

BEGIN, END = "<!-- results: make bench-docs -->", "<!-- end of results -->"


def main(folders: Sequence[str]) -> int:
    results = [json.loads((Path(folder) / "bench.json").read_text()) for folder in folders]
    lines = {bokeh: [each for each in results if each["bokeh"] == bokeh] for bokeh in _newest_first(results)}
    IMAGES.mkdir(exist_ok=True)
    _write(lines)
    figures = _figures(next(iter(lines.values())))
    compared = {name: each for name, each in figures.items() if each["ratio"] and each["target"]}
    _plot_ratios({name: each for name, each in compared.items() if not name.endswith("_10x")})
    _plot_growth({name: each for name, each in figures.items() if "@" in name})
    return 0


def _newest_first(results: list[Result]) -> list[str]:
    versions = {each["bokeh"] for each in results}
    return sorted(versions, key=lambda text: tuple(map(int, text.split("."))), reverse=True)


def _figures(results: list[Result]) -> dict[str, dict[str, Any]]:
    figures: dict[str, dict[str, Any]] = {}
    for result in results:
        figures |= result["figures"]
    return figures


def _write(lines: dict[str, list[Result]]) -> None:
    text = f"{BEGIN}\n\n" + "\n".join(_section(*line) for line in lines.items()) + END
    page = PAGE.read_text()
    before, after = page[: page.index(BEGIN)], page[page.index(END) + len(END) :]
    PAGE.write_text(before + text + after)


def _section(bokeh: str, results: list[Result]) -> str:
    """The table of one line of Bokeh."""
    commands = " and ".join(f"`{result['command']}`" for result in results)
    rows = [
        f"### Bokeh {bokeh}\n",
        f"Made by {commands} on {results[0]['machine']}:\n",
        "| figure | unit | ours | `bokeh serve` | ratio | target | verdict | rounds |",
        "|---|---|---|---|---|---|---|---|",
        *(_row(each) for name, each in _figures(results).items() if "@" not in name),
    ]
    return "\n".join(rows) + "\n"


def _row(figure: dict[str, Any]) -> str:
    ratio = f"{figure['ratio']:.3g}x" if figure["ratio"] else ""
    rounds = "/".join(str(len(values)) for values in figure["rounds"].values())
    cells = (figure["label"], figure["unit"], _number(figure["ours"]), _number(figure["bokeh"]), ratio,
             figure["target"], figure["verdict"], rounds)  # fmt: skip
    return "| " + " | ".join(cells) + " |"


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
