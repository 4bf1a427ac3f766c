"""Traces: nothing when off; on, spans of several replicas are one trace."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from service import tracing
from service.settings import from_arguments
from service.tracing import OFF, OpenTelemetry, tracing_for


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def replica(exporter: InMemorySpanExporter) -> Iterator[OpenTelemetry]:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    made = OpenTelemetry(provider)
    yield made
    made.stop()


def test_off_nothing_is_imported_and_nothing_said() -> None:
    code = "import sys; import service.tracing; print([n for n in sys.modules if 'opentelemetry' in n])"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"
    assert not OFF.on
    with OFF.span("page", app="/a"):
        assert OFF.here() == ""
    assert OFF.span("one") is OFF.span("other")


def test_spans_within_each_other_are_parent_and_child(
    replica: OpenTelemetry, exporter: InMemorySpanExporter
) -> None:
    with replica.span("page", kind="server", app="/a"), replica.span("handoff", session="1234"):
        pass

    inner, outer = exporter.get_finished_spans()
    assert inner.parent == outer.get_span_context()
    assert outer.attributes == {"svc.app": "/a"}
    assert outer.parent is None


def test_the_other_replica_goes_on_with_the_trace(
    replica: OpenTelemetry, exporter: InMemorySpanExporter
) -> None:
    with replica.span("page"):
        left = replica.here()
    assert replica.here() == ""

    with replica.span("socket", parent=left):
        pass

    page, socket = exporter.get_finished_spans()
    assert socket.parent is not None
    assert (socket.parent.trace_id, socket.parent.span_id) == (page.context.trace_id, page.context.span_id)


@pytest.mark.parametrize("parent", ["", "no such thing", "00-zz-zz-01"])
def test_without_a_usable_parent_a_trace_begins(
    replica: OpenTelemetry, exporter: InMemorySpanExporter, parent: str
) -> None:
    with replica.span("page", parent=parent):
        pass

    assert exporter.get_finished_spans()[0].parent is None


def test_what_fails_is_marked(replica: OpenTelemetry, exporter: InMemorySpanExporter) -> None:
    with pytest.raises(ValueError), replica.span("build"):
        raise ValueError("no")

    assert not exporter.get_finished_spans()[0].status.is_ok


def test_without_the_packages_it_stays_off_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tracing, "find_spec", lambda name: None)

    assert tracing_for("otlp", "r1") is OFF
    assert "pip install 'svc-bokeh[otel]'" in caplog.text


@pytest.mark.parametrize(
    ("env", "where"),
    [
        ({}, "off"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, "otlp"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, "otlp"),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, "off"),
        ({"OTEL_TRACES_EXPORTER": "console"}, "console"),
        ({"SVC_TRACES": "off", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, "off"),
    ],
)
def test_the_usual_variables_switch_it_on(env: dict[str, str], where: str) -> None:
    assert from_arguments({}, env).traces == where
