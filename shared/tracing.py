"""One trace from the upload to the webhook: W3C trace context carried in events and headers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased, TraceIdRatioBased
from opentelemetry.trace import SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_PROPAGATOR = TraceContextTextMapPropagator()
_tracer = trace.get_tracer("jiebang")


def configure(process: str, otlp_endpoint: str = "", share: float = 1.0) -> None:
    """Give traces their ids, and send a share of them to a collector if there is one.

    Without a collector nothing is recorded: spans only carry the ids from one event to the next, which is cheap.
    A collector that is away costs spans, never work: the exporter drops them.
    """
    global _tracer
    resource = Resource.create({"service.name": process, "service.namespace": "jiebang"})
    if otlp_endpoint:
        provider = TracerProvider(resource=resource, sampler=ParentBased(TraceIdRatioBased(share)))
        exporter = OTLPSpanExporter(endpoint=f"{otlp_endpoint.rstrip('/')}/v1/traces", timeout=5)
        provider.add_span_processor(BatchSpanProcessor(exporter))
    else:
        provider = TracerProvider(resource=resource, sampler=ALWAYS_OFF, shutdown_on_exit=False)
    _tracer = provider.get_tracer("jiebang")


def current_traceparent() -> str | None:
    """The `traceparent` of what runs now, or None outside a trace."""
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier)
    return carrier.get("traceparent")


def current_trace() -> dict[str, str]:
    """What leads from a measured value to its trace, as an exemplar's labels; empty outside a trace."""
    traceparent = current_traceparent()
    return {"trace_id": traceparent.split("-")[1]} if traceparent else {}


@contextmanager
def span(
    name: str,
    *,
    traceparent: str | None = None,
    repeats: str | None = None,
    kind: SpanKind = SpanKind.INTERNAL,
) -> Iterator[trace.Span]:
    """A span around what the block does; continues the trace of `traceparent` if it is a valid one.

    What ran until then is linked, so that one trace leads to the other; so is what somebody does once more (`repeats`).
    """
    parent = _PROPAGATOR.extract({"traceparent": traceparent}) if traceparent else None
    linked = [trace.get_current_span().get_span_context()] if parent is not None else []
    if repeats is not None:
        linked.append(trace.get_current_span(_PROPAGATOR.extract({"traceparent": repeats})).get_span_context())
    links = [trace.Link(each) for each in linked if each.is_valid]
    with _tracer.start_as_current_span(name, context=parent, kind=kind, links=links) as current:
        yield current
