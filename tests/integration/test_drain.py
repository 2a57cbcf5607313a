"""A rolled or scaled-down front end costs no caller anything: SIGTERM under load, as Kubernetes sends it."""

from __future__ import annotations

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import httpx
import pytest

from laptop.service import CHECKOUT
from local_triton import TritonServer
from tests.integration.problems import post
from tests.integration.processes import KEY, FrontEnd, front_end, wait_for

pytestmark = pytest.mark.system

CALLERS = 6
WITHDRAWN_S = 2.0  # how long a proxy may go on sending to a pod that is going
DRAIN_S = 4


def is_diagnosed(server: FrontEnd, call_id: str) -> bool:
    return server.state(call_id) == "diagnosed"


def test_no_request_fails_when_a_loaded_front_end_is_ended(tmp_path: Path, benchmark: bytes) -> None:
    """Callers with connections of their own and kept ones post until the signal, and for a while after it."""
    answered: dict[str, int] = {}
    ended = threading.Event()

    def call(caller: int) -> int:
        n = 0
        with httpx.Client(base_url=one.api.base_url, headers={"X-API-Key": KEY}, timeout=30, trust_env=False) as kept:
            while not ended.is_set():
                call_id = f"call-{caller}-{n}"
                if n % 2:
                    answered[call_id] = post(kept, benchmark, call_id).status_code
                else:
                    with httpx.Client(
                        base_url=one.api.base_url, headers=kept.headers, timeout=30, trust_env=False
                    ) as fresh:
                        answered[call_id] = post(fresh, benchmark, call_id).status_code
                n += 1
        return n

    with (
        TritonServer(CHECKOUT / "model_repository", log=tmp_path / "triton.log") as triton,
        front_end(tmp_path, triton.grpc_url) as one,
        ThreadPoolExecutor(CALLERS) as pool,
    ):
        one.start("--drain-seconds", str(DRAIN_S))
        wait_for(lambda: one.get("/readyz") == 200, "the front end is ready")
        callers = [pool.submit(call, caller) for caller in range(CALLERS)]
        try:
            wait_for(lambda: len(answered) > 3 * CALLERS, "there is load")
            before = len(answered)
            assert one.process is not None
            one.process.send_signal(signal.SIGTERM)
            time.sleep(WITHDRAWN_S)
        finally:
            ended.set()
        sent = sum(caller.result() for caller in callers)  # a connection that broke raises here
        assert one.process.wait(30) == 0
        assert len(answered) == sent > before, "requests came in while it drained"
        accepted = {call_id for call_id, status in answered.items() if status in (201, 202)}
        refused = [status for call_id, status in answered.items() if call_id not in accepted]
        assert set(refused) <= {503}, "refused for load before anything was stored, or answered"
        assert len(accepted) > len(refused)

        one.start()
        wait_for(lambda: one.get("/readyz") == 200, "the next one is ready")
        for call_id in accepted:
            wait_for(partial(is_diagnosed, one, call_id), f"{call_id} is diagnosed")


def test_a_front_end_that_is_ended_while_it_starts_ends_in_good_order(tmp_path: Path) -> None:
    """As process 1 it would not even hear of it: there a signal without a handler is ignored."""
    with front_end(tmp_path, "127.0.0.1:1") as one:
        one.launch()
        assert one.process is not None
        status = Path(f"/proc/{one.process.pid}/status")

        def hears() -> bool:
            caught = next(line.split()[1] for line in status.read_text().splitlines() if line.startswith("SigCgt:"))
            return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)

        wait_for(hears, "the signal has a handler")
        assert one.get("/healthz") == 0, "it is not up yet"
        assert one.stop() == 0
    assert "Traceback" not in (tmp_path / "frontend.log").read_text()
