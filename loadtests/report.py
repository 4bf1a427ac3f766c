"""From events and samples to a page with numbers and plots (PNG), all in one directory."""

from __future__ import annotations

import base64
import html
import itertools
import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

KINDS = ("page", "socket", "pull", "patch", "reconnect")
PERCENTILES = (50, 95, 99)


@dataclass(frozen=True)
class Mark:
    """Something that was done to the fleet."""

    at: float
    text: str


@dataclass(frozen=True)
class Summary:
    path: Path
    text: str
    failures: int


def write(directory: Path, title: str, marks: Sequence[Mark], more: Sequence[str] = ()) -> Summary:
    """Make `report.html` and `plots.png` of `events.jsonl` and `samples.jsonl`; `more` are further lines."""
    events, samples = read(directory / "events.jsonl"), read(directory / "samples.jsonl")
    figure = draw(events, samples, marks)
    figure.savefig(directory / "plots.png", dpi=110)
    plt.close(figure)
    text = "\n".join([*table(events), "", *outcome(events), *more])
    picture = base64.b64encode((directory / "plots.png").read_bytes()).decode()
    page = directory / "report.html"
    page.write_text(
        "<!DOCTYPE html><html lang='en'><meta charset='utf-8'>"
        f"<title>{html.escape(title)}</title><body style='font-family:sans-serif;margin:2em'>"
        f"<h1>{html.escape(title)}</h1><pre>{html.escape(text)}</pre>"
        f"<img style='max-width:100%' alt='plots' src='data:image/png;base64,{picture}'></body></html>\n"
    )
    return Summary(page, text, failures(events))


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def failures(events: Iterable[dict[str, Any]]) -> int:
    """Interactions that failed, and states that were lost. An interrupted one that came back is neither."""
    return sum(1 for event in events if event["error"])


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile of sorted values."""
    return values[max(0, math.ceil(share / 100 * len(values)) - 1)] if values else math.nan


def table(events: list[dict[str, Any]]) -> list[str]:
    lines = [f"{'':12}{'count':>8}{'failed':>8}" + "".join(f"{f'p{p} ms':>10}" for p in PERCENTILES)]
    for kind in KINDS:
        mine = [event for event in events if event["kind"] == kind]
        good = sorted(event["seconds"] for event in mine if not event["error"])
        cells = "".join(f"{1000 * percentile(good, p):>10.1f}" for p in PERCENTILES) if good else ""
        lines.append(f"{kind:12}{len(mine):>8}{sum(1 for e in mine if e['error']):>8}{cells}")
    return lines


def outcome(events: list[dict[str, Any]]) -> list[str]:
    counts = Counter(event["kind"] for event in events)
    wrong = Counter(f"{event['kind']}: {event['error']}" for event in events if event["error"])
    lost = sum(1 for event in events if event["kind"] == "state" and event["error"])
    return [
        f"reconnects {counts['reconnect']}, of which lost state {lost}; interrupted moves "
        f"{counts['interrupted']}; turned away {counts['turned-away']}; failures {failures(events)}",
        *(f"  {count} x {text[:150]}" for text, count in wrong.most_common(10)),
    ]


def draw(events: list[dict[str, Any]], samples: list[dict[str, Any]], marks: Sequence[Mark]) -> Figure:
    start = min([each["at"] for each in (*events, *samples)], default=0.0)
    figure, axes = plt.subplots(4, 1, figsize=(11, 13), sharex=True, layout="constrained")
    draw_lines(axes[0], samples, start, "sessions", "sessions by replica")
    draw_latency(axes[1], events, start)
    draw_rates(axes[2], samples, start)
    draw_counts(axes[3], events, start)
    for axis in axes:
        axis.grid(alpha=0.3)
        for mark in marks:
            axis.axvline(mark.at - start, color="grey", linestyle=":", linewidth=1)
    for mark in marks:
        top = axes[0].get_ylim()[1]
        axes[0].text(mark.at - start, top, f" {mark.text}", rotation=90, va="top", fontsize=7)
    axes[-1].set_xlabel("seconds")
    return figure


def draw_lines(axis: Axes, samples: list[dict[str, Any]], start: float, field: str, title: str) -> None:
    total: dict[int, float] = defaultdict(float)
    for name, mine in by_replica(samples).items():
        axis.plot([s["at"] - start for s in mine], [s[field] for s in mine], label=name)
        for second, value in each_second([(s["at"] - start, s[field]) for s in mine]).items():
            total[second] += value
    axis.plot(sorted(total), [total[second] for second in sorted(total)], "k--", linewidth=1, label="all")
    axis.set_title(title)
    axis.legend(fontsize=7, ncols=6)


def each_second(samples: Sequence[tuple[float, float]]) -> dict[int, float]:
    """The last value by each second from the first sample to the last: a late sample is no drop to zero."""
    last = {int(at): value for at, value in samples}
    found: dict[int, float] = {}
    for second in range(min(last), max(last) + 1):
        found[second] = last.get(second, found.get(second - 1, 0.0))
    return found


def draw_latency(axis: Axes, events: list[dict[str, Any]], start: float) -> None:
    seconds: dict[int, list[float]] = defaultdict(list)
    for event in events:
        if event["kind"] == "patch" and not event["error"]:
            seconds[int(event["at"] - start)].append(event["seconds"] * 1000)
    for share in PERCENTILES:
        points = [percentile(sorted(seconds[at]), share) for at in sorted(seconds)]
        axis.plot(sorted(seconds), points, label=f"p{share}", linewidth=1)
    axis.set_yscale("log")
    axis.set_title("moving a slider: milliseconds until the answer")
    axis.legend(fontsize=7)


def draw_rates(axis: Axes, samples: list[dict[str, Any]], start: float) -> None:
    for name, mine in by_replica(samples).items():
        pairs = [(a, b) for a, b in itertools.pairwise(mine) if b["at"] > a["at"]]
        rates = [(b["patches"] - a["patches"]) / (b["at"] - a["at"]) for a, b in pairs]
        axis.plot([b["at"] - start for _, b in pairs], rates, label=name, linewidth=1)
    axis.set_title("patches in and out per second, by replica")


def draw_counts(axis: Axes, events: list[dict[str, Any]], start: float) -> None:
    for kind, colour in (("reconnect", "tab:blue"), ("interrupted", "tab:orange")):
        counts = Counter(int(event["at"] - start) for event in events if event["kind"] == kind)
        axis.bar(list(counts), list(counts.values()), label=kind, color=colour, alpha=0.7)
    wrong = Counter(int(event["at"] - start) for event in events if event["error"])
    axis.bar(list(wrong), list(wrong.values()), label="failures", color="tab:red")
    axis.set_title("reconnects and failures per second")
    axis.legend(fontsize=7)


def by_replica(samples: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    grouped: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for sample in samples:
        grouped[sample["replica"]].append(sample)
    return grouped
