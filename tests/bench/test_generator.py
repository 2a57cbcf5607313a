"""The load generator against a server that answers as it is told: what it counts, and from when."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bench.load.generator import Generator

pytestmark = pytest.mark.skipif(
    shutil.which("cc") is None, reason="there is no C compiler (cc) for bench/load/generator.c"
)


@contextmanager
def server(statuses: list[int], pause_s: float = 0.0, chunked: bool = False) -> Iterator[tuple[int, list[bytes]]]:
    """Answers with the statuses in turn; what it was sent comes back in the list."""
    bodies: list[bytes] = []
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            with lock:
                status = statuses[len(bodies) % len(statuses)]
                bodies.append(body)
            time.sleep(pause_s)
            self.send_response(status)
            if status == 503:
                self.send_header("Retry-After", "1")
            if chunked:
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                self.wfile.write(b"2\r\n{}\r\n0\r\n\r\n")
            else:
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    thread = threading.Thread(target=httpd.serve_forever)
    thread.start()
    try:
        yield httpd.server_address[1], bodies
    finally:
        httpd.shutdown()
        thread.join()
        httpd.server_close()


def test_it_sends_the_recordings_as_forms_and_counts_the_answers() -> None:
    with server([201, 503, 202]) as (port, bodies), Generator([b"first" * 50_000, b"second"]) as generator:
        load = generator.closed(port, 2.0, 2)
    assert load.accepted.count + load.refused.count + load.other.count == len(bodies)
    assert load.statuses == {
        "201": load.accepted.count,
        "202": load.other.count,  # no result yet, so not done
        "503": load.refused.count,
    }
    assert (load.lost, load.without_retry_after) == (0, 0)
    assert {(b"first" in body, b"second" in body) for body in bodies} == {(True, False), (False, True)}
    assert all(b'name="audio"' in body for body in bodies)


def test_chunked_answers_end_too() -> None:
    with server([200], chunked=True) as (port, bodies), Generator([b"x"]) as generator:
        load = generator.closed(port, 2.0, 2)
    assert load.accepted.count == len(bodies) > 1


def test_an_open_loop_sends_whether_or_not_it_is_answered_and_counts_from_when_it_was_due() -> None:
    with server([201], pause_s=0.5) as (port, _), Generator([b"x"]) as generator:
        load = generator.open(port, 1.0, 100.0)
    assert 60 <= load.accepted.count <= 140  # Poisson with mean 100: four standard deviations
    assert load.accepted.p50 >= 0.5


def test_the_same_seed_is_the_same_load() -> None:
    sent = []
    with Generator([b"first", b"second"]) as generator:
        for seed in (1, 1, 2):
            with server([201]) as (port, bodies):
                generator.open(port, 0.5, 100.0, seed)
                sent.append(sorted(bodies))
    assert sent[0] == sent[1] != sent[2]
