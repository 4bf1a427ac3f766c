"""Samples of what a fleet says about itself while it is under load, one per second and replica."""

from __future__ import annotations

import json
import re
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from devfleet.replica import Replica

SAMPLE = re.compile(r"^(\w+)(\{[^}]*\})? (\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Sample:
    """One look at one replica; totals count from its start."""

    at: float
    replica: str
    sessions: float
    connections: float
    patches: float
    relays: float
    cpu: float
    memory: float
    lag_sum: float
    lag_count: float


def read_metrics(replica: Replica, timeout: float = 2) -> Mapping[str, float] | None:
    """Sums over all labels by name; None if the replica does not answer."""
    try:
        with urllib.request.urlopen(f"http://{replica.host}/metrics", timeout=timeout) as answer:
            text = answer.read().decode()
    except OSError:
        return None
    sums: dict[str, float] = {}
    for name, _, value in SAMPLE.findall(text):
        sums[name] = sums.get(name, 0.0) + float(value)
    return sums


def look(replica: Replica) -> Sample | None:
    found = read_metrics(replica)
    if found is None:
        return None
    return Sample(
        at=time.time(),
        replica=replica.name,
        sessions=found["svc_sessions"],
        connections=found["svc_connections"],
        patches=found["svc_patches_total"],
        relays=found["svc_relays"],
        cpu=found["process_cpu_seconds_total"],
        memory=found["process_resident_memory_bytes"],
        lag_sum=found["svc_event_loop_lag_seconds_sum"],
        lag_count=found["svc_event_loop_lag_seconds_count"],
    )


class Watcher:
    """Looks at all replicas once a second on a thread of its own; `samples` grows, and a file with it."""

    def __init__(self, replicas: Callable[[], Iterable[Replica]], path: Path) -> None:
        self.samples: list[Sample] = []
        self._replicas = replicas
        self._path = path
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watcher")

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._thread.join()

    def latest(self) -> list[Sample]:
        """The last sample of each replica that answered in the last three seconds."""
        recent = {sample.replica: sample for sample in self.samples if sample.at > time.time() - 3}
        return list(recent.values())

    def _run(self) -> None:
        with self._path.open("a") as file:
            while not self._stop.wait(1):
                for replica in [each for each in self._replicas() if each.running]:
                    sample = look(replica)
                    if sample is not None:
                        self.samples.append(sample)
                        file.write(json.dumps(asdict(sample)) + "\n")
