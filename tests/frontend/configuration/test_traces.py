"""The `OTEL_*` variables: what they come to, and one sentence for each that can't be used."""

from __future__ import annotations

import pytest

from frontend.configuration.traces import ENDPOINT, VARIABLES_OF_TRACES, read_traces
from frontend.domain.trace_settings import TraceSettings

ON = {ENDPOINT: "http://collector:4318"}


def read(**variables: str) -> TraceSettings:
    wrong: list[str] = []
    found = read_traces({**ON, **variables}, wrong)
    assert wrong == []
    assert found is not None
    return found


def problems(**variables: str) -> list[str]:
    wrong: list[str] = []
    read_traces({**ON, **variables}, wrong)
    return wrong


def test_without_an_endpoint_there_are_no_traces() -> None:
    wrong: list[str] = []
    others = {name: "nonsense" for name in VARIABLES_OF_TRACES if "TRACES_ENDPOINT" not in name}
    assert read_traces(others, wrong) is None
    assert wrong == []


@pytest.mark.parametrize(("name", "value"), [("OTEL_SDK_DISABLED", "TRUE"), ("OTEL_TRACES_EXPORTER", "none")])
def test_other_variables_switch_them_off(name: str, value: str) -> None:
    wrong: list[str] = []
    assert read_traces({**ON, name: value}, wrong) is None
    assert wrong == []


def test_the_defaults_are_the_specifications() -> None:
    assert read() == TraceSettings("http://collector:4318/v1/traces", resource={"service.name": "tosia-frontend"})


def test_each_variable_counts() -> None:
    found = read(
        OTEL_EXPORTER_OTLP_ENDPOINT="https://collector/base/",
        OTEL_EXPORTER_OTLP_HEADERS="Authorization=Bearer%20abc, x-scope = 1",
        OTEL_EXPORTER_OTLP_TIMEOUT="2.5",
        OTEL_EXPORTER_OTLP_COMPRESSION="gzip",
        OTEL_TRACES_SAMPLER="traceidratio",
        OTEL_TRACES_SAMPLER_ARG="0.1",
        OTEL_SERVICE_NAME="ears",
        OTEL_RESOURCE_ATTRIBUTES="service.name=no,deployment.environment.name=test%2C1",
        OTEL_BSP_MAX_QUEUE_SIZE="100",
        OTEL_BSP_SCHEDULE_DELAY="10",
    )
    assert found == TraceSettings(
        "https://collector/base/v1/traces",
        {"authorization": "Bearer abc", "x-scope": "1"},
        2.5,
        "gzip",
        sampler="traceidratio",
        ratio=0.1,
        resource={"service.name": "ears", "deployment.environment.name": "test,1"},
        max_queue_size=100,
        schedule_delay_ms=10,
        max_export_batch_size=100,
    )
    assert "abc" not in repr(found)


def test_what_is_set_for_traces_alone_comes_first() -> None:
    found = read(
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="http://other:1/spans",
        OTEL_EXPORTER_OTLP_COMPRESSION="gzip",
        OTEL_EXPORTER_OTLP_TRACES_COMPRESSION="deflate",
    )
    assert (found.endpoint, found.compression) == ("http://other:1/spans", "deflate")
    assert read(OTEL_BSP_EXPORT_TIMEOUT="500").timeout_s == 0.5


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        (ENDPOINT, "collector:4318", "is not an address"),
        (ENDPOINT, "ftp://collector", "is not an address"),
        (ENDPOINT, "http://user:hush-hush@collector", "is not an address"),
        (ENDPOINT, "http://collector:x", "is not an address"),
        (ENDPOINT, "http://[collector", "is not an address"),
        (ENDPOINT, "http://collector:4317", "names port 4317, which speaks gRPC"),
        (ENDPOINT, "http://collector\n", "ends with a line feed"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "collector", "is not an address"),
        ("OTEL_SDK_DISABLED", "yes", "is 'yes': set it to true or false"),
        ("OTEL_TRACES_EXPORTER", "console", "is 'console': set it to otlp or none"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "is 'grpc': set it to http/protobuf"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json", "is 'http/json': set it to http/protobuf"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "hush-hush", "pair 1 is no name=value"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=1,b c=hush-hush", "pair 2 is no name=value"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=hush-hush%0D%0A", "pair 1 is no name=value"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=hush-hush", "the headers must not travel in clear"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "0", "is '0': set it to seconds"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "nan", "is 'nan': set it to seconds"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zip", "is 'zip': set it to none or gzip or deflate"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/no/where.pem", "names /no/where.pem, which is no file"),
        ("OTEL_TRACES_SAMPLER", "sometimes", "is 'sometimes': set it to always_on or"),
        ("OTEL_TRACES_SAMPLER_ARG", "10%", "is '10%': set it to a share from 0 to 1"),
        ("OTEL_TRACES_SAMPLER_ARG", "1.1", "is '1.1': set it to a share from 0 to 1"),
        ("OTEL_RESOURCE_ATTRIBUTES", "a=1,b", "pair 2 is not key=value"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0", "is '0': set it to a whole number from 1 on"),
        ("OTEL_BSP_SCHEDULE_DELAY", "5s", "is '5s': set it to a whole number from 1 on"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4096", "is above OTEL_BSP_MAX_QUEUE_SIZE"),
        ("OTEL_PROPAGATORS", "b3,baggage", "lacks tracecontext"),
        ("OTEL_SPAN_LINK_COUNT_LIMIT", "-1", "is '-1': set it to a whole number from 0 on"),
    ],
)
def test_a_wrong_value_is_one_sentence(name: str, value: str, says: str) -> None:
    found = problems(**{name: value})
    assert len([problem for problem in found if says in problem]) == 1, found
    # Headers to an address in clear are a second problem.
    assert all(problem.startswith(name) or "in clear" in problem for problem in found)
    assert not any("hush" in problem or "\n" in problem for problem in found)


def test_an_endpoint_for_traces_alone_switches_nothing_on() -> None:
    wrong: list[str] = []
    assert read_traces({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, wrong) is None
    assert wrong == [f"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is set without {ENDPOINT}: set that one"]


@pytest.mark.parametrize("endpoint", ["https://collector:4318", "http://127.0.0.1:4318", "http://localhost:4318"])
def test_headers_go_where_nobody_reads_them(endpoint: str) -> None:
    assert read(**{ENDPOINT: endpoint, "OTEL_EXPORTER_OTLP_HEADERS": "a=b"}).headers == {"a": "b"}
