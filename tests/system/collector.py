"""A collector of traces: an OTLP/HTTP receiver as any would be, and the trees of the spans that it was sent."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class Span:
    """A span as it was sent: `process` is the service.name, ids are in hex, `began` in nanoseconds."""

    trace: str
    id: str
    parent: str
    process: str
    name: str
    began: int
    ended: int
    links: tuple[str, ...]
    """The traces that it is linked to."""


class Collector:
    """Takes spans at `url`; a context manager."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._spans: dict[str, Span] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = Thread(target=self._server.serve_forever, name="collector", daemon=True)

    def __enter__(self) -> Collector:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """What `JIEBANG_OTLP_ENDPOINT` is set to."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def trace(self, id: str) -> list[Span]:
        """The spans of a trace that have come so far, by their beginning."""
        with self._lock:
            return sorted((span for span in self._spans.values() if span.trace == id), key=lambda span: span.began)

    def _take(self, body: bytes) -> None:
        sent = ExportTraceServiceRequest.FromString(body)
        with self._lock:
            for resource in sent.resource_spans:
                names = {entry.key: entry.value.string_value for entry in resource.resource.attributes}
                for scope in resource.scope_spans:
                    for span in scope.spans:
                        self._spans[span.span_id.hex()] = Span(
                            trace=span.trace_id.hex(),
                            id=span.span_id.hex(),
                            parent=span.parent_span_id.hex(),
                            process=names["service.name"],
                            name=span.name,
                            began=span.start_time_unix_nano,
                            ended=span.end_time_unix_nano,
                            links=tuple(link.trace_id.hex() for link in span.links),
                        )

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        take = self._take

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                take(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        return Handler


def tree(spans: list[Span]) -> str:
    """A trace for people: each span under the one that caused it, with milliseconds since the beginning."""
    children: dict[str, list[Span]] = defaultdict(list)
    known = {span.id for span in spans}
    for span in spans:
        children[span.parent if span.parent in known else ""].append(span)
    start = min(span.began for span in spans)

    def lines(parent: str, depth: int) -> Iterator[str]:
        for span in children[parent]:
            at, took = (span.began - start) / 1e6, (span.ended - span.began) / 1e6
            yield f"{at:8.0f} ms  {'  ' * depth}{span.process}: {span.name} ({took:.0f} ms)"
            yield from lines(span.id, depth + 1)

    return "\n".join(lines("", 0))
