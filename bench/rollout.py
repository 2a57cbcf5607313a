"""`python -m bench.rollout`: what a shadow costs callers, at 70 % of the capacity, side by side in each round.

The candidate is the serving release again, in a Triton of its own, on the same cores: on a cluster it has others.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bench.load.audio import mixed_notes
from bench.load.generator import Generator, Load
from bench.load.served import API_KEY, CONNECTIONS, children, folder, session
from laptop.service import CHECKOUT, Service
from local_triton.ports import free_ports
from runtime.config import MODEL_REPOSITORY

SHARE = "0.1"
SECONDS = 15.0
CAPACITY_S = 8.0
SEEN_S = 3.0  # until the front end has seen a step


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.rollout", description=str(__doc__).split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(arguments)
    port, metrics_port = free_ports(2)
    notes, what = mixed_notes()
    found: dict[str, list[Load]] = {"without": [], "shadow": [], "frozen": []}
    with (
        folder() as var,
        Service(port=port, metrics_port=metrics_port, api_key=API_KEY, var=var, candidate=MODEL_REPOSITORY) as service,
        Generator(notes, API_KEY) as generator,
    ):
        environment = {
            **os.environ,
            "API_KEY": API_KEY,
            "TOSIA_STORES": "embedded",
            "TOSIA_VAR": str(var),
            "TRITON_URL": service.triton_url,
            "CANDIDATE_TRITON_URL": service.candidate_url,
        }
        for number in range(options.rounds):
            rate = 0.7 * generator.closed(port, CAPACITY_S, CONNECTIONS, number).accepted_per_s
            found["without"].append(generator.open(port, SECONDS, rate, number))
            _step(environment, "--shadow", SHARE)
            found["shadow"].append(generator.open(port, SECONDS, rate, number))
            with _frozen():
                found["frozen"].append(generator.open(port, SECONDS, rate, number))
            _step(environment, "--stop")
    print(f"{what}; {options.rounds} rounds of {SECONDS:.0f} s at 70 % of each round's capacity")
    print("| | p50, ms | p99, ms | p99 to without (least to most) | no result |\n| --- | --- | --- | --- | --- |")
    for name, loads in found.items():
        ratios = [one.accepted.p99 / base.accepted.p99 for one, base in zip(loads, found["without"], strict=True)]
        p50, p99 = (statistics.median(getattr(one.accepted, field) for one in loads) * 1e3 for field in ("p50", "p99"))
        lost = sum(one.refused.count + one.other.count + one.lost for one in loads)
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        print(f"| {name} | {p50:.1f} | {p99:.1f} | {spread} | {lost} |")
    return 0


def _step(environment: dict[str, str], *options: str) -> None:
    command = [sys.executable, "-m", "frontend", "rollout", *options, "--by", "bench"]
    subprocess.run(command, cwd=CHECKOUT, env=environment, check=True, stdout=subprocess.DEVNULL)
    time.sleep(SEEN_S)


@contextmanager
def _frozen() -> Iterator[None]:
    """The candidate's Triton gets no CPU inside: it is the one that was started second."""
    servers = [pid for pid in children(os.getpid()) if any("tritonserver" in _name(one) for one in session(pid))]
    frozen = session(max(servers))
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)


def _name(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm", encoding="ascii") as file:  # noqa: PTH123 - of the kernel
            return file.read()
    except OSError:
        return ""


if __name__ == "__main__":
    sys.exit(main())
