"""One trace follows a page view from HTTP on one replica through the store to the WebSocket on another."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from devfleet.fleet import Fleet
from devfleet.redis_server import eventually
from harness.client import Client
from harness.pages import get_page
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Collector(ThreadingHTTPServer):
    """Takes what OTLP exporters send, over HTTP."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, Span]] = []
        """With the replica that sent it."""
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def take(self, request: ExportTraceServiceRequest) -> None:
        for part in request.resource_spans:
            about = {each.key: each.value.string_value for each in part.resource.attributes}
            assert about["service.name"] == "svc"
            for scope in part.scope_spans:
                self.spans += [(about["service.instance.id"], span) for span in scope.spans]


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.take(ExportTraceServiceRequest.FromString(body))
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


async def test_a_page_view_over_two_replicas_is_one_trace(
    start_fleet: Callable[..., Fleet], collector: Collector, examples: Path
) -> None:
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}
    fleet = start_fleet([examples / "sliders.py"], n=2, env=env)
    a, b = fleet.replicas
    page = await get_page(a.app_url())
    assert "trace" not in page.text
    async with Client(b.app_url(), page.token) as client:
        await client.pull()

    def names() -> dict[str, set[str]]:
        found = defaultdict(set)
        for replica, span in collector.spans:
            found[span.name].add(replica)
        return found

    wanted = {"page", "handoff", "claim", "build", "socket", "relay", "owner"}
    await asyncio.to_thread(eventually, lambda: wanted <= set(names()))
    (first,) = names()["page"]
    (second,) = names()["socket"]
    assert first != second
    assert names()["build"] == names()["owner"] == {first}
    assert names()["relay"] == {second}
    assert len({span.trace_id for _, span in collector.spans}) == 1
    ids = {span.name: span for _, span in collector.spans}
    assert ids["owner"].parent_span_id == ids["relay"].span_id
    assert ids["socket"].parent_span_id == ids["page"].span_id
