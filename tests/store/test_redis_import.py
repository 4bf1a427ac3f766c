"""A server imports redis-py without OpenTelemetry's SDK, and redis-py measures for apps that ask for it."""

from __future__ import annotations

import subprocess
import sys

import pytest
from devfleet.redis_server import RedisServer

MEASURED = """
from service.cli.serve import import_server

import_server()

import sys

before = "opentelemetry.sdk.metrics" in sys.modules

from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from redis import Redis
from redis.observability import OTelConfig, get_observability_instance

reader = InMemoryMetricReader()
metrics.set_meter_provider(MeterProvider(metric_readers=[reader]))
get_observability_instance().init(OTelConfig())
Redis.from_url(sys.argv[1]).ping()
found = reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics
print(before, sorted(each.name for each in found))
"""


def test_redis_py_measures_when_an_app_asks_for_it() -> None:
    pytest.importorskip("opentelemetry.sdk.metrics")
    pytest.importorskip("redis.observability")
    with RedisServer() as redis:
        found = subprocess.run(
            [sys.executable, "-c", MEASURED, redis.url], check=True, capture_output=True, text=True
        ).stdout

    assert found.startswith("False [")
    assert "redis.client" in found or "db.client" in found
