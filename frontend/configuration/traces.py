"""The standard `OTEL_*` variables, read once and checked: the SDK itself only warns of a wrong one, or ends by a trace.

https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/ names them; docs/traces.md says which
of them count here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from frontend.configuration.strays import without_strays
from frontend.domain.trace_settings import COMPRESSIONS, SAMPLERS, TraceSettings

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
SERVICE = "tosia-frontend"
_PATH = "/v1/traces"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2
# Of the SDK; a wrong one would end the start by a trace.
_LIMITS = (
    "OTEL_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    "OTEL_SPAN_EVENT_COUNT_LIMIT",
    "OTEL_SPAN_LINK_COUNT_LIMIT",
)
_OF_EXPORT = ("PROTOCOL", "HEADERS", "TIMEOUT", "COMPRESSION", "CERTIFICATE", "CLIENT_KEY", "CLIENT_CERTIFICATE")
VARIABLES_OF_TRACES = (
    "OTEL_SDK_DISABLED",
    "OTEL_TRACES_EXPORTER",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    *(f"OTEL_EXPORTER_OTLP_{what}" for what in _OF_EXPORT),
    *(f"OTEL_EXPORTER_OTLP_TRACES_{what}" for what in _OF_EXPORT),
    "OTEL_TRACES_SAMPLER",
    "OTEL_TRACES_SAMPLER_ARG",
    "OTEL_SERVICE_NAME",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_BSP_MAX_QUEUE_SIZE",
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
    "OTEL_BSP_SCHEDULE_DELAY",
    "OTEL_BSP_EXPORT_TIMEOUT",
    "OTEL_PROPAGATORS",
    *_LIMITS,
)
"""What is read besides the endpoint."""


def read_traces(environ: Mapping[str, str], wrong: list[str]) -> TraceSettings | None:
    """Return what the variables say; None where traces are off: without an endpoint, or switched off by another.

    What is wrong is added to `wrong`, without a full stop. Values of headers are never named.
    """
    return _Reader(environ, wrong).read()


class _Reader:
    def __init__(self, environ: Mapping[str, str], wrong: list[str]) -> None:
        self._environ = environ
        self._wrong = wrong

    def read(self) -> TraceSettings | None:
        base, own = self._text(ENDPOINT), self._text("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
        if not base:
            if own:
                self._wrong.append(f"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is set without {ENDPOINT}: set that one")
            return None
        disabled = self._one_of("OTEL_SDK_DISABLED", ("true", "false"), "false") == "true"
        if disabled or self._one_of("OTEL_TRACES_EXPORTER", ("otlp", "none"), "otlp") == "none":
            return None
        endpoint = own or f"{base.rstrip('/')}{_PATH}"
        headers = self._headers()
        self._check_endpoint("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" if own else ENDPOINT, endpoint, secret=bool(headers))
        self._of_export("PROTOCOL", ("http/protobuf",), "http/protobuf")
        self._check_propagators()
        for name in _LIMITS:
            self._whole(name, 0, least=0)
        queue = self._whole("OTEL_BSP_MAX_QUEUE_SIZE", 2048)
        batch = self._whole("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", min(512, queue))
        if batch > queue:
            self._wrong.append("OTEL_BSP_MAX_EXPORT_BATCH_SIZE is above OTEL_BSP_MAX_QUEUE_SIZE: make it smaller")
        # The SDK knows the second one and does not use it (1.45.2); it also bounds an export.
        timeout_s = min(self._timeout_s(), self._whole("OTEL_BSP_EXPORT_TIMEOUT", 30_000) / 1000)
        return TraceSettings(
            endpoint=endpoint,
            headers=headers,
            timeout_s=timeout_s,
            compression=self._of_export("COMPRESSION", COMPRESSIONS, "none"),
            certificate=self._file("CERTIFICATE"),
            client_key=self._file("CLIENT_KEY"),
            client_certificate=self._file("CLIENT_CERTIFICATE"),
            sampler=self._one_of("OTEL_TRACES_SAMPLER", SAMPLERS, "parentbased_always_on"),
            ratio=self._ratio(),
            resource=self._resource(),
            max_queue_size=queue,
            schedule_delay_ms=self._whole("OTEL_BSP_SCHEDULE_DELAY", 5000),
            max_export_batch_size=batch,
        )

    def _text(self, name: str) -> str:
        return without_strays(name, self._environ.get(name, ""), self._wrong)

    def _one_of(self, name: str, allowed: tuple[str, ...], default: str) -> str:
        value = self._text(name).lower() or default
        if value not in allowed:
            self._wrong.append(f"{name} is {value!r}: set it to {' or '.join(allowed)}, or leave it out")
            return default
        return value

    def _of_export(self, what: str, allowed: tuple[str, ...], default: str) -> str:
        return self._one_of(self._name(what), allowed, default)

    def _name(self, what: str) -> str:
        """Return the variable for traces alone where it is set, else the one for all signals."""
        alone = f"OTEL_EXPORTER_OTLP_TRACES_{what}"
        return alone if self._environ.get(alone) else f"OTEL_EXPORTER_OTLP_{what}"

    def _whole(self, name: str, default: int, *, least: int = 1) -> int:
        text = self._text(name)
        if not text:
            return default
        if not (text.isascii() and text.isdecimal() and len(text) < 10 and int(text) >= least):
            self._wrong.append(f"{name} is {text!r}: set it to a whole number from {least} on, or leave it out")
            return default
        return int(text)

    def _number(self, name: str, default: float) -> float:
        text = self._text(name)
        try:
            return float(text) if text else default
        except ValueError:
            return math.nan

    def _timeout_s(self) -> float:
        name = self._name("TIMEOUT")
        # The specification says milliseconds, the SDK for Python takes seconds (1.45.2), and so do we.
        seconds = self._number(name, 10.0)
        if not 0.0 < seconds <= 600.0:
            self._wrong.append(f"{name} is {self._text(name)!r}: set it to seconds, above 0 and up to 600")
            return 10.0
        return seconds

    def _ratio(self) -> float:
        ratio = self._number("OTEL_TRACES_SAMPLER_ARG", 1.0)
        if not 0.0 <= ratio <= 1.0:
            text = self._text("OTEL_TRACES_SAMPLER_ARG")
            self._wrong.append(f"OTEL_TRACES_SAMPLER_ARG is {text!r}: set it to a share from 0 to 1, or leave it out")
            return 1.0
        return ratio

    def _file(self, what: str) -> str:
        name = self._name(what)
        path = self._text(name)
        if path and not Path(path).is_file():
            self._wrong.append(f"{name} names {path}, which is no file: correct it, or leave it out")
        return path

    def _check_propagators(self) -> None:
        named = [item.strip() for item in self._text("OTEL_PROPAGATORS").split(",")]
        if named != [""] and "tracecontext" not in named:
            self._wrong.append("OTEL_PROPAGATORS lacks tracecontext, all that is read: add it, or leave it out")

    def _check_endpoint(self, name: str, url: str, *, secret: bool) -> None:
        try:
            parts = urlsplit(url)
            address = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
        except ValueError:
            address, parts = False, urlsplit("")
        if not address or parts.username is not None or parts.query or parts.fragment:
            self._wrong.append(f"{name} is not an address: give it as http://host:4318 or https://host:4318")
        elif parts.port == 4317:
            self._wrong.append(f"{name} names port 4317, which speaks gRPC: give the port for HTTP, mostly 4318")
        elif secret and parts.scheme == "http" and parts.hostname not in _LOOPBACK:
            self._wrong.append(f"{name} is not https, and the headers must not travel in clear: use https://")

    def _headers(self) -> dict[str, str]:
        """Return names in lower case and values; what can't be read is refused without its text, which is a secret."""
        name = self._name("HEADERS")
        found: dict[str, str] = {}
        for number, pair in enumerate(self._pairs(without_strays(name, self._environ.get(name, ""), self._wrong)), 1):
            header, separator, value = pair.partition("=")
            header, value = header.strip(), unquote(value.strip())
            if not separator or not (_HEADER_NAME.fullmatch(header) and value.isascii() and value.isprintable()):
                self._wrong.append(f"{name}'s pair {number} is no name=value that a header can carry: correct it")
            else:
                found[header.lower()] = value
        return found

    def _resource(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for number, pair in enumerate(self._pairs(self._text("OTEL_RESOURCE_ATTRIBUTES")), 1):
            key, separator, value = pair.partition("=")
            if not separator or not key.strip():
                self._wrong.append(f"OTEL_RESOURCE_ATTRIBUTES' pair {number} is not key=value: correct it")
            else:
                found[key.strip()] = unquote(value.strip())
        return {"service.name": SERVICE, **found, **self._service()}

    def _service(self) -> dict[str, str]:
        name = self._text("OTEL_SERVICE_NAME")
        return {"service.name": name} if name else {}

    @staticmethod
    def _pairs(text: str) -> list[str]:
        return [pair for pair in text.split(",") if pair.strip()]
