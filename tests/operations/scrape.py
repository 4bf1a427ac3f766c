"""Reading what a replica says about itself: probes and ``/metrics``."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Callable
from email.message import Message
from typing import Any

from devfleet.fleet import Fleet
from devfleet.replica import Replica, Server
from prometheus_client.parser import text_string_to_metric_families


class Scraped:
    """One answer of ``/metrics``: samples by name and labels."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.families = {family.name: family for family in text_string_to_metric_families(text)}
        self.samples = [sample for family in self.families.values() for sample in family.samples]

    @property
    def names(self) -> set[str]:
        return {sample.name for sample in self.samples}

    def __call__(self, name: str, **labels: str) -> float:
        """The sum of all samples of that name with at least those labels."""
        found = [
            sample.value
            for sample in self.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]
        assert found, f"no sample {name} {labels}"
        return sum(found)


def get(url: str, timeout: float = 20) -> tuple[int, str, Message]:
    """Status, body and headers, whatever the status."""
    try:
        with urllib.request.urlopen(url, timeout=timeout) as response:
            return response.status, response.read().decode(), response.headers
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read().decode(), refused.headers


def scrape(base: str) -> Scraped:
    status, text, _ = get(f"{base}/metrics")
    assert status == 200, text
    return Scraped(text)


def journaled(*replicas: Server) -> None:
    """Return when the store has all that was changed at these replicas until now."""
    for replica in replicas:
        until(lambda: scrape(replica.url)("svc_journal_lag_seconds") == 0)  # noqa: B023 - called at once


def at_rest(fleet: Fleet, replica: Replica) -> None:
    """Return when the store has all that was changed there until now, and no code of its sessions runs.

    What a replica was at as it died is suspected of it, and not tried once more.
    """
    journaled(replica)
    until(lambda: not fleet.redis.command("SMEMBERS", f"svc:replica:{replica.id}:work"), what="it is at rest")


def until(check: Callable[[], Any], within: float = 30, what: str = "") -> Any:
    """What ``check`` returns once that is true."""
    deadline = time.monotonic() + within
    while not (found := check()):
        assert time.monotonic() < deadline, f"not within {within} s: {what or check}"
        time.sleep(0.02)
    return found
