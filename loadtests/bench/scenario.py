"""What a scenario and a row of the table are, and how rows are judged."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from devfleet.replica import BokehServe, Replica, Server

from loadtests.bench.servers import BOKEH, OURS, Side

__all__ = ("APPS", "EXAMPLES", "Measured", "Measures", "Ratio", "Row", "Scale", "Scenario", "Target", "Upto")

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = ROOT / "examples"
APPS = ROOT / "loadtests" / "apps"

Measures = dict[str, float]
"""Row key to value, as one scenario measured it once on one side."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """Ours divided by Bokeh's must be at least, or at most, a number."""

    at_least: float = 0.0
    at_most: float = float("inf")

    def __str__(self) -> str:
        return f"≥ {self.at_least:g}x" if self.at_least else f"≤ {self.at_most:g}x"

    def met(self, measured: Measured) -> bool | None:
        ratio = measured.ratio
        return None if ratio is None else self.at_least <= ratio <= self.at_most


@dataclass(frozen=True, slots=True)
class Upto:
    """Our value must not exceed a number."""

    limit: float
    unit: str = ""

    def __str__(self) -> str:
        return f"≤ {self.limit:g} {self.unit}".rstrip()

    def met(self, measured: Measured) -> bool | None:
        return None if measured.ours is None else measured.ours <= self.limit


Target = Ratio | Upto


@dataclass(frozen=True, slots=True)
class Row:
    """One figure: ``key`` names it in what a scenario returns."""

    key: str
    label: str
    unit: str
    target: Target | None = None


@dataclass(slots=True)
class Measured:
    """A row with the values of all rounds."""

    scenario: str
    row: Row
    values: dict[str, list[float]] = field(default_factory=lambda: {OURS: [], BOKEH: []})

    @property
    def name(self) -> str:
        return f"{self.scenario}/{self.row.key}"

    @property
    def ours(self) -> float | None:
        return _median(self.values[OURS])

    @property
    def bokeh(self) -> float | None:
        return _median(self.values[BOKEH])

    @property
    def ratio(self) -> float | None:
        """Median of ours over median of Bokeh's."""
        ours, bokeh = self.ours, self.bokeh
        return ours / bokeh if ours is not None and bokeh else None

    @property
    def verdict(self) -> str:
        met = None if self.row.target is None else self.row.target.met(self)
        return {None: "", True: "met", False: "missed"}[met]


@dataclass(frozen=True, slots=True)
class Scale:
    """How long and how much: the full run, or a quick one that shows that everything works."""

    seconds: float
    quick: bool

    def count(self, full: int, quick: int) -> int:
        return quick if self.quick else full


@dataclass(frozen=True, slots=True)
class Scenario:
    """Starts servers afresh in each round and on each side, then measures once."""

    name: str
    rows: Sequence[Row]
    measure: Callable[[Side, Scale], Awaitable[Measures]]
    apps: Sequence[Path] = (EXAMPLES / "sliders.py",)
    args: Sequence[str] = ()
    ours_only: Sequence[str] = ()
    """Flags that only our server has."""
    size: int = 1
    """How many server processes share the core."""
    spread: bool = False
    """They have a core each, as far as there are."""
    rounds: int | None = None
    """Fewer rounds than asked for, where one round takes minutes."""
    bokeh_rounds: int | None = None
    """The same for `bokeh serve` alone, where only that takes minutes and the target is ours."""
    sides: Sequence[str] = (OURS, BOKEH)
    kind: type[Replica] = Replica
    """How our server runs."""
    peer: type[Server] = BokehServe
    """What it is compared with."""

    def due(self, side: str, asked: int, sides: Sequence[str]) -> int:
        """How many rounds ``side``, of ``sides``, has when ``asked`` are asked for."""
        if side not in sides:
            return 0
        limits = (self.rounds, self.bokeh_rounds if side == BOKEH else None)
        return min([asked, *(limit for limit in limits if limit is not None)])


def _median(values: list[float]) -> float | None:
    return median(values) if values else None
