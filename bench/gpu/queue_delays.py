"""Queue delays in turn, on servers that are all up; and the spectrograms that they are asked about. Needs no torch."""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.gpu.report import CLIENTS, DELAYS_US
from bench.triton.perf_analyzer import SPECTROGRAMS, measure
from local_triton import TritonServer
from runtime.contract import INPUT

START_S = 180.0  # a stub that imports torch and finds its GPU takes longer than one without


def by_delay(repository: Callable[[Path, int], Path], seconds: float, rounds: int) -> dict[int, dict[int, list[float]]]:
    """Throughputs as `Figures.through_triton`. repository: makes one in a folder with a queue delay in µs.

    All servers are up all the time and loaded in turn, as in `perf_analyzer.dynamic_batching`; the first load of each,
    which chooses kernels for every batch size, is not counted.
    """
    found: dict[int, dict[int, list[float]]] = {delay: {n: [] for n in CLIENTS} for delay in DELAYS_US}
    with tempfile.TemporaryDirectory(prefix="tosia-bench-") as folder, ExitStack() as running:
        urls = {}
        for delay in DELAYS_US:
            made = repository(Path(folder) / f"{delay}", delay)
            server = TritonServer(made, log=Path(folder) / f"{delay}.log", start_timeout_s=START_S)
            urls[delay] = running.enter_context(server).grpc_url
            measure(urls[delay], CLIENTS, window_ms=int(seconds * 1000))
        for _ in range(rounds):
            for delay, url in urls.items():
                for level in measure(url, CLIENTS, window_ms=int(seconds * 1000)):
                    found[delay][level.concurrency].append(level.throughput)
    return found


def read_images(shape: tuple[int, int], file: Path = SPECTROGRAMS) -> NDArray[np.uint8]:
    """uint8 [shape=(n, n_mels, n_frames)]: what perf_analyzer sends."""
    steps = json.loads(file.read_text(encoding="ascii"))["data"]
    return np.stack([np.frombuffer(base64.b64decode(step[INPUT]["b64"]), np.uint8).reshape(shape) for step in steps])
