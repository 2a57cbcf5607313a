"""gRPC relays before the real Triton keep what came with each request: a trace goes on where it is sampled, and every
pod gets requests.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from laptop.service import CHECKOUT, Service
from runtime.__main__ import main
from runtime.errors import UnusableScores
from runtime.triton_classifier import AsyncTritonClassifier, TritonClassifier, shared_classifier
from tests.integration.problems import post
from tests.integration.processes import FrontEnd, front_end, wait_for
from tests.services.otlp import collector

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Relay(service_pb2_grpc.GRPCInferenceServiceServicer):
    """Passes on what the front end asks for, and keeps the headers of inference."""

    def __init__(self, url: str) -> None:
        self._triton = service_pb2_grpc.GRPCInferenceServiceStub(grpc.insecure_channel(url))
        self.headers: list[dict[str, str]] = []
        self.passes = 1_000_000  # so many inferences; then Triton is away
        self.alter: Callable[[Any], object] = lambda answer: None
        self.refusals: list[grpc.StatusCode] = []  # of the next inferences

    def ModelInfer(  # noqa: N802 - gRPC's name
        self, request: service_pb2.ModelInferRequest, context: grpc.ServicerContext
    ) -> Any:
        if len(self.headers) == self.passes:
            context.abort(grpc.StatusCode.UNAVAILABLE, "gone")
        if self.refusals:
            context.abort(self.refusals.pop(), "the server is draining")
        self.headers.append({key: str(value) for key, value in context.invocation_metadata()})
        answer = self._triton.ModelInfer(request)
        self.alter(answer)
        return answer

    def ModelConfig(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802 - gRPC's name
        return self._triton.ModelConfig(request)

    def ModelMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802 - gRPC's name
        return self._triton.ModelMetadata(request)

    def ModelReady(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802 - gRPC's name
        return self._triton.ModelReady(request)


@contextmanager
def relay_of(service: Service) -> Iterator[tuple[Relay, int]]:
    """A relay and its port."""
    relay = Relay(service.triton_url)
    server = grpc.server(ThreadPoolExecutor(4))
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(relay, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield relay, port
    finally:
        server.stop(None).wait()


@pytest.fixture
def relayed(service: Service, tmp_path: Path) -> Iterator[tuple[FrontEnd, Relay]]:
    with relay_of(service) as (relay, port), front_end(tmp_path, f"127.0.0.1:{port}") as running:
        running.start()
        wait_for(lambda: running.get("/readyz") == 200, "the front end is ready")
        yield running, relay


def logged(running: FrontEnd) -> list[dict[str, Any]]:
    """Whole log lines of diagnoses."""
    *whole, _ = (running.var / "frontend.log").read_text().split("\n")
    return [item for item in map(json.loads, whole) if item.get("route") == "/v1/diagnoses"]


def test_without_traces_the_callers_is_in_our_log_alone(relayed: tuple[FrontEnd, Relay], benchmark: bytes) -> None:
    running, relay = relayed
    headers = {"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "vendor=1", "X-Request-ID": "theirs"}
    assert post(running.api, benchmark, headers=headers).status_code == 201
    (sent,) = relay.headers
    assert not {"traceparent", "tracestate", "baggage"} & sent.keys()  # Triton would make spans for it
    wait_for(lambda: bool(logged(running)), "the request is logged")  # after its answer has gone out
    (line,) = logged(running)
    assert (line["trace_id"], line["status"], line["key"]) == (TRACE, 201, "default")
    assert line["request_id"].startswith("sha256:")  # theirs may be the call's id


def test_without_one_a_trace_begins_here(relayed: tuple[FrontEnd, Relay], benchmark: bytes) -> None:
    running, _ = relayed
    for _ in range(2):
        assert post(running.api, benchmark).status_code == 201
    wait_for(lambda: len(logged(running)) == 2, "the requests are logged")
    first, second = (line["trace_id"] for line in logged(running))
    assert first != second
    assert re.fullmatch("[0-9a-f]{32}", first)


def test_with_traces_triton_gets_our_step_and_nothing_else_of_the_callers(
    service: Service, tmp_path: Path, benchmark: bytes
) -> None:
    headers = {"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "vendor=1", "baggage": "user=1"}
    with (
        collector() as traces,
        relay_of(service) as (relay, port),
        front_end(tmp_path, f"127.0.0.1:{port}") as running,
    ):
        running.environment |= {"OTEL_EXPORTER_OTLP_ENDPOINT": traces.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}
        running.start()
        wait_for(lambda: running.get("/readyz") == 200, "the front end is ready")
        assert post(running.api, benchmark, headers=headers).status_code == 201
        wait_for(lambda: bool(traces.named("infer")), "the span arrives")
        (sent,) = relay.headers
        (asking,) = traces.named("infer")
    assert sent["traceparent"] == f"00-{TRACE}-{asking.span_id}-01"
    assert not {"tracestate", "baggage"} & sent.keys()


def test_many_files_go_on_where_triton_went_away(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`python -m runtime diagnose`: what is done is kept, the others are not tried in vain, and done the next time."""
    files = [
        str(CHECKOUT / "samples" / "preprocessing" / name)
        for name in ("benchmark_1/raw.ogg", "call/raw.wav", "clipped/raw.wav")
    ]
    output = tmp_path / "o.jsonl"
    with relay_of(service) as (relay, port):
        monkeypatch.setenv("TRITON_URL", f"127.0.0.1:{port}")
        relay.passes = 1
        assert main(["diagnose", *files, "--output", str(output)]) == 1
        first, second = capsys.readouterr().err.splitlines()
        assert first.startswith(f"diagnose: {files[1]}: The inference server can't answer now")
        assert second == "diagnose: stopped with 1 of 3 files left; the same command goes on from here."
        assert [json.loads(line)["error"] is None for line in output.read_text().splitlines()] == [True, False]
        relay.passes = 3
        assert main(["diagnose", *files, "--output", str(output)]) == 0
        assert capsys.readouterr().err == "diagnose: 2 diagnosed, 1 diagnosed before, 0 failed.\n"
        assert len(relay.headers) == 3
        shared_classifier(f"127.0.0.1:{port}").close()


def test_two_pods_get_requests_in_turn(service: Service) -> None:
    """Two addresses of one target, as a headless Service has them."""
    spectrograms = np.zeros((1, 64, 96), dtype=np.uint8)

    async def ask(ports: list[int]) -> None:
        classifier = AsyncTritonClassifier("ipv4:" + ",".join(f"127.0.0.1:{port}" for port in ports))
        try:
            contract = await classifier.contract()
            for _ in range(20):
                await classifier.classify(spectrograms, contract, 10.0)
        finally:
            await classifier.close()

    with relay_of(service) as (first, one), relay_of(service) as (second, other):
        asyncio.run(ask([one, other]))
    assert len(first.headers) + len(second.headers) == 20
    # In turn once both connections stand; the first few may all go to the one that stands first.
    assert min(len(first.headers), len(second.headers)) >= 5


@pytest.mark.parametrize(
    ("status", "count"),
    [
        (grpc.StatusCode.NOT_FOUND, 7),  # more than the five tries of one round
        (grpc.StatusCode.CANCELLED, 7),
        (grpc.StatusCode.UNAVAILABLE, 3),
    ],
)
def test_what_a_server_answers_that_drains_is_asked_again(
    service: Service, status: grpc.StatusCode, count: int
) -> None:
    """The relay answers as a Triton does that is about to end; test_draining_triton.py has real ones."""
    spectrograms = np.zeros((2, 64, 96), dtype=np.uint8)

    async def ask(address: str) -> int:
        classifier = AsyncTritonClassifier(address)
        try:
            return len((await classifier.classify(spectrograms, await classifier.contract(), 30.0)).cough)
        finally:
            await classifier.close()

    with relay_of(service) as (relay, port), TritonClassifier(f"127.0.0.1:{port}") as classifier:
        relay.refusals = [status] * count
        assert asyncio.run(ask(f"127.0.0.1:{port}")) == 2
        relay.refusals = [status] * count
        assert len(classifier.classify(spectrograms).cough) == 2
        assert relay.refusals == []


def as_float64(answer: Any) -> None:
    for number, output in enumerate(answer.outputs):
        output.datatype = "FP64"
        answer.raw_output_contents[number] = bytes(2 * len(answer.raw_output_contents[number]))


def without_a_row(answer: Any) -> None:
    for number, output in enumerate(answer.outputs):
        answer.raw_output_contents[number] = answer.raw_output_contents[number][: -4 * output.shape[1]]
        output.shape[0] -= 1


def swapped(answer: Any) -> None:
    first, second = answer.outputs
    first.name, second.name = second.name, first.name


@pytest.mark.parametrize(
    "alter",
    [
        as_float64,
        without_a_row,
        swapped,
        lambda answer: answer.raw_output_contents.__setitem__(0, b""),
        lambda answer: answer.raw_output_contents.__delitem__(1),
        lambda answer: answer.outputs.__delitem__(1),
        lambda answer: setattr(answer.outputs[0], "datatype", "FP8"),
    ],
    ids=["another type", "a row less", "swapped", "no bytes", "contents missing", "output missing", "unknown type"],
)
def test_answers_that_are_no_scores_are_told_apart_from_a_triton_that_is_away(
    service: Service, alter: Callable[[Any], object]
) -> None:
    """The relay alters what the real Triton answers, as no model that it loads here would."""
    spectrograms = np.zeros((2, 64, 96), dtype=np.uint8)

    async def ask(address: str) -> None:
        classifier = AsyncTritonClassifier(address)
        try:
            await classifier.classify(spectrograms, await classifier.contract(), 10.0)
        finally:
            await classifier.close()

    with relay_of(service) as (relay, port):
        relay.alter = alter
        with pytest.raises(UnusableScores, match="check"):
            asyncio.run(ask(f"127.0.0.1:{port}"))
        with TritonClassifier(f"127.0.0.1:{port}") as classifier, pytest.raises(UnusableScores, match="check"):
            classifier.classify(spectrograms)
