"""A collector for tests: OTLP over HTTP, as protobuf (the front end's exporter) and as JSON (Triton's).

A fake, since a collector can't be had here; what it reads, it reads with `opentelemetry-proto`. It can refuse, and hold
its answers back.
"""

from __future__ import annotations

import base64
import gzip
import json
import threading
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

PATH = "/v1/traces"
_UNPACK = {"gzip": gzip.decompress, "deflate": zlib.decompress, None: bytes}


@dataclass(frozen=True)
class ReceivedSpan:
    """One span; ids in hexadecimal, times in nanoseconds. text: all else, with its resource, as JSON"""

    name: str
    service: str
    trace_id: str
    span_id: str
    parent_id: str
    begun: int
    ended: int
    kind: int
    failed: bool
    attributes: Mapping[str, str | int | float]
    links: tuple[tuple[str, str], ...]
    text: str


class Collector:
    """What arrives. status: what is answered; hold: no answer while it is set; headers: of the last post"""

    def __init__(self) -> None:
        self.status = 200
        self.posts = 0
        self.headers: dict[str, str] = {}
        self.paths: set[str] = set()
        self.spans: list[ReceivedSpan] = []
        self.answering = threading.Event()
        self.answering.set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def named(self, name: str) -> list[ReceivedSpan]:
        return [span for span in list(self.spans) if span.name == name]

    def trace(self, trace_id: str) -> list[ReceivedSpan]:
        """The spans of one trace, by their beginning."""
        return sorted((span for span in list(self.spans) if span.trace_id == trace_id), key=lambda span: span.begun)

    def take(self, request: ExportTraceServiceRequest) -> None:
        for of_resource in request.resource_spans:
            resource = {item.key: item.value.string_value for item in of_resource.resource.attributes}
            said = json_format.MessageToJson(of_resource.resource)
            for span in (span for of_scope in of_resource.scope_spans for span in of_scope.spans):
                self.spans.append(
                    ReceivedSpan(
                        span.name,
                        resource.get("service.name", ""),
                        span.trace_id.hex(),
                        span.span_id.hex(),
                        span.parent_span_id.hex(),
                        span.start_time_unix_nano,
                        span.end_time_unix_nano,
                        span.kind,
                        span.status.code == 2,
                        {item.key: _value(item.value) for item in span.attributes},
                        tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
                        _words_of(span) + said,
                    )
                )

    def serve(self) -> None:
        self._server.serve_forever(0.05)

    def close(self) -> None:
        self.answering.set()
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def collector() -> Iterator[Collector]:
    found = Collector()
    thread = threading.Thread(target=found.serve)
    thread.start()
    try:
        yield found
    finally:
        found.close()
        thread.join()


def _handler_of(collector: Collector) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            collector.posts += 1
            collector.headers = {name.lower(): value for name, value in self.headers.items()}
            collector.paths.add(self.path)
            collector.answering.wait()
            if collector.status == 200 and self.path == PATH:
                data = _UNPACK[self.headers.get("content-encoding")](body)
                collector.take(_of_json(data) if "json" in self.headers["content-type"] else _of_protobuf(data))
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(collector.status if self.path == PATH else 404)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
            pass

    return Handler


def _words_of(span: Span) -> str:
    """All of a span but its ids, which may spell any word in base64."""
    rest = Span()
    rest.CopyFrom(span)
    rest.trace_id = rest.span_id = rest.parent_span_id = b""
    for link in rest.links:
        link.trace_id = link.span_id = b""
    return json_format.MessageToJson(rest)


def _of_protobuf(data: bytes) -> ExportTraceServiceRequest:
    return ExportTraceServiceRequest.FromString(data)


def _of_json(data: bytes) -> ExportTraceServiceRequest:
    """OTLP's JSON has ids in hexadecimal, where protobuf's JSON has base64."""

    def walk(item: Any) -> Any:
        if isinstance(item, list):
            return [walk(value) for value in item]
        if isinstance(item, dict):
            return {
                key: base64.b64encode(bytes.fromhex(value)).decode() if key in _IDS else walk(value)
                for key, value in item.items()
            }
        return item

    return json_format.ParseDict(walk(json.loads(data)), ExportTraceServiceRequest())


_IDS = {"traceId", "spanId", "parentSpanId"}


def _value(value: Any) -> str | int | float:
    found: str | int | float = getattr(value, value.WhichOneof("value"))
    return found
