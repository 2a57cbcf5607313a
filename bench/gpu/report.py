"""What the benchmark of a GPU reports: throughputs, the best queue delay, and the tables for people."""

from __future__ import annotations

import math
import shutil
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
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
        medians = (
            statistics.median(by_client)
            for by_clients in self.through_triton.values()
            for by_client in by_clients.values()
        )
        return max(medians) / max(self.bare["float32"].values())

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "share": self.share}


def best_delay(through_triton: Throughputs) -> int:
    """The queue delay in µs with the highest medians, each number of clients counting the same; of equals the
    shortest.
    """

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
