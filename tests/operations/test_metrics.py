"""What ``/metrics`` of a real replica counts, and what it must never hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from devfleet.ports import free_port
from devfleet.replica import Replica
from harness.apps import CountedApp
from harness.client import Client, ServerError
from harness.wire import WireClosed

from operations.scrape import Scraped, get, scrape, until
from service.documents import shortcuts

Start = Callable[..., Replica]

FAMILIES = {
    "svc_sessions", "svc_connections", "svc_session_opens", "svc_session_ends", "svc_claims", "svc_patches",
    "svc_message_bytes", "svc_app_run_seconds", "svc_restore_seconds", "svc_callback_seconds",
    "svc_event_loop_lag_seconds", "svc_event_loop_tasks",
    "svc_journal_lag_seconds", "svc_journal_bytes", "svc_journal_errors",
    "svc_store_request_seconds", "svc_store_errors", "svc_drain_remaining_sessions",
    "svc_drain_moved_sessions", "svc_hibernated_sessions", "svc_hibernations", "svc_memory_high_bytes",
    "svc_memory_short", "svc_admin_sessions",
    "svc_ready", "svc_draining", "svc_relays", "svc_shortcuts",
    "svc_app_threads_busy", "svc_app_queue", "svc_app_queue_seconds", "svc_slow_callbacks",
    "svc_app_threads_given_up", "svc_build_timeouts",
    "svc_http_request_seconds", "svc_shed_pages", "svc_cache_lookups", "svc_cache_compute_seconds",
    "svc_cache_bytes", "svc_cache_evictions",
    "svc_task_runs", "svc_task_seconds", "svc_task_missed_runs",
    "svc_shared_reads", "svc_shared_writes", "svc_shared_conflicts", "svc_shared_bytes",
    "process_resident_memory_bytes",
}  # fmt: skip


@pytest.fixture
def server(replica: Start, examples: Path) -> Replica:
    return replica([examples / "sliders.py"])


async def test_a_visit_is_counted(server: Replica) -> None:
    async with await Client.open(server.app_url()) as client:
        before = scrape(server.url)
        await client.patch("offset", value=1.0)
        after = scrape(server.url)

        assert after("svc_sessions", app="/sliders", state="connected") == 1
        assert after("svc_connections", app="/sliders") == 1
        assert after("svc_session_opens_total", app="/sliders") == 1
        assert after("svc_claims_total", outcome="own") == 1
        assert after("svc_app_run_seconds_count", app="/sliders") == 1
        assert after("svc_http_request_seconds_count", route="page", code="200") == 1
        assert grown(before, after, "svc_patches_total", direction="in") == 1
        assert grown(before, after, "svc_patches_total", direction="out") >= 1
        assert grown(before, after, "svc_message_bytes_total", direction="in") > 100
        assert grown(before, after, "svc_message_bytes_total", direction="out") > 100
        assert grown(before, after, "svc_callback_seconds_count") >= 1

    until(lambda: scrape(server.url)("svc_sessions", state="unused") == 1)
    assert scrape(server.url)("svc_connections") == 0


async def test_sessions_that_end_are_counted(replica: Start, examples: Path) -> None:
    lifetimes = ["--unused-session-lifetime", "500", "--check-unused-sessions", "50"]
    server = replica([examples / "sliders.py"], args=lifetimes)
    async with await Client.open(server.app_url()):
        pass

    until(lambda: scrape(server.url)("svc_session_ends_total", reason="unused") == 1)
    until(lambda: scrape(server.url)("svc_sessions") == 0)


async def test_an_app_that_fails_is_counted(replica: Start, counted_app: Callable[..., CountedApp]) -> None:
    broken = counted_app("broken", body="1 / 0")
    server = replica([broken.path])

    with pytest.raises((AssertionError, WireClosed, ServerError)):
        await Client.open(server.app_url())

    assert scrape(server.url)("svc_app_failures_total", app="/broken") >= 1
    assert scrape(server.url)("svc_sessions") == 0


def test_every_family_is_there_before_anybody_came(server: Replica) -> None:
    assert set(scrape(server.url).families) >= FAMILIES


def test_all_shortcuts_are_in_use(server: Replica) -> None:
    groups = {s.labels["group"]: s.value for s in scrape(server.url).samples if s.name == "svc_shortcuts"}

    assert groups == dict.fromkeys((group.name for group in shortcuts.GROUPS), 1)


def test_families_are_named_as_prometheus_wants_it(server: Replica) -> None:
    ours = [family for name, family in scrape(server.url).families.items() if name.startswith("svc_")]

    assert all(family.documentation.endswith(".") for family in ours)
    assert all(s.name.endswith("_total") for f in ours if f.type == "counter" for s in f.samples
               if not s.name.endswith("_created"))  # fmt: skip
    assert not [f.name for f in ours if f.name.endswith(("_ms", "_percent", "_kb", "_milliseconds"))]


async def test_no_label_names_a_session(server: Replica) -> None:
    async with await Client.open(server.app_url()) as client:
        assert client.page is not None
        text = scrape(server.url).text

        assert client.page.session_id not in text
        assert {label for sample in Scraped(text).samples for label in sample.labels} <= {
            "app", "code", "direction", "group", "implementation", "kind", "le", "major", "minor", "outcome",
            "patchlevel", "reason", "result", "route", "state", "version", "when",
        }  # fmt: skip


def test_strangers_cannot_add_series(server: Replica) -> None:
    for guess in ("a", "b", "c"):
        get(f"{server.url}/{guess}")

    routes = {s.labels["route"] for s in scrape(server.url).samples if "route" in s.labels}
    assert routes <= {"health", "metrics", "notfound", "page", "ready", "static"}


def test_metrics_can_have_a_port_of_their_own(replica: Start, examples: Path) -> None:
    port = free_port()
    server = replica([examples / "sliders.py"], args=["--metrics-port", str(port)])

    assert scrape(f"http://127.0.0.1:{port}")("svc_max_sessions") == 0
    assert get(f"{server.url}/metrics")[0] == 404


def grown(before: Scraped, after: Scraped, name: str, **labels: str) -> float:
    return after(name, **labels) - before(name, **labels)
