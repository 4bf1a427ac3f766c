"""Traces of page views, for who asked for them: the only module that knows OpenTelemetry.

:class:`Tracing` is off: it does nothing, and nothing is imported for it. On, one trace follows a
page view from its HTTP request through the handoff in the store to the WebSocket and its relays.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib.util import find_spec
from typing import TYPE_CHECKING

from service.version import VERSION

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

__all__ = ("HEADER", "OFF", "OpenTelemetry", "Tracing", "tracing_for")

log = logging.getLogger(__name__)

HEADER = "traceparent"
"""Carries :meth:`Tracing.here` between replicas, and comes in from proxies (W3C Trace Context)."""

_NOTHING = nullcontext()


class Tracing:
    """Off."""

    on = False

    def span(
        self, name: str, *, parent: str = "", kind: str = "internal", **attributes: str
    ) -> AbstractContextManager[None]:
        """Around a piece of work; within another span its child, unless a ``parent`` says otherwise.

        ``parent`` is what :meth:`here` gave elsewhere, or the header of a request; ``kind`` is
        ``server`` for what a request asked for and ``client`` for what another replica is asked.
        """
        return _NOTHING

    def here(self) -> str:
        """The present span, for who goes on elsewhere; empty when there is none."""
        return ""

    def stop(self) -> None:
        """Send what was not sent yet. Blocks."""


OFF = Tracing()


class OpenTelemetry(Tracing):
    """On; ``provider`` decides what becomes of the spans."""

    on = True

    def __init__(self, provider: TracerProvider) -> None:
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider = provider
        self._tracer = provider.get_tracer("svc", VERSION)
        self._propagator = TraceContextTextMapPropagator()
        self._kinds = {kind.name.lower(): kind for kind in SpanKind}

    @contextmanager
    def span(
        self, name: str, *, parent: str = "", kind: str = "internal", **attributes: str
    ) -> Iterator[None]:
        context = self._propagator.extract({HEADER: parent}) if parent else None
        named = {f"svc.{key}": value for key, value in attributes.items()}
        with self._tracer.start_as_current_span(name, context, self._kinds[kind], attributes=named):
            yield

    def here(self) -> str:
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier)
        return carrier.get(HEADER, "")

    def stop(self) -> None:
        self._provider.shutdown()


def tracing_for(exporter: str, replica: str) -> Tracing:
    """What ``--traces`` asks for. Without the packages it stays off, and says so."""
    if exporter == "off":
        return OFF
    if find_spec("opentelemetry") is None or find_spec("opentelemetry.sdk") is None:
        log.warning("no traces: they need pip install 'svc-bokeh[otel]'")
        return OFF
    return OpenTelemetry(_provider(exporter, replica))


def _provider(exporter: str, replica: str) -> TracerProvider:
    """Further settings, such as sampling and where to send, are read by OpenTelemetry itself (``OTEL_*``)."""
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter

    ours = {"service.name": "svc", "service.version": VERSION, "service.instance.id": replica}
    provider = TracerProvider(resource=Resource(ours).merge(OTELResourceDetector().detect()))
    sender: SpanExporter = ConsoleSpanExporter()
    if exporter == "otlp":
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        sender = OTLPSpanExporter()
    provider.add_span_processor(BatchSpanProcessor(sender))
    return provider
