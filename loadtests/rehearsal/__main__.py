"""`make rehearsal`: scale 1 -> 4 -> 1 and a rolling update under load, with the manifests' own numbers."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml
from devfleet.nginx import Nginx
from devfleet.redis_server import RedisServer
from devfleet.replica import Replica

from loadtests import report
from loadtests.__main__ import locust
from loadtests.rehearsal.hpa import Autoscaler
from loadtests.rehearsal.kubelet import Cluster, PodSpec
from loadtests.scenarios import Scenario
from loadtests.watch import Watcher, read_metrics

ROOT = Path(__file__).parent.parent.parent
BASE = ROOT / "k8s" / "base"
HPA_SPEED = 10.0
"""The autoscaler's clock runs faster, or shrinking would take ten minutes. Drains take what they take."""
HPA_PERIOD = 15.0 / HPA_SPEED


def manifest(name: str) -> Mapping[str, Any]:
    loaded: Mapping[str, Any] = yaml.safe_load((BASE / name).read_text())
    return loaded


def options() -> Mapping[str, str]:
    """The options that the manifests give to replicas."""
    lines = (BASE / "svc.env").read_text().split()
    return dict(line.split("=", 1) for line in lines)


class Stage:
    """Redis, nginx, pods: everything but the load."""

    def __init__(self, directory: Path, log: Callable[[str], None]) -> None:
        self._directory = directory
        self._count = 0
        self.redis = RedisServer()
        self.nginx = Nginx([])
        self.cluster = Cluster(self._replica, PodSpec.of(manifest("deployment.yaml")), self.nginx, log=log)

    def __enter__(self) -> Stage:
        self.redis.start()
        self.nginx.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.cluster.stop()
        self.nginx.stop()
        self.redis.stop()

    def _replica(self, version: int) -> Replica:
        """A replica with the app as it is in that version."""
        self._count += 1
        app = self._directory / f"v{version}" / "sliders.py"
        if not app.exists():
            app.parent.mkdir(parents=True)
            shutil.copy(ROOT / "examples/sliders.py", app)
            with app.open("a") as file:
                file.write(f"\n# version {version}\n")
        given = options()
        args = ["--drain-delay", given["SVC_DRAIN_DELAY"], "--drain-timeout", given["SVC_DRAIN_TIMEOUT"]]
        return Replica(
            [app], redis_url=self.redis.url, name=f"pod {self._count}", origins=[self.nginx.host], args=args
        )

    def run_until(self, done: Callable[[], bool], seconds: float, each: Callable[[], None]) -> bool:
        """Let time pass; False when it is up before `done`."""
        end = time.monotonic() + seconds
        while not done():
            if time.monotonic() > end:
                return False
            self.cluster.tick()
            each()
            time.sleep(0.05)
        return True


class Hpa:
    """Feeds the formula from `/metrics` of the pods that are ready, every period."""

    def __init__(self, cluster: Cluster, autoscaler: Autoscaler, log: Callable[[str], None]) -> None:
        self.autoscaler = autoscaler
        self._cluster = cluster
        self._log = log
        self._next = 0.0

    def tick(self) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + HPA_PERIOD
        found = [read_metrics(pod.replica, 1) for pod in self._cluster.pods if pod.serving]
        values = [each["svc_sessions"] for each in found if each is not None]
        wanted = self.autoscaler.decide(now, self._cluster.wanted, values)
        if wanted != self._cluster.wanted:
            self._log(f"autoscaler: {self._cluster.wanted} -> {wanted} ({sum(values):.0f} sessions)")
            self._cluster.wanted = wanted


def rehearse(users: int, seconds: float, output: Path) -> int:
    """Each half takes `seconds`; 0 if nothing was lost and every pod left in time."""
    marks: list[report.Mark] = []

    def log(text: str) -> None:
        marks.append(report.Mark(time.time(), text))
        print(f"{time.strftime('%X')} {text}", flush=True)

    output.mkdir(parents=True, exist_ok=True)
    for old in output.glob("*.jsonl"):
        old.unlink()
    scenario = Scenario("rehearsal", "", users=users, rate=3 * users / seconds, seconds=10 * seconds, think=3)
    with tempfile.TemporaryDirectory() as directory, Stage(Path(directory), log) as stage:
        cluster = stage.cluster
        autoscaler = Autoscaler.of(manifest("hpa.yaml"), HPA_SPEED)
        autoscaler.low, autoscaler.high, autoscaler.target = 1, 4, users / 3.3
        stage.run_until(lambda: cluster.settled(time.monotonic()), 60, lambda: None)
        with (
            Watcher(cluster.replicas, output / "samples.jsonl"),
            locust(stage.nginx.url, scenario, output / "events.jsonl") as load,
        ):
            missed = scale(stage, Hpa(cluster, autoscaler, log), seconds, users)
            missed += roll(stage, seconds, log)
            load.stop()
        past = cluster.past
    lines = [*exits(past), *(f"did not happen in time: {what}" for what in missed)]
    page = report.write(output, "Scale 1 -> 4 -> 1, then a rolling update", marks, lines)
    print(page.text)
    print(f"report: {page.path}")
    late = [pod for pod in past if pod.killed or pod.exit_code != 0]
    return 1 if page.failures or late or missed else 0


def scale(stage: Stage, hpa: Hpa, seconds: float, users: int) -> list[str]:
    """Up as visitors come; down because each pod is declared to hold more."""
    cluster, begun = stage.cluster, time.monotonic()
    missed = []
    if not stage.run_until(lambda: full(cluster, 4), 2 * seconds, hpa.tick):
        missed.append("4 pods")
    stage.run_until(lambda: time.monotonic() - begun > seconds / 3, seconds, hpa.tick)
    hpa.autoscaler.target = users * 1.2
    if not stage.run_until(lambda: full(cluster, 1), 10 * seconds, hpa.tick):
        missed.append("1 pod")
    stage.run_until(lambda: time.monotonic() - begun > seconds, seconds, lambda: None)
    return missed


def roll(stage: Stage, seconds: float, log: Callable[[str], None]) -> list[str]:
    """Two pods, then a new version of the app on all of them."""
    cluster, begun = stage.cluster, time.monotonic()
    cluster.wanted = 2
    stage.run_until(lambda: full(cluster, 2), seconds, lambda: None)
    cluster.version += 1
    log("rolling update begins")
    done = stage.run_until(lambda: full(cluster, 2), 10 * seconds, lambda: None)
    log("rolling update is over")
    stage.run_until(lambda: time.monotonic() - begun > seconds, seconds, lambda: None)
    return [] if done else ["the rolling update"]


def full(cluster: Cluster, count: int) -> bool:
    return cluster.wanted == count and cluster.settled(time.monotonic())


def exits(past: list[Any]) -> list[str]:
    lines = ["", "pods that ended: exit code, seconds from SIGTERM, of the grace left"]
    for pod in past:
        took = (pod.gone_at or 0) - (pod.terminated_at or pod.gone_at or 0)
        left = pod.spec.grace - ((pod.gone_at or 0) - (pod.deleted_at or pod.gone_at or 0))
        killed = " KILLED" if pod.killed else ""
        lines.append(f"  {pod.replica.name}: {pod.exit_code}, {took:.1f} s, {left:.1f} s{killed}")
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(prog="make rehearsal ARGS='...'", description=__doc__)
    parser.add_argument("--users", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=180, help="for each of the two halves")
    parser.add_argument("--report", type=Path)
    given = parser.parse_args()
    output = given.report or Path(tempfile.mkdtemp(prefix="rehearsal-"))
    return rehearse(given.users, given.seconds, output.resolve())


if __name__ == "__main__":
    sys.exit(main())
