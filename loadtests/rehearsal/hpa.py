"""The formula of Kubernetes' HorizontalPodAutoscaler (autoscaling/v2), pure; the clock is passed in.

As in `pkg/controller/podautoscaler/horizontal.go`: desired = ceil(current * value / target) unless the
ratio is within the tolerance; pods that are not ready or missing count carefully; recommendations go
through the stabilization window of their direction, then through the policies. Behaviour comes from the
very manifest that is deployed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

TOLERANCE = 0.1


@dataclass(frozen=True)
class Rules:
    """`behavior.scaleUp` or `.scaleDown`; times in seconds."""

    window: float
    policies: Sequence[tuple[str, int, float]]
    """(type, value, period)"""
    select: str = "Max"

    @classmethod
    def of(cls, spec: Mapping[str, Any], speed: float = 1.0) -> Rules:
        """From a manifest; with `speed` 10 a window of 300 s is over in 30."""
        policies = [(p["type"], p["value"], p["periodSeconds"] / speed) for p in spec["policies"]]
        return cls(spec["stabilizationWindowSeconds"] / speed, policies, spec.get("selectPolicy", "Max"))


@dataclass
class Autoscaler:
    """One HorizontalPodAutoscaler on one Pods metric."""

    target: float
    low: int
    high: int
    up: Rules
    down: Rules
    _advice: list[tuple[float, int]] = field(default_factory=list)
    _changes: list[tuple[float, int]] = field(default_factory=list)
    """(when, how many pods more or less)"""

    @classmethod
    def of(cls, manifest: Mapping[str, Any], speed: float = 1.0) -> Autoscaler:
        spec = manifest["spec"]
        metric = next(each["pods"] for each in spec["metrics"] if each["type"] == "Pods")
        behavior = spec["behavior"]
        return cls(
            target=float(metric["target"]["averageValue"]),
            low=spec["minReplicas"],
            high=spec["maxReplicas"],
            up=Rules.of(behavior["scaleUp"], speed),
            down=Rules.of(behavior["scaleDown"], speed),
        )

    def decide(self, now: float, current: int, values: Sequence[float]) -> int:
        """How many pods there shall be; `values` are the metric of those that report."""
        advice = max(self.low, min(self.high, self.recommend(current, values)))
        self._advice.append((now, advice))
        wanted = self._limit(now, current, self._stabilize(now, current))
        if wanted != current:
            self._changes.append((now, wanted - current))
        return wanted

    def recommend(self, current: int, values: Sequence[float]) -> int:
        """The plain formula. Pods that do not report count as idle when growing, as full when shrinking."""
        if not values:
            return current
        ratio = sum(values) / len(values) / self.target
        if abs(ratio - 1) <= TOLERANCE:
            return current
        missing = max(0, current - len(values))
        if missing:
            total = sum(values) + (missing * self.target if ratio < 1 else 0.0)
            cautious = total / (len(values) + missing) / self.target
            if abs(cautious - 1) <= TOLERANCE or (cautious > 1) != (ratio > 1):
                return current
            return math.ceil(cautious * (len(values) + missing))
        return math.ceil(ratio * len(values))

    def _stabilize(self, now: float, current: int) -> int:
        """The lowest advice of the window when growing, the highest when shrinking."""
        longest = max(self.up.window, self.down.window)
        self._advice = [each for each in self._advice if each[0] >= now - longest]
        least = min(n for at, n in self._advice if at >= now - self.up.window)
        most = max(n for at, n in self._advice if at >= now - self.down.window)
        return max(least, min(current, most)) if least > current else min(most, current)

    def _limit(self, now: float, current: int, wanted: int) -> int:
        if wanted > current:
            return min(wanted, self._select(self.up, now, current, +1))
        if wanted < current:
            return max(wanted, self._select(self.down, now, current, -1))
        return current

    def _select(self, rules: Rules, now: float, current: int, sign: int) -> int:
        """How far the policies let the number go in that direction."""
        if rules.select == "Disabled":
            return current
        bounds = []
        for kind, value, period in rules.policies:
            recent = sum(n for at, n in self._changes if at > now - period and n * sign > 0)
            start = current - recent
            step = value if kind == "Pods" else start * value / 100
            bounds.append(math.ceil(start + step) if sign > 0 else math.floor(start - step))
        farthest = rules.select == "Max"
        pick = max if (sign > 0) == farthest else min
        limit: int = pick(bounds)
        return max(current, limit) if sign > 0 else min(current, limit)
