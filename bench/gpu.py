"""`python -m bench.gpu`: what a GPU makes of the network. Without one it says so in a line, and that is no failure.

What runs is what pip alone brings to a machine with a GPU: torch with CUDA (requirements/torch.txt). A pinned
onnxruntime-gpu is not among the locks, and the C++ backend and TensorRT are in NVIDIA's container only: there
k8s/perf-analyzer measures the real thing. Here the very network of the release runs by torch, from its checkpoint:

    bare loop     coughs/s by batch size, float32 (model.onnx) against float16 (half.onnx)
    Triton        the same, float32, through its Python backend with dynamic batching: its share of the bare loop's best
    queue delay   which one gives the best median throughput at 32 and 64 clients

`--device cpu` takes the same way without a GPU; its figures say nothing about one. This file needs the standard library
only, so that it can answer where nothing is installed; gpu_figures.py measures.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

BATCHES = (1, 2, 4, 8, 16, 32, 64)
DELAYS_US = (0, 50, 100, 200, 500, 1000)
CLIENTS = (32, 64)
SECONDS = 1.0
ROUNDS = 3
NEEDS = "it needs an NVIDIA GPU with its driver, and torch with CUDA, which requirements/torch.txt brings"
NO_GPU = f"bench-gpu: there is no GPU here, so nothing was measured: {NEEDS}."
NO_CUDA = f"bench-gpu: torch finds no CUDA here, so nothing was measured: {NEEDS}."

Throughputs = Mapping[int, Mapping[int, Sequence[float]]]


@dataclass(frozen=True, slots=True)
class Figures:
    """Throughputs in coughs/s.

    bare: float32 and float16 -> batch size -> throughput
    through_triton: queue delay in µs -> clients -> throughput of each round
    best_delay_us: see `best_delay`
    """

    device: str
    bare: Mapping[str, Mapping[int, float]]
    through_triton: Throughputs
    best_delay_us: int

    @property
    def share(self) -> float:
        """Triton's best median over the bare loop's best, both float32."""
        medians = (statistics.median(one) for by_clients in self.through_triton.values() for one in by_clients.values())
        return max(medians) / max(self.bare["float32"].values())

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "share": self.share}


def best_delay(through_triton: Throughputs) -> int:
    """The queue delay in µs with the highest medians, each number of clients counting the same; of equals the shortest."""

    def score(delay: int) -> float:
        return math.prod(statistics.median(rounds) for rounds in through_triton[delay].values())

    return max(sorted(through_triton), key=score)


def markdown(figures: Figures) -> str:
    """Two tables and a line, for people."""
    rows = [f"On {figures.device}, coughs/s.", "", "| batch | float32 | float16 |", "| ---: | ---: | ---: |"]
    for batch in figures.bare["float32"]:
        rows.append(f"| {batch} | {figures.bare['float32'][batch]:.0f} | {figures.bare['float16'][batch]:.0f} |")
    rows += ["", *delay_table(figures.through_triton)]
    return "\n".join([*rows, "", f"Best delay: {figures.best_delay_us} µs. Triton's share: {figures.share:.2f}."])


def delay_table(through_triton: Throughputs) -> list[str]:
    """Medians, lowest and highest, by queue delay and clients."""
    clients = list(next(iter(through_triton.values())))
    rows = [
        f"| queue delay µs | {' | '.join(f'{n} clients' for n in clients)} |",
        "| ---: " * (len(clients) + 1) + "|",
    ]
    for delay, by_clients in through_triton.items():
        cells = [
            f"{statistics.median(by_clients[n]):.0f} ({min(by_clients[n]):.0f}-{max(by_clients[n]):.0f})"
            for n in clients
        ]
        rows.append(f"| {delay} | {' | '.join(cells)} |")
    return rows


def has_gpu() -> bool:
    """Whether the driver's own program shows a GPU."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return False
    listing = subprocess.run([program, "-L"], capture_output=True, text=True, check=False, timeout=60)
    return listing.returncode == 0 and "GPU" in listing.stdout


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.gpu", description="What a GPU makes of the network.")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"of a figure (default: {SECONDS:g})")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"of the queue delays (default: {ROUNDS})")
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    parser.add_argument(
        "--check", action="store_true", help="only say whether there is a GPU: exit code 0, or 1 and a line"
    )
    options = parser.parse_args(arguments)
    if options.device == "cuda" and not has_gpu():
        print(NO_GPU)
        return 1 if options.check else 0
    if options.check:
        return 0
    from bench import gpu_figures  # noqa: PLC0415 - torch is not there where there is no GPU

    if gpu_figures.device_name(options.device) is None:
        print(NO_CUDA)
        return 0
    try:
        figures = gpu_figures.take(options.device, options.seconds, options.rounds)
    except gpu_figures.FAILURES as error:
        print(f"bench-gpu: {error}", file=sys.stderr)
        return 2 if isinstance(error, gpu_figures.SETUP_FAILURES) else 1
    print(markdown(figures))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(figures.to_dict(), indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
