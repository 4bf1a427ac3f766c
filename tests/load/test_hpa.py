"""The autoscaler's formula, by the examples and rules of Kubernetes' documentation."""

from __future__ import annotations

import pytest
import yaml
from operations.manifests import K8S

from loadtests.rehearsal.hpa import Autoscaler, Rules

EAGER = Rules(0, [("Percent", 1000, 15)])


def scaler(up: Rules = EAGER, down: Rules = EAGER, target: float = 100) -> Autoscaler:
    return Autoscaler(target, low=1, high=20, up=up, down=down)


@pytest.mark.parametrize(
    ("values", "wanted"),
    [([200], 2), ([50, 50], 1), ([100, 100], 2), ([109, 109], 2), ([120, 120], 3), ([0, 0], 1)],
)
def test_the_formula_and_its_tolerance(values: list[float], wanted: int) -> None:
    assert scaler().decide(0, len(values), values) == wanted


def test_bounds_hold() -> None:
    assert scaler().decide(0, 1, [100_000]) == 11, "1000 percent"
    assert Autoscaler(100, 2, 5, EAGER, EAGER).decide(0, 2, [0, 0]) == 2
    assert Autoscaler(100, 2, 5, EAGER, EAGER).decide(0, 3, [900, 900, 900]) == 5


def test_pods_that_do_not_report_count_as_idle_when_growing() -> None:
    assert scaler().recommend(2, [150]) == 2
    assert scaler().recommend(2, [300]) == 3


def test_pods_that_do_not_report_count_as_full_when_shrinking() -> None:
    assert scaler().recommend(2, [10]) == 2
    assert scaler().recommend(4, [10, 10]) == 3


def test_nothing_known_changes_nothing() -> None:
    assert scaler().decide(0, 3, []) == 3


def test_shrinking_waits_for_the_highest_of_its_window() -> None:
    autoscaler = scaler(down=Rules(300, [("Pods", 10, 1)]))
    assert autoscaler.decide(0, 4, [100] * 4) == 4

    assert autoscaler.decide(100, 4, [20] * 4) == 4
    assert autoscaler.decide(301, 4, [20] * 4) == 1


def test_shrinking_takes_one_pod_a_period() -> None:
    autoscaler = scaler(down=Rules(0, [("Pods", 1, 60)]))

    assert autoscaler.decide(0, 4, [10] * 4) == 3
    assert autoscaler.decide(30, 3, [10] * 3) == 3
    assert autoscaler.decide(61, 3, [10] * 3) == 2


def test_growing_takes_the_more_generous_policy() -> None:
    autoscaler = scaler(up=Rules(0, [("Percent", 100, 30), ("Pods", 4, 30)]))

    assert autoscaler.decide(0, 1, [1000]) == 5
    assert autoscaler.decide(15, 5, [1000] * 5) == 5
    assert autoscaler.decide(31, 5, [1000] * 5) == 10


def test_the_manifest_is_understood_and_can_be_sped_up() -> None:
    manifest = yaml.safe_load((K8S / "base/hpa.yaml").read_text())
    autoscaler = Autoscaler.of(manifest, speed=10)

    assert autoscaler.target == 250
    assert (autoscaler.down.window, autoscaler.down.policies) == (30, [("Pods", 1, 6)])
