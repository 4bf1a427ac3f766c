"""Alerts, dashboard, adapter and scaler ask for metrics that a real replica has, in PromQL that parses."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from devfleet.ports import free_port
from devfleet.redis_server import RedisServer
from devfleet.replica import Replica
from harness.client import Client
from harness.tools import require

from operations.manifests import K8S, ROOT, one, overlay
from operations.scrape import Scraped, scrape, until

MONITORING = K8S / "components/prometheus-operator"
BY_PROMETHEUS = {"namespace", "pod", "service", "le"}
"""Labels that a scrape adds."""


def alerts() -> dict[str, dict[str, Any]]:
    rules = one(overlay("prometheus-operator"), "PrometheusRule")["spec"]["groups"][0]["rules"]
    return {rule["alert"]: rule for rule in rules}


def dashboard() -> dict[str, Any]:
    return dict(json.loads((MONITORING / "dashboard.json").read_text()))


def expressions() -> Iterator[tuple[str, str]]:
    """(where, PromQL) of everything that asks Prometheus."""
    for name, rule in alerts().items():
        yield name, rule["expr"]
    for panel in dashboard()["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"].replace("$__rate_interval", "5m")
    scaler = one(overlay("keda"), "ScaledObject")["spec"]["triggers"][0]["metadata"]["query"]
    yield "KEDA", scaler
    rule = yaml.safe_load((MONITORING / "adapter-rules.yaml").read_text())["rules"][0]
    yield "adapter", rule["seriesQuery"]


@pytest.fixture(scope="module")
def metrics(examples: Path) -> Iterator[Scraped]:
    """What a replica shows that a visitor came to, and whose Redis is nearly full."""
    require("redis-server")
    with (
        RedisServer({"maxmemory": "5mb", "maxmemory-policy": "noeviction"}) as redis,
        Replica([examples / "sliders.py"], redis_url=redis.url) as server,
    ):
        asyncio.run(visit(server))
        until(lambda: "svc_store_memory_bytes" in {each.name for each in scrape(server.url).samples})
        yield scrape(server.url)


async def visit(server: Replica) -> None:
    async with await Client.open(server.app_url()) as client:
        await client.patch("offset", value=1.0)


def test_everything_asked_for_is_there(metrics: Scraped) -> None:
    labels = {sample.name: set(sample.labels) for sample in metrics.samples}
    for where, expression in expressions():
        for name, matchers in re.findall(r"\b((?:svc|process)_\w+)(?:\{([^}]*)\})?", expression):
            assert name in labels, f"{where}: {name}"
            asked = set(re.findall(r"(\w+)\s*=", matchers))
            assert asked <= labels[name] | BY_PROMETHEUS, f"{where}: {name}{{{matchers}}}"


def test_replicas_say_how_full_their_redis_is(metrics: Scraped) -> None:
    assert metrics("svc_store_memory_limit_bytes", server="1") == 5 * 2**20
    assert 500_000 < metrics("svc_store_memory_bytes", server="1") < 5 * 2**20


def test_grouping_is_by_labels_that_exist(metrics: Scraped) -> None:
    known = {label for sample in metrics.samples for label in sample.labels} | BY_PROMETHEUS
    for where, expression in expressions():
        for group in re.findall(r"\bby \(([^)]*)\)", expression):
            assert {label.strip() for label in group.split(",")} <= known, where


def test_expressions_are_promql() -> None:
    for where, expression in expressions():
        try:
            promql_parser.parse(expression)
        except ValueError as error:
            pytest.fail(f"{where}: {error}")


def test_the_autoscaler_asks_for_what_the_adapter_gives() -> None:
    rule = yaml.safe_load((MONITORING / "adapter-rules.yaml").read_text())["rules"][0]
    scaler = one(overlay("production"), "HorizontalPodAutoscaler")["spec"]["metrics"][0]["pods"]

    assert rule["name"]["as"] == scaler["metric"]["name"]
    assert rule["seriesQuery"].startswith(scaler["metric"]["name"])


def test_every_alert_has_its_page_in_the_runbook_and_the_other_way_round() -> None:
    runbook = (ROOT / "docs/operate/runbook.md").read_text()
    headings = set(re.findall(r"^## (Svc\w+)$", runbook, re.MULTILINE))

    assert headings == set(alerts())
    for name, rule in alerts().items():
        assert rule["annotations"]["runbook_url"].endswith(f"runbook.md#{name.lower()}")


def test_panels_do_not_overlap() -> None:
    taken = [(p["gridPos"]["x"], p["gridPos"]["y"]) for p in dashboard()["panels"]]

    assert len(set(taken)) == len(taken)


# -- the optional deletion cost ------------------------------------------------------------------


class FakeApi(BaseHTTPRequestHandler):
    """The two requests the job makes of a Kubernetes API server."""

    patches: list[tuple[str, Any]] = []

    def do_GET(self) -> None:
        pods = {"here": "127.0.0.1", "gone": "127.0.0.2"}
        items = [{"metadata": {"name": name}, "status": {"podIP": ip}} for name, ip in pods.items()]
        self._answer({"items": items})

    def do_PATCH(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.patches.append((self.path, body))
        self._answer({})

    def _answer(self, body: Any) -> None:
        self.send_response(200 if self.headers["Authorization"] == "Bearer token" else 401)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Quietly."""


@pytest.fixture
def api() -> Iterator[str]:
    FakeApi.patches.clear()
    with HTTPServer(("127.0.0.1", 0), FakeApi) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


async def test_the_cost_of_deleting_a_pod_is_its_sessions(
    api: str, replica: Callable[..., Replica], examples: Path, tmp_path: Path
) -> None:
    port = free_port()
    server = replica([examples / "sliders.py"], args=["--metrics-port", str(port)])
    for name, text in (("token", "token"), ("namespace", "svc")):
        (tmp_path / name).write_text(text)
    async with await Client.open(server.app_url()), await Client.open(server.app_url()):
        environment = {"API": api, "ACCOUNT": str(tmp_path), "METRICS_PORT": str(port)}
        job = await asyncio.to_thread(run_job, environment)

    annotation = {"controller.kubernetes.io/pod-deletion-cost": "2"}
    assert FakeApi.patches == [
        ("/api/v1/namespaces/svc/pods/here", {"metadata": {"annotations": annotation}})
    ]
    assert job.returncode == 1
    assert job.stderr.startswith("gone: ")


def run_job(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    script = str(K8S / "components/pod-deletion-cost/deletion_cost.py")
    command = [sys.executable, script]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)
