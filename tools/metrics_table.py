"""The metrics of a replica, for docs/operate/metrics.md: the registry's, and gauges read at a scrape."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from service.metrics import Metrics

SERVICE = Path(__file__).parent.parent / "service"

Row = tuple[str, str, str, str]


def rows() -> list[Row]:
    """Name as it is scraped, type, labels, what it says; by name."""
    return sorted([*_registered(), *_looked_up()])


def _registered() -> Iterator[Row]:
    for collector in Metrics().registry._collector_to_names:
        families: list[Any] = list(collector.collect())
        for family in families:
            if family.name.startswith("svc_"):
                # A metric knows its labels, of a collector of ours each family does.
                labels = getattr(collector, "_labelnames", None) or getattr(family, "_labelnames", ())
                yield _row(family.name, family.type, labels, family.documentation)


def _looked_up() -> Iterator[Row]:
    """``Reading(name, text, values, labels)`` anywhere in the service."""
    for path in sorted(SERVICE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Name(id="Reading"), args=[ast.Constant() as name, ast.Constant() as text, *rest]
                ):
                    labels = ast.literal_eval(rest[1]) if len(rest) > 1 else ()
                    yield _row(f"svc_{name.value!s}", "gauge", labels, str(text.value))


def _row(name: str, kind: str, labels: Any, text: str) -> Row:
    scraped = f"{name}_total" if kind == "counter" else name
    return f"`{scraped}`", kind, ", ".join(f"`{each}`" for each in labels), text.removesuffix(".")
