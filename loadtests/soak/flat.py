"""Whether what a process holds stays as it is: two stretches of readings compared, without I/O.

Under load the medians of the first and of the last third after the warm-up are compared. When everybody has
left, two single readings are: one after the warm-up, one at the end, and there hardly anything may differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

__all__ = ("LIMITS", "QUIET_LIMITS", "Limit", "Row", "compared", "table", "under_load")

MIB = 1024 * 1024

Readings = Mapping[str, float]
"""Quantity -> value, as read at one time."""


@dataclass(frozen=True)
class Limit:
    """How much more there may be later: a share of what there was, and so much on top."""

    share: float
    plus: float

    def allows(self, first: float, last: float) -> bool:
        return last <= first * (1 + self.share) + self.plus


LIMITS: Mapping[str, Limit] = {
    # The collector of cycles waits until sessions left 16 MiB behind, see service/memory.py.
    "memory": Limit(0.05, 16 * MIB),
    "descriptors": Limit(0.10, 8),
    "tasks": Limit(0.10, 8),
    "threads": Limit(0.0, 4),
    "keys": Limit(0.10, 10),
    "lasting keys": Limit(0.10, 10),
    "Redis memory": Limit(0.05, 2 * MIB),
    "clients": Limit(0.0, 12),
}
"""Under load, where chance decides how many visitors there are at a time."""

QUIET_LIMITS: Mapping[str, Limit] = {
    "memory": Limit(0.05, 16 * MIB),
    "descriptors": Limit(0.0, 2),
    "tasks": Limit(0.0, 2),
    "threads": Limit(0.0, 2),
    "sessions": Limit(0.0, 0),
    # Those without a time to live; what dead replicas have announced ends by itself after ten minutes.
    "lasting keys": Limit(0.0, 0),
    "Redis memory": Limit(0.0, 1 * MIB),
    "clients": Limit(0.0, 12),
}
"""When everybody has left."""


@dataclass(frozen=True)
class Row:
    """One quantity of one process, earlier and later."""

    process: str
    state: str
    quantity: str
    first: float
    last: float
    flat: bool


def under_load(process: str, samples: Sequence[tuple[float, Readings]], since: float) -> list[Row]:
    """``samples`` are (seconds, readings); those before ``since`` are the warm-up."""
    later = [(at, readings) for at, readings in samples if at >= since]
    if len(later) < 3:
        raise ValueError(f"{process}: {len(later)} samples after the warm-up are too few to compare")
    third = (later[-1][0] - later[0][0]) / 3
    first = [readings for at, readings in later if at <= later[0][0] + third]
    last = [readings for at, readings in later if at >= later[-1][0] - third]
    return compared(process, "load", _medians(first), _medians(last), LIMITS)


def compared(
    process: str, state: str, first: Readings, last: Readings, limits: Mapping[str, Limit] = QUIET_LIMITS
) -> list[Row]:
    """A row for each quantity that both have and that has a limit."""
    return [
        Row(process, state, name, first[name], last[name], limit.allows(first[name], last[name]))
        for name, limit in limits.items()
        if name in first and name in last
    ]


def table(rows: Sequence[Row]) -> str:
    lines = [f"{'process':<22}{'state':<7}{'quantity':<14}{'first':>10}{'last':>10}{'growth':>10}"]
    for row in rows:
        growth = _shown(row.quantity, row.last - row.first, sign="+")
        values = f"{_shown(row.quantity, row.first):>10}{_shown(row.quantity, row.last):>10}{growth:>10}"
        verdict = "" if row.flat else "  GROWS"
        lines.append(f"{row.process:<22}{row.state:<7}{row.quantity:<14}{values}{verdict}")
    return "\n".join(lines)


def _medians(readings: Sequence[Readings]) -> dict[str, float]:
    names = set.intersection(*(set(each) for each in readings))
    return {name: median(each[name] for each in readings) for name in names}


def _shown(quantity: str, value: float, sign: str = "") -> str:
    if "memory" in quantity:
        return f"{value / MIB:{sign}.1f} MB"
    return f"{value:{sign}.0f}"
