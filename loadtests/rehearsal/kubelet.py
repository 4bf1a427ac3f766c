"""Pods, their probes, their end, and the endpoints they are in; driven by calling `tick` often.

What is not here: scheduling, images, a network other than loopback. What is: the order of things that
makes deploys go wrong. A pod that is deleted leaves the endpoints and gets its preStop hook at the same
time; the balancer hears of it a moment later; SIGTERM follows, and SIGKILL when the grace is over.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from devfleet.nginx import Nginx
from devfleet.replica import Replica

PROPAGATION = (0.1, 1.5)
"""Seconds until a balancer has heard of a change of endpoints, at least and at most."""


@dataclass(frozen=True)
class PodSpec:
    """The numbers of a Deployment's pod template that matter here; seconds."""

    pre_stop: float
    grace: float
    probe_period: float
    probe_failures: int
    min_ready: float

    @classmethod
    def of(cls, deployment: Mapping[str, Any]) -> PodSpec:
        spec = deployment["spec"]
        pod = spec["template"]["spec"]
        container = pod["containers"][0]
        return cls(
            pre_stop=container["lifecycle"]["preStop"]["sleep"]["seconds"],
            grace=pod["terminationGracePeriodSeconds"],
            probe_period=container["readinessProbe"]["periodSeconds"],
            probe_failures=container["readinessProbe"]["failureThreshold"],
            min_ready=spec["minReadySeconds"],
        )


@dataclass
class Pod:
    """One replica process and where it is in its life."""

    replica: Replica
    spec: PodSpec
    version: int
    ready_since: float | None = None
    deleted_at: float | None = None
    terminated_at: float | None = None
    gone_at: float | None = None
    killed: bool = False
    exit_code: int | None = None
    _next_probe: float = 0.0
    _failures: int = 0

    @property
    def deleted(self) -> bool:
        return self.deleted_at is not None

    @property
    def serving(self) -> bool:
        """In the endpoints."""
        return self.ready_since is not None and not self.deleted

    def available(self, now: float) -> bool:
        return self.serving and now - (self.ready_since or now) >= self.spec.min_ready

    def delete(self, now: float) -> None:
        self.deleted_at = now

    def tick(self, now: float) -> None:
        if self.gone_at is not None:
            return
        if not self.replica.running:
            self.exit_code, self.gone_at, self.ready_since = self.replica.exit_code, now, None
        elif self.deleted_at is not None:
            self._end(now, self.deleted_at)
        elif now >= self._next_probe:
            self._probe(now)

    def _probe(self, now: float) -> None:
        self._next_probe = now + self.spec.probe_period
        if self.replica.status("/readyz", timeout=1) == 200:
            self._failures = 0
            self.ready_since = self.ready_since or now
        else:
            self._failures += 1
            if self._failures >= self.spec.probe_failures:
                self.ready_since = None

    def _end(self, now: float, deleted_at: float) -> None:
        if self.terminated_at is None and now >= deleted_at + self.spec.pre_stop:
            self.terminated_at = now
            self.replica.terminate()
        if now >= deleted_at + self.spec.grace:
            self.killed = True
            self.replica.kill()


@dataclass
class Cluster:
    """A Deployment's pods and the nginx before them. `start(version)` gives a new replica, unstarted."""

    start: Callable[[int], Replica]
    spec: PodSpec
    nginx: Nginx
    wanted: int = 1
    version: int = 1
    pods: list[Pod] = field(default_factory=list)
    past: list[Pod] = field(default_factory=list)
    log: Callable[[str], None] = lambda text: None
    _told: list[str] = field(default_factory=list)
    _tell_at: float = 0.0

    @property
    def endpoints(self) -> list[str]:
        return [pod.replica.host for pod in self.pods if pod.serving]

    def replicas(self) -> list[Replica]:
        """Their processes. Callable from any thread."""
        return [pod.replica for pod in list(self.pods)]

    def settled(self, now: float) -> bool:
        """Whether as many pods of the present version are available as are wanted, and none is leaving."""
        good = [pod for pod in self.pods if pod.available(now) and pod.version == self.version]
        return len(good) == len(self.pods) == self.wanted and self.nginx.upstreams == self.endpoints

    def tick(self) -> None:
        now = time.monotonic()
        for pod in self.pods:
            pod.tick(now)
        self._bury()
        self._scale(now)
        self._roll(now)
        self._tell(now)

    def stop(self) -> None:
        """The end of the rehearsal: no ceremony."""
        for pod in self.pods:
            pod.replica.stop()

    def _bury(self) -> None:
        for pod in [each for each in self.pods if each.gone_at is not None]:
            self.pods.remove(pod)
            self.past.append(pod)
            self.log(f"{pod.replica.name} is gone, exit code {pod.exit_code}")

    def _scale(self, now: float) -> None:
        """As the ReplicaSet controller: pods that are not ready go first, then the youngest."""
        current = [pod for pod in self.pods if not pod.deleted and pod.version == self.version]
        others = [pod for pod in self.pods if not pod.deleted and pod.version != self.version]
        surge = 1 if others else 0
        missing = self.wanted + surge - len(current) - len(others)
        for _ in range(max(0, missing)):
            self._create()
        if not others:
            current.sort(key=lambda pod: (pod.ready_since is not None, -(pod.ready_since or 0)))
            for pod in current[: max(0, len(current) - self.wanted)]:
                self._delete(pod, now)

    def _roll(self, now: float) -> None:
        """maxSurge 1, maxUnavailable 0: an old pod goes when there is one more than wanted available."""
        old = [pod for pod in self.pods if not pod.deleted and pod.version != self.version]
        available = [pod for pod in self.pods if pod.available(now)]
        if old and len(available) > self.wanted:
            self._delete(old[0], now)

    def _create(self) -> None:
        replica = self.start(self.version)
        replica.start(ready=False)
        self.pods.append(Pod(replica, self.spec, self.version))
        self.log(f"{replica.name} starts, version {self.version}")

    def _delete(self, pod: Pod, now: float) -> None:
        pod.delete(now)
        self.log(f"{pod.replica.name} is deleted")

    def _tell(self, now: float) -> None:
        """The balancer hears of the endpoints a moment after they changed."""
        endpoints = self.endpoints
        if endpoints != self._told:
            self._told, self._tell_at = endpoints, now + random.uniform(*PROPAGATION)
        if now >= self._tell_at and endpoints and endpoints != self.nginx.upstreams:
            self.nginx.balance(endpoints)
