"""Readers that ask for much and never read, heads that never end, and long pipelines: what they hold in the front end,
and that they are ended.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest

from frontend.api.held_answers import STREAM_BYTES
from frontend.calls.stored_audio import PIECE_BYTES
from frontend.cli.bounded_connection import MAX_PIPELINED
from laptop.service import Service
from tests.integration.problems import assert_problem, post, wav
from tests.integration.processes import KEY, FrontEnd, front_end, wait_for

READERS = 60
MIB = 2**20
RECORDING = wav(np.random.default_rng(1).normal(0, 0.01, (44_100 * 110, 2)), 44_100)
AUDIO = "/v1/calls/large/audio"


@pytest.fixture(scope="module")
def one(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FrontEnd]:
    """A front end with one stored recording of nearly 20 MB, `large`, and little patience."""
    settings = "limits: {request_deadline_s: 4, max_in_flight_bytes: 41943040}"
    with front_end(tmp_path_factory.mktemp("var"), service.triton_url, settings=settings) as running:
        running.start("--workers", "1")
        wait_for(lambda: running.get("/readyz") == 200, "the front end is ready")
        assert 18 * MIB < len(RECORDING) < 20 * MIB
        assert post(running.api, RECORDING, "large").status_code in (201, 202)
        yield running


def metric(one: FrontEnd, name: str) -> float:
    text = httpx.get(f"http://127.0.0.1:{one.metrics_port}/metrics", trust_env=False).text
    found = re.search(rf"^{re.escape(name)} (\S+)", text, re.MULTILINE)
    assert found is not None
    return float(found[1])


def peak_bytes(one: FrontEnd) -> int:
    """The most memory that the front end's main process has ever used."""
    assert one.process is not None
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{one.process.pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


@contextmanager
def connections(one: FrontEnd, count: int, said: bytes) -> Iterator[list[socket.socket]]:
    """Connections with a small buffer that have said this, and read nothing."""
    with ExitStack() as stack:
        opened = [stack.enter_context(socket.socket()) for _ in range(count)]
        for connection in opened:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.settimeout(60.0)
            connection.connect(("127.0.0.1", one.port))
            connection.sendall(said)
        yield opened


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\n\r\n".encode()


def rest_of(connection: socket.socket) -> int:
    """How many bytes come until the connection ends, however it ends."""
    read = 0
    try:
        while part := connection.recv(65536):
            read += len(part)
    except ConnectionResetError:
        pass
    return read


def lines(one: FrontEnd) -> list[dict[str, object]]:
    *whole, _ = (one.var / "frontend.log").read_text().split("\n")
    return [json.loads(line) for line in whole]


def test_readers_that_stall_hold_little_memory(one: FrontEnd, benchmark: bytes) -> None:
    """Before: 1.1 GB for these 60, for as long as they like."""
    before = peak_bytes(one)
    with connections(one, READERS, get(AUDIO)) as readers:
        for reader in readers:
            assert reader.recv(9) == b"HTTP/1.1 "
        wait_for(lambda: metric(one, "tosia_body_bytes_in_work") == READERS * STREAM_BYTES, "all are counted")
        assert peak_bytes(one) - before < READERS * 2 * MIB
        assert post(one.api, benchmark).status_code == 201
    wait_for(lambda: metric(one, "tosia_body_bytes_in_work") == 0, "readers that have gone hold nothing")


@pytest.mark.system
def test_readers_that_stall_are_ended_each_with_its_line(one: FrontEnd) -> None:
    """4 s by these settings, and 32 s for what is in the buffers."""
    with connections(one, READERS, get(AUDIO)) as readers:
        for reader in readers:
            assert reader.recv(9) == b"HTTP/1.1 "
        wait_for(lambda: metric(one, 'tosia_connections_ended_total{cause="reader"}') == READERS, "all are ended")
        wait_for(lambda: metric(one, "tosia_body_bytes_in_work") == 0, "they hold nothing")
        assert max(rest_of(reader) for reader in readers) < MIB
    told = [line for line in lines(one) if line.get("ended") == "reader"]
    assert len(told) == READERS
    assert {(line["route"], line["status"], line["key"]) for line in told} == {
        ("/v1/calls/{call_id}/audio", 200, "default")
    }


def test_answers_beyond_the_memory_are_refused(one: FrontEnd) -> None:
    """40 MiB are all that these settings give."""
    fitting = 40 * MIB // STREAM_BYTES
    with connections(one, fitting, get(AUDIO)) as readers:
        for reader in readers:
            assert reader.recv(9) == b"HTTP/1.1 "
        assert_problem(one.api.get(AUDIO), 503, "overloaded")
        assert_problem(one.api.get(AUDIO, headers={"Range": "bytes=0-9"}), 503, "overloaded")
    wait_for(lambda: metric(one, "tosia_body_bytes_in_work") == 0, "readers that have gone hold nothing")
    assert one.api.get(AUDIO).content == RECORDING


@pytest.mark.parametrize(
    "span",
    [(0, 0), (PIECE_BYTES - 1, PIECE_BYTES), (1, 3 * PIECE_BYTES), (len(RECORDING) - 1, len(RECORDING) - 1)],
    ids=str,
)
def test_ranges_of_a_large_recording(one: FrontEnd, span: tuple[int, int]) -> None:
    first, last = span
    answer = one.api.get(AUDIO, headers={"Range": f"bytes={first}-{last}"})
    assert (answer.status_code, answer.content) == (206, RECORDING[first : last + 1])
    assert answer.headers["content-range"] == f"bytes {first}-{last}/{len(RECORDING)}"


def test_the_head_of_a_large_recording(one: FrontEnd) -> None:
    answer = one.api.head(AUDIO)
    assert (answer.status_code, answer.content) == (200, b"")
    assert int(answer.headers["content-length"]) == len(RECORDING)
    assert_problem(one.api.get(AUDIO, headers={"Range": "bytes=99999999-"}), 416, "range_not_satisfiable")


def test_an_altered_recording_is_not_sent_and_one_that_changes_meanwhile_not_to_its_end(one: FrontEnd) -> None:
    (stored,) = (one.var / "audio" / "calls" / "large").iterdir()
    with connections(one, 1, get(AUDIO)) as (reader,):
        assert reader.recv(9) == b"HTTP/1.1 "
        with stored.open("r+b") as file:
            file.seek(-1, 2)
            file.write(b"\0" if RECORDING[-1] else b"\1")
        try:
            assert rest_of(reader) < len(RECORDING)
            assert metric(one, 'tosia_connections_ended_total{cause="store"}') == 1
            for headers in ({}, {"Range": "bytes=0-9"}):
                assert_problem(one.api.get(AUDIO, headers=headers), 503, "store_unavailable")
        finally:
            stored.write_bytes(RECORDING)
    assert one.api.get(AUDIO).content == RECORDING


@pytest.mark.system
def test_heads_that_never_end_are_ended(one: FrontEnd) -> None:
    """No byte, blank lines, half a head, and half a head after an answer, at once or later."""
    ended = metric(one, 'tosia_connections_ended_total{cause="head"}')
    beginnings = [b"", b"\r\n\r\n", b"GET /healthz HTTP/1.1\r\nHost: ", get("/healthz") + b"GET /", get("/healthz")]
    with ExitStack() as stack:
        senders = [stack.enter_context(connections(one, 1, said))[0] for said in beginnings]
        assert senders[-1].recv(9) == b"HTTP/1.1 "
        senders[-1].sendall(b"GET /healthz HTT")
        for sender in senders:
            rest_of(sender)
    assert metric(one, 'tosia_connections_ended_total{cause="head"}') == ended + len(beginnings)


def test_as_many_requests_in_a_pipeline_as_allowed_are_answered_in_order(one: FrontEnd) -> None:
    paths = ["/healthz", "/nothing"] * (MAX_PIPELINED // 2)
    said = b"".join(get(path) for path in paths) + get("/healthz")[:-2] + b"Connection: close\r\n\r\n"
    with connections(one, 1, said) as (connection,):
        answers = b"".join(iter(lambda: connection.recv(65536), b""))
    statuses = re.findall(rb"HTTP/1\.1 (\d+) ", answers)
    assert statuses == [b"200", b"404"] * (MAX_PIPELINED // 2) + [b"200"]


def test_a_longer_pipeline_ends_its_connection(one: FrontEnd) -> None:
    before = peak_bytes(one)
    with connections(one, 1, get("/v1/calls") + b"GET / HTTP/1.1\r\n\r\n" * 8000) as (connection,):
        rest_of(connection)
    assert metric(one, 'tosia_connections_ended_total{cause="pipeline"}') == 1
    assert peak_bytes(one) - before < 4 * MIB
    assert one.get("/healthz") == 200
