"""One of two real Tritons drains under load: its neighbour answers, and no inference fails.

`ipv4:` with two addresses stands for the headless Service of Kubernetes.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from laptop.service import CHECKOUT
from local_triton import TritonServer
from runtime.errors import InferenceError
from runtime.triton_classifier import AsyncTritonClassifier, TritonClassifier

REPOSITORY = CHECKOUT / "model_repository"
CLIENTS = 4
# As large as a batch may be: more than what gRPC would repeat by default.
SPECTROGRAMS = np.zeros((64, 64, 96), dtype=np.uint8)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[TritonServer, TritonServer]]:
    with (
        TritonServer(REPOSITORY, log=tmp_path / "one.log") as one,
        TritonServer(REPOSITORY, log=tmp_path / "other.log") as other,
    ):
        yield one, other


def address(*servers: TritonServer) -> str:
    return "ipv4:" + ",".join(server.grpc_url for server in servers)


def test_no_inference_of_an_event_loop_fails(pair: tuple[TritonServer, TritonServer]) -> None:
    async def run() -> int:
        classifier = AsyncTritonClassifier(address(*pair))
        contract = await classifier.contract()
        stopping = asyncio.Event()
        done = 0

        async def ask() -> None:
            nonlocal done
            left = 40
            while left:
                await classifier.classify(SPECTROGRAMS, contract, 10.0)
                done += 1
                left -= stopping.is_set()  # so many more after the server has ended

        async def stop_one() -> None:
            await asyncio.to_thread(pair[0].stop)
            stopping.set()

        try:
            await asyncio.gather(stop_one(), *(ask() for _ in range(CLIENTS)))
        finally:
            await classifier.close()
        return done

    assert asyncio.run(run()) > CLIENTS * 40


def test_no_inference_of_a_program_fails(pair: tuple[TritonServer, TritonServer]) -> None:
    stopping = threading.Event()

    def ask() -> None:
        left = 40
        with TritonClassifier(address(*pair)) as classifier:
            while left:
                classifier.classify(SPECTROGRAMS)
                left -= stopping.is_set()

    with ThreadPoolExecutor(CLIENTS) as pool:
        clients = [pool.submit(ask) for _ in range(CLIENTS)]
        pair[0].stop()
        stopping.set()
        for client in clients:
            client.result()


def test_a_server_that_has_gone_for_good_is_told_before_the_deadline(tmp_path: Path) -> None:
    """Five tries take about half a second, and never longer than the caller gives."""
    with (
        TritonServer(REPOSITORY, log=tmp_path / "triton.log") as server,
        TritonClassifier(server.grpc_url, timeout_s=30.0) as classifier,
    ):
        classifier.classify(SPECTROGRAMS[:1])
        server.stop()
        with pytest.raises(InferenceError, match="can't answer now"):
            classifier.classify(SPECTROGRAMS[:1])
