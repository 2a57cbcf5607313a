"""A figure that nobody waits for any more takes no place and no worker's time."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator

import httpx
import pytest

from laptop.service import Service
from tests.integration.problems import post
from tests.integration.processes import KEY, FrontEnd, front_end, wait_for

GIVEN = 'tosia_stage_duration_seconds_count{stage="wait_for_worker"}'
FIGURE = "/v1/calls/drawn/figure.png"


@pytest.fixture(scope="module")
def alone(service: Service, tmp_path_factory: pytest.TempPathFactory, benchmark: bytes) -> Iterator[FrontEnd]:
    """A front end with one worker and a call that can be drawn."""
    with front_end(tmp_path_factory.mktemp("var"), service.triton_url) as running:
        running.start("--workers", "1")
        wait_for(lambda: running.get("/readyz") == 200, "the front end is ready")
        assert post(running.api, benchmark, "drawn").status_code == 201
        # The first figure imports matplotlib, which on a busy machine takes what the deadline leaves to the others.
        wait_for(lambda: running.get(FIGURE) == 200, "the worker has drawn")
        yield running


def ask(running: FrontEnd, path: str) -> socket.socket:
    """Asked for, not waited for."""
    connection = socket.create_connection(("127.0.0.1", running.port), timeout=20.0)
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: t\r\nX-API-Key: {KEY}\r\n\r\n".encode())
    return connection


def gauge(running: FrontEnd, name: str) -> float:
    text = httpx.get(f"http://127.0.0.1:{running.metrics_port}/metrics", trust_env=False).text
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} "))


@pytest.mark.parametrize("path", [FIGURE, "/v1/calls/drawn/segments/0.png"])
def test_who_goes_away_frees_its_place_and_what_waited_is_not_drawn(alone: FrontEnd, path: str) -> None:
    (worker,) = alone.workers()
    given = gauge(alone, GIVEN)
    os.kill(worker, signal.SIGSTOP)
    try:
        # The worker has the first, the others wait.
        connections = [ask(alone, path)]
        wait_for(lambda: gauge(alone, GIVEN) == given + 1, "the first is with the worker")
        connections += [ask(alone, path), ask(alone, path)]
        wait_for(lambda: gauge(alone, "tosia_recordings_waiting") == 2.0, "the others wait")
        assert gauge(alone, "tosia_recordings_in_work") == 3.0
        connections[2].close()
        wait_for(lambda: gauge(alone, "tosia_recordings_waiting") == 1.0, "one waits")
        wait_for(lambda: gauge(alone, "tosia_recordings_in_work") == 2.0, "its place is free")
        connections[0].close()
        wait_for(lambda: gauge(alone, "tosia_recordings_in_work") == 1.0, "the place of the first is free, too")
    finally:
        os.kill(worker, signal.SIGCONT)
    # Who stayed gets an answer, from the same worker.
    assert connections[1].recv(64).startswith(b"HTTP/1.1 200")
    connections[1].close()
    assert alone.workers() == [worker]
    assert alone.get(FIGURE) == 200
    log = (alone.var / "frontend.log").read_text()
    assert "Traceback" not in log
    assert '"status": 500' not in log
