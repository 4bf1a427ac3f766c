"""The rehearsal's pods, with real replicas and a real nginx: the order of things at a pod's end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from devfleet.nginx import Nginx
from devfleet.replica import Replica
from harness.tools import require

from loadtests.rehearsal.kubelet import Cluster, PodSpec

SPEC = PodSpec(pre_stop=0.3, grace=20, probe_period=0.1, probe_failures=2, min_ready=0.1)

pytestmark = pytest.mark.fleet


@pytest.fixture
def cluster(examples: Path) -> Iterator[Cluster]:
    require("nginx")
    with Nginx([]) as nginx:
        made = Cluster(lambda version: Replica([examples / "sliders.py"]), SPEC, nginx)
        yield made
        made.stop()


def run(cluster: Cluster, done: Callable[[], bool], within: float = 60) -> None:
    end = time.monotonic() + within
    while not done():
        assert time.monotonic() < end
        cluster.tick()
        time.sleep(0.02)


def settled(cluster: Cluster) -> bool:
    return cluster.settled(time.monotonic())


def test_scaling_and_rolling(cluster: Cluster) -> None:
    run(cluster, lambda: settled(cluster))
    first = cluster.pods[0]
    assert cluster.nginx.upstreams == [first.replica.host]

    cluster.version += 1
    run(cluster, lambda: settled(cluster))

    assert cluster.past == [first]
    assert (first.exit_code, first.killed) == (0, False)
    assert first.deleted_at is not None
    assert first.terminated_at is not None
    assert first.terminated_at - first.deleted_at >= SPEC.pre_stop
    assert cluster.pods[0].ready_since is not None
    assert cluster.pods[0].ready_since < first.deleted_at, "its successor was ready first"


def test_a_pod_that_does_not_end_is_killed_when_its_grace_is_over(cluster: Cluster) -> None:
    cluster.spec = PodSpec(pre_stop=0, grace=1, probe_period=0.1, probe_failures=2, min_ready=0)
    run(cluster, lambda: settled(cluster))
    pod = cluster.pods[0]
    pod.replica.pause()

    pod.delete(time.monotonic())
    run(cluster, lambda: pod.gone_at is not None)

    assert pod.killed
    assert pod.exit_code == -9
