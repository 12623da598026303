"""A collector of traces: OTLP over HTTP, as OpenTelemetry's own takes it."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.app.support.processes import eventually


class Collector:
    """Listens on a free port while the context lasts.

    Attributes:
        url: For `OTEL_EXPORTER_OTLP_ENDPOINT`.
        spans: All that have come.
        resources: Attributes of whoever sent each batch.
    """

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.resources: list[dict[str, Any]] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.path != "/v1/traces" or self.headers["content-type"] != "application/x-protobuf":
                    self.send_error(404)
                    return
                collector.take(ExportTraceServiceRequest.FromString(body))
                answer = ExportTraceServiceResponse().SerializeToString()
                self.send_response(200)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def take(self, request: ExportTraceServiceRequest) -> None:
        for batch in request.resource_spans:
            self.resources.append(attributes(batch.resource.attributes))
            for scope in batch.scope_spans:
                self.spans.extend(scope.spans)

    def trace(self, trace_id: str) -> list[Span]:
        """The spans of a trace in the order of their beginning, the server's first; waits for that one."""

        def servers() -> list[Span]:
            wanted = bytes.fromhex(trace_id)
            return [span for span in self.spans if span.trace_id == wanted and span.kind == Span.SPAN_KIND_SERVER]

        (root,) = eventually(servers, f"the server's span of trace {trace_id}")
        below = [span for span in self.spans if span.parent_span_id == root.span_id and span.trace_id == root.trace_id]
        return [root, *sorted(below, key=lambda span: (span.start_time_unix_nano, span.end_time_unix_nano))]


def attributes(of: Any) -> dict[str, Any]:
    """Attributes as Python has them."""
    pairs: list[KeyValue] = [*of]
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> object:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(each) for each in value.array_value.values]
    return getattr(value, kind) if kind else None
